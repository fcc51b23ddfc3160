import { createReadStream } from "node:fs";
import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { pipeline } from "node:stream/promises";
import type { Logger } from "@fleetwright/kube";
import type { CheckpointStore } from "./store.ts";

/** The repository that every engine image of a store is in. */
export const imageRepository = "checkpoint";

/** Serves the engine images of a store to the node's own engine. */
export interface ImageServer {
  readonly port: number;
  /** What a pod's image is called. */
  reference(manifestDigest: string): string;
  close(): Promise<void>;
}

interface Answer {
  readonly type: string;
  readonly digest: string;
  readonly size: number;
  /** Bytes, or the file that has them. */
  readonly body: Uint8Array | string;
}

const path = new RegExp(`^/v2/${imageRepository}/(manifests|blobs)/(sha256:[0-9a-f]{64})$`);

async function find(store: CheckpointStore, kind: string, digest: string): Promise<Answer | undefined> {
  if (kind === "manifests") {
    const found = await store.image(digest);
    if (found === undefined) return undefined;
    const { mediaType, bytes } = found.image.manifest;
    return { type: mediaType, digest, size: bytes.length, body: bytes };
  }
  const found = await store.blob(digest);
  if (found === undefined) return undefined;
  const { config, layer } = found.image;
  if (config.digest === digest)
    return { type: config.mediaType, digest, size: config.bytes.length, body: config.bytes };
  return { type: layer.mediaType, digest, size: layer.size, body: found.path };
}

function refuse(response: ServerResponse, status: number, code: string, message: string): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify({ errors: [{ code, message }] }));
}

/** One range, as engines ask for when they go on after a broken pull; anything else gets the whole. */
function rangeOf(
  header: string | undefined,
  size: number,
): { readonly start: number; readonly end: number } | undefined {
  const match = /^bytes=(\d+)-(\d*)$/.exec(header ?? "");
  if (match === null) return undefined;
  const start = Number(match[1]);
  const end = match[2] === "" ? size - 1 : Math.min(Number(match[2]), size - 1);
  return start <= end ? { start, end } : undefined;
}

async function send(request: IncomingMessage, response: ServerResponse, answer: Answer): Promise<void> {
  const range = rangeOf(request.headers.range, answer.size);
  const length = range === undefined ? answer.size : range.end - range.start + 1;
  response.writeHead(range === undefined ? 200 : 206, {
    "content-type": answer.type,
    "content-length": length,
    "docker-content-digest": answer.digest,
    "accept-ranges": "bytes",
    ...(range === undefined ? {} : { "content-range": `bytes ${range.start}-${range.end}/${answer.size}` }),
  });
  if (request.method === "HEAD") response.end();
  else if (typeof answer.body === "string")
    await pipeline(createReadStream(answer.body, { highWaterMark: 1024 * 1024, ...range }), response);
  else response.end(range === undefined ? answer.body : answer.body.subarray(range.start, range.end + 1));
}

/**
 * Serves a store over the distribution API, read-only, by digest, on loopback: whoever is on the node may pull, as root may read the files. A pod's image is
 * `localhost:<port>/checkpoint@sha256:…`; engines speak plain HTTP to localhost.
 */
export async function startImageServer(options: {
  readonly store: CheckpointStore;
  /** 0 takes a free one. */
  readonly port: number;
  readonly logger: Logger;
}): Promise<ImageServer> {
  const { store, logger } = options;
  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { pathname } = new URL(request.url ?? "/", "http://localhost");
    if (request.method !== "GET" && request.method !== "HEAD")
      return refuse(response, 405, "UNSUPPORTED", "this registry is read-only");
    if (pathname === "/v2/" || pathname === "/v2") {
      response.writeHead(200, {
        "docker-distribution-api-version": "registry/2.0",
        "content-type": "application/json",
      });
      response.end("{}");
      return;
    }
    const [, kind, digest] = path.exec(pathname) ?? [];
    const answer = kind && digest ? await find(store, kind, digest) : undefined;
    if (answer === undefined)
      return refuse(
        response,
        404,
        kind === "blobs" ? "BLOB_UNKNOWN" : "MANIFEST_UNKNOWN",
        "no checkpoint of that digest",
      );
    await send(request, response, answer);
  };
  const server = createServer((request, response) => {
    handle(request, response).catch((error: unknown) => {
      logger.warn({ url: request.url, error: String(error) }, "an image could not be served");
      if (response.headersSent) response.destroy();
      else refuse(response, 500, "UNKNOWN", "the store cannot be read");
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    port,
    reference: (digest) => `localhost:${port}/${imageRepository}@${digest}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
