import { checkpointError } from "../../errors.ts";
import { messageToJson } from "./message-json.ts";
import type { JsonObject } from "./message-json.ts";
import { messageDescriptor } from "./messages.ts";

/** AMD's plugin writes a length of eight bytes and a bare message (plugins/amdgpu/amdgpu_plugin_util.c, open_img_file); other `amdgpu-` images are pages. */
const messages: readonly (readonly [name: RegExp, message: string])[] = [
  [/^amdgpu-kfd-\d+\.img$/, "criu_kfd"],
  [/^amdgpu-renderD-\d+\.img$/, "criu_render_node"],
];

/** Whether {@link decodeAmdgpuImage} reads the image of that name. */
export const isAmdgpuMessage = (name: string): boolean => messages.some(([pattern]) => pattern.test(name));

/**
 * Decodes an image of AMD's plugin: the GPUs and buffers of a process (`amdgpu-kfd-<id>.img`), or of a render node (`amdgpu-renderD-<id>.img`).
 * Throws FW_CHECKPOINT_IMAGE and FW_CHECKPOINT_LIMIT, naming the image.
 */
export function decodeAmdgpuImage(bytes: Uint8Array, name: string): JsonObject {
  const message = messages.find(([pattern]) => pattern.test(name))?.[1];
  const broken = (problem: string) => checkpointError("FW_CHECKPOINT_IMAGE", `${name}: ${problem}`);
  if (message === undefined) throw broken("is none of amdgpu-kfd-<id>.img and amdgpu-renderD-<id>.img");
  if (bytes.length < 8) throw broken(`has ${bytes.length} bytes, which is no length: the image is truncated`);
  const length = Buffer.from(bytes.buffer, bytes.byteOffset, 8).readBigUInt64LE();
  if (length !== BigInt(bytes.length - 8))
    throw broken(`says ${length} bytes of message, ${bytes.length - 8} follow: truncated, or its length lies`);
  return messageToJson(messageDescriptor(message), bytes.subarray(8), name);
}
