import { createServer } from "node:http2";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { openEngine } from "./engine.ts";

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "fleetwright-engine-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const framed = (message: Buffer): Buffer => {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
};
/** A field of bytes: messages and strings of less than 128 bytes. */
const field = (number: number, bytes: Buffer | string): Buffer =>
  Buffer.concat([Buffer.from([number * 8 + 2, Buffer.byteLength(bytes)]), Buffer.from(bytes)]);

/** An engine that has one image, and answers as containerd does: an image that it has not is no error. */
async function startEngine(socket: string, { config = "{}", status = "0" } = {}) {
  const asked: string[] = [];
  const server = createServer();
  server.on("stream", (stream, headers) => {
    const chunks: Buffer[] = [];
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.on("end", () => {
      const path = headers[":path"] ?? "";
      const request = Buffer.concat(chunks).subarray(5);
      asked.push(`${path} ${request.toString("hex")}`);
      const image = request.equals(field(1, field(1, "web:1"))) ? field(1, field(1, "sha256:1")) : Buffer.alloc(0);
      const info = field(2, Buffer.concat([field(1, "config"), field(2, config)]));
      stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": status }));
      stream.end(framed(path.endsWith("ImageStatus") ? image : info));
    });
  });
  await new Promise<void>((resolve) => void server.listen(socket, resolve));
  return { asked, close: () => new Promise((resolve) => server.close(resolve)) };
}

it("says whether it has an image; the first socket that is there is asked", async () => {
  const socket = join(folder, "engine.sock");
  const server = await startEngine(socket);
  const engine = openEngine([join(folder, "none.sock"), socket]);
  expect(await engine.hasImage("web:1")).toBe(true);
  expect(await engine.hasImage("web:2")).toBe(false);
  expect(server.asked).toEqual([
    "/runtime.v1.ImageService/ImageStatus 0a070a057765623a31",
    "/runtime.v1.ImageService/ImageStatus 0a070a057765623a32",
  ]);
  await server.close();
});

it.each([
  ['{"enableExperimentalRestoreViaCreate":true,"x":1}', true],
  ['{"enableExperimentalRestoreViaCreate":false}', false],
  ['{"enableCRIU":true}', undefined],
  ["null", undefined],
  ["not JSON", undefined],
])("tells of its switch for restores by its configuration %s", async (config, expected) => {
  const socket = join(folder, "engine.sock");
  const server = await startEngine(socket, { config });
  expect(await openEngine([socket]).restoreSwitch()).toBe(expected);
  expect(server.asked).toEqual(["/runtime.v1.RuntimeService/Status 0801"]);
  await server.close();
});

it("is not known when none answers", async () => {
  const socket = join(folder, "engine.sock");
  const engine = openEngine([socket]);
  expect([await engine.hasImage("web:1"), await engine.restoreSwitch()]).toEqual([undefined, undefined]);
  const server = await startEngine(socket, { status: "12" });
  expect([await engine.hasImage("web:1"), await engine.restoreSwitch()]).toEqual([undefined, undefined]);
  await server.close();
});
