import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { TransportError } from "../core/errors.ts";
import { lines } from "./body.ts";
import { collect, rejection } from "./scripted-server.ts";
import { watchEvents } from "./watch-stream.ts";

async function* chunks(...parts: readonly (Uint8Array | string)[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) yield typeof part === "string" ? Buffer.from(part) : part;
}

/** `bytes` cut at the given places. */
function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const edges = [0, ...places.map((place) => place % (bytes.length + 1)), bytes.length].toSorted((a, b) => a - b);
  return edges.slice(1).map((edge, index) => bytes.subarray(edges[index], edge));
}

describe("lines", () => {
  it("come whole wherever the bytes are split, inside a character too", async () => {
    const line = fc.string({ unit: "binary", minLength: 1 }).filter((text) => !text.includes("\n"));
    await fc.assert(
      fc.asyncProperty(fc.array(line), fc.array(fc.nat(10_000)), async (expected, places) => {
        const bytes = Buffer.from(expected.map((text) => `${text}\n`).join(""));
        expect(await collect(lines(chunks(...cut(bytes, places)), "GET /x"))).toEqual(
          expected.map((text) => Buffer.from(text).toString()),
        );
      }),
    );
  });

  it("that lack their end are a cut stream, even when they look whole", async () => {
    const seen: string[] = [];
    const error = await rejection(
      (async () => {
        for await (const line of lines(chunks("one\nt", "wo"), "GET /x")) seen.push(line);
      })(),
    );
    expect(seen).toEqual(["one"]);
    expect(error).toBeInstanceOf(TransportError);
    expect(error.message).toBe("GET /x: the stream ended inside a line, 3 bytes into it; watch again");
  });
});

describe("events", () => {
  it.each([
    ["no JSON", '{"type":"ADDED","obj\n', "not JSON"],
    ["an unknown type", '{"type":"RENAMED","object":{}}\n', "no event"],
    ["no object", '{"type":"ADDED"}\n', "no event"],
    ["no mapping", "42\n", "no event"],
  ])("a line that is %s breaks the stream", async (_name, line, message) => {
    const error = await rejection(collect(watchEvents(chunks(line), "GET /x")));
    expect(error).toBeInstanceOf(TransportError);
    expect(error.message).toContain(message);
  });

  it("an ERROR carries its Status and how long to wait", async () => {
    const status = { kind: "Status", code: 429, reason: "TooManyRequests", details: { retryAfterSeconds: 3 } };
    const error = await rejection(
      collect(watchEvents(chunks(`${JSON.stringify({ type: "ERROR", object: status })}\n`), "GET /x")),
    );
    expect(error).toMatchObject({ httpStatus: 429, status, retryAfterMs: 3000 });
  });

  it("an ERROR without a Status is still an ApiError", async () => {
    expect(await rejection(collect(watchEvents(chunks('{"type":"ERROR"}\n'), "GET /x")))).toMatchObject({
      httpStatus: 500,
    });
  });
});
