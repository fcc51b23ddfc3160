import type { IncomingMessage } from "node:http";
import { refusals } from "../machinery/status-error.ts";
import { createBatch } from "./turn-batch.ts";

/** kube-apiserver's MaxRequestBodyBytes: what etcd takes, and some. */
export const defaultMaxBodyBytes = 3 * 1024 * 1024;

/** A write takes a fraction of a millisecond: so many keep the event loop for less than ten. */
const inRow = createBatch(32);

export const bodyTooLarge = (maxBytes: number) => refusals.tooLarge(`Request entity too large: limit is ${maxBytes}`);

/** Bytes of a refused body that are still read, so that the client can read the refusal before its connection breaks. */
const drainLimitBytes = 16 * 2 ** 20;

/**
 * The whole body.
 *
 * @throws StatusError 413 above the limit, 400 when the client breaks off
 */
export function readBody(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const refuse = (): void => {
      chunks.length = 0;
      reject(bodyTooLarge(maxBytes));
    };
    if (Number(request.headers["content-length"] ?? 0) > maxBytes) refuse();
    request.on("data", (chunk: Buffer) => {
      const before = size;
      size += chunk.length;
      if (size <= maxBytes) chunks.push(chunk);
      else if (before <= maxBytes) refuse();
      else if (size > maxBytes + drainLimitBytes) request.destroy();
    });
    let whole = false;
    request.once("end", () => {
      whole = true;
      const body = chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks);
      if (size === 0) resolve(body);
      else inRow(() => resolve(body));
    });
    const broken = (): void => {
      // Every request closes: a refusal costs its stack.
      if (!whole) reject(refusals.badRequest("unexpected EOF"));
    };
    request.once("error", broken);
    request.once("close", broken);
  });
}
