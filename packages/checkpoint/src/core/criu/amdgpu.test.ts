import { describe, expect, it } from "vitest";
import { decodeAmdgpuImage, isAmdgpuMessage } from "./amdgpu.ts";
import { jsonToMessage } from "./message-json.ts";
import { messageDescriptor } from "./messages.ts";

const node = { gpu_id: 7 };

function image(length?: bigint): Buffer {
  const message = jsonToMessage(messageDescriptor("criu_render_node"), node, "node");
  const head = Buffer.alloc(8);
  head.writeBigUInt64LE(length ?? BigInt(message.length));
  return Buffer.concat([head, message]);
}

describe("an image of AMD's plugin", () => {
  it("is decoded by its name", () => {
    expect(decodeAmdgpuImage(image(), "amdgpu-renderD-128.img")).toEqual(node);
    expect(["amdgpu-kfd-1.img", "amdgpu-pages-1-2.img", "pstree.img"].map(isAmdgpuMessage)).toEqual([
      true,
      false,
      false,
    ]);
  });

  it.each<readonly [string, Uint8Array, string, string]>([
    ["too short", Buffer.alloc(7), "amdgpu-kfd-1.img", "has 7 bytes"],
    ["of another length than it says", image(2n ** 60n), "amdgpu-renderD-1.img", "its length lies"],
    ["no message", Buffer.from("0200000000000000ffff", "hex"), "amdgpu-kfd-1.img", "not a criu_kfd"],
    ["of pages", image(), "amdgpu-pages-1-2.img", "is none of"],
  ])("that is %s is refused", (_, bytes, name, message) => {
    expect(() => decodeAmdgpuImage(bytes, name)).toThrow(message);
  });
});
