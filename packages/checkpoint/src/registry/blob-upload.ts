import { createReadStream } from "node:fs";
import { checkpointError } from "../errors.ts";
import { scopeOf } from "./authorization.ts";
import type { Scopes } from "./authorization.ts";
import { dropBody } from "./connection.ts";
import type { RegistryAnswer, RegistryConnection } from "./connection.ts";
import { isNotInRegistry, RegistryError, registryLies } from "./registry-error.ts";

/** Bytes that are pushed. They are read more than once when a connection breaks. */
export interface BlobSource {
  readonly digest: string;
  readonly size: number;
  /** The bytes from an offset on. */
  open(offset: number): AsyncIterable<Uint8Array>;
}

/** Bytes that are in memory. */
export const bytesSource = (digest: string, bytes: Uint8Array): BlobSource => ({
  digest,
  size: bytes.length,
  async *open(offset) {
    if (offset < bytes.length) yield bytes.subarray(offset);
  },
});

/** Bytes that are in a file. */
export const fileSource = (
  path: string,
  { digest, size }: { readonly digest: string; readonly size: number },
): BlobSource => ({
  digest,
  size,
  open: (offset) => createReadStream(path, { start: offset, highWaterMark: 256 * 1024 }),
});

export interface UploadOptions {
  /** Larger blobs are sent in parts of this size; a registry that asks for larger parts gets them. @default 64 MiB */
  readonly chunkBytes?: number;
  /** A repository of the same registry that may have the blob already: then it is not sent. */
  readonly mountFrom?: string;
  readonly signal?: AbortSignal | undefined;
}

/** `there`: the registry had it; `mounted`: from another repository; `sent`: by us, now. */
export type UploadOutcome = "there" | "mounted" | "sent";

/** A failure is reported no later than this because of what it leaves behind. */
const abandonTimeoutMs = 2000;

const defaultChunkBytes = 64 * 1024 * 1024;

/** A source that has been opened, and how far it has been read. */
interface OpenSource {
  readonly iterator: AsyncIterator<Uint8Array>;
  position: number;
  /** Read, but not taken yet. */
  rest: Uint8Array;
}

/** Reads a source part by part. */
class SourceCursor {
  readonly #blob: BlobSource;
  #source: OpenSource | undefined;

  constructor(blob: BlobSource) {
    this.#blob = blob;
  }

  /** Exactly so many bytes from an offset on. The source is opened again when it stands elsewhere. */
  async *take(offset: number, count: number): AsyncGenerator<Uint8Array, void, undefined> {
    if (this.#source?.position !== offset) {
      await this.close();
      const iterator = this.#blob.open(offset)[Symbol.asyncIterator]();
      this.#source = { iterator, position: offset, rest: new Uint8Array(0) };
    }
    // A part that broke may still wait for its source when the next one begins: each has its own.
    const source = this.#source;
    const end = offset + count;
    while (source.position < end) {
      if (source.rest.length === 0) {
        const next = await source.iterator.next();
        if (next.done === true)
          throw checkpointError(
            "FW_CHECKPOINT_DIGEST",
            `${this.#blob.digest}: only ${source.position} of ${this.#blob.size} bytes can be read; describe it anew`,
          );
        source.rest = next.value;
      }
      const part = source.rest.subarray(0, end - source.position);
      source.rest = source.rest.subarray(part.length);
      source.position += part.length;
      yield part;
    }
  }

  async close(): Promise<void> {
    const source = this.#source;
    this.#source = undefined;
    await source?.iterator.return?.();
  }
}

/** An upload that the registry has begun. */
interface Upload {
  /** Where the next part goes; the registry gives another one each time. */
  readonly url: URL;
  readonly offset: number;
  readonly partBytes: number;
}

/** `0-1023`: how far an upload has got; a registry says `0-0` before the first byte. */
function receivedBytes(range: string | undefined): number | undefined {
  const match = /^(?:bytes=)?0-(\d+)$/.exec(range ?? "");
  return match?.[1] === undefined ? undefined : match[1] === "0" ? 0 : Number(match[1]) + 1;
}

/**
 * Pushes one blob (distribution-spec 1.1, "Pushing Blobs"): nothing when it is there; by mounting when another repository has it; in one piece when it is small; otherwise in
 * parts, going on where the registry stands after a failure. The registry checks the digest of what it got.
 *
 * @throws RegistryError; FleetwrightError `FW_CHECKPOINT_DIGEST` when the bytes are not those of the digest
 */
export async function uploadBlob(
  connection: RegistryConnection,
  repository: string,
  blob: BlobSource,
  { chunkBytes = defaultChunkBytes, mountFrom, signal }: UploadOptions = {},
): Promise<UploadOutcome> {
  const { digest, size } = blob;
  const scopes = [scopeOf(repository, "pull", "push")];
  const common = { repository, scopes, signal };
  const isThere = async (): Promise<boolean> => {
    const answer = await connection.call({
      ...common,
      method: "HEAD",
      to: `${repository}/blobs/${digest}`,
      expect: [200, 404],
    });
    dropBody(answer);
    if (answer.status === 404) return false;
    const length = answer.headers["content-length"];
    if (length !== undefined && Number(length) !== size)
      throw registryLies(`${connection.registry}/${repository}@${digest}: has ${length} bytes there, ${size} here`);
    return true;
  };
  if (await isThere()) return "there";

  const cursor = new SourceCursor(blob);
  let upload: Upload | undefined;

  const post = (query: string, wanted: Scopes): Promise<RegistryAnswer> =>
    connection.once({
      ...common,
      scopes: wanted,
      method: "POST",
      to: `${repository}/blobs/uploads/${query}`,
      expect: [201, 202],
    });
  /** Begins an upload; `undefined`: it was mounted. */
  const begin = async (): Promise<Upload | undefined> => {
    const mount = `?mount=${digest}&from=${encodeURIComponent(mountFrom ?? "")}`;
    const answer =
      mountFrom === undefined
        ? await post("", scopes)
        : await post(mount, [...scopes, scopeOf(mountFrom, "pull")]).catch((error: unknown) => {
            // Whoever may not read there may still push here.
            if (error instanceof RegistryError && error.code === "FW_CHECKPOINT_REGISTRY_REFUSED")
              return post("", scopes);
            throw error;
          });
    dropBody(answer);
    if (answer.status === 201) return undefined;
    const least = Number(answer.headers["oci-chunk-min-length"] ?? 0);
    return {
      url: connection.resolve(answer.headers["location"], answer.url, `${connection.registry}: POST blobs/uploads`),
      offset: 0,
      partBytes: Math.max(chunkBytes, Number.isSafeInteger(least) ? least : 0),
    };
  };
  /** Where the registry stands after a failure; `undefined`: it has forgotten, or says nothing that helps. */
  const resume = async (failed: Upload): Promise<Upload | undefined> => {
    const answer = await connection.call({ ...common, method: "GET", to: failed.url, expect: [204, 400, 404, 405] });
    dropBody(answer);
    const offset = receivedBytes(answer.headers["range"]);
    // After `0-0` there may be one byte or none.
    if (answer.status !== 204 || !offset || offset > size) return undefined;
    const { location } = answer.headers;
    return { ...failed, offset, url: location ? connection.resolve(location, answer.url, "GET upload") : failed.url };
  };
  const sendPart = async (current: Upload): Promise<Upload> => {
    const count = Math.min(current.partBytes, size - current.offset);
    const end = current.offset + count;
    const answer = await connection.once({
      ...common,
      method: "PATCH",
      to: current.url,
      headers: {
        "content-type": "application/octet-stream",
        "content-length": String(count),
        "content-range": `${current.offset}-${end - 1}`,
      },
      body: cursor.take(current.offset, count),
      expect: [202],
    });
    dropBody(answer);
    const received = receivedBytes(answer.headers["range"]) ?? end;
    if (received > end) throw registryLies(`${digest}: the registry has ${received} bytes, ${end} were sent`);
    if (received <= current.offset)
      throw new RegistryError(
        "FW_CHECKPOINT_REGISTRY_LIES",
        `${digest}: the registry took nothing of a part, and said yes`,
        {
          transient: true,
        },
      );
    const url = connection.resolve(answer.headers["location"], answer.url, `${connection.registry}: PATCH`);
    return { ...current, url, offset: received };
  };
  const finish = async (current: Upload): Promise<void> => {
    const whole = current.offset === 0 && size > 0;
    const address = `${current.url.href}${current.url.search === "" ? "?" : "&"}digest=${encodeURIComponent(digest)}`;
    const answer = await connection.once({
      ...common,
      method: "PUT",
      to: new URL(address),
      headers: { "content-type": "application/octet-stream", "content-length": String(whole ? size : 0) },
      ...(whole ? { body: cursor.take(0, size) } : {}),
      expect: [201],
    });
    dropBody(answer);
    const stored = answer.headers["docker-content-digest"];
    if (stored !== undefined && stored !== digest)
      throw registryLies(`${connection.registry}/${repository}: stored ${digest} as ${stored}`);
  };

  /** Lets the registry forget what it got of it. It does so by itself some day, should this fail. */
  const abandon = async (): Promise<void> => {
    if (upload === undefined) return;
    const limit = AbortSignal.timeout(abandonTimeoutMs);
    const call = { ...common, method: "DELETE", to: upload.url, expect: [200, 202, 204], signal: limit } as const;
    await connection.once(call).then(dropBody, () => undefined);
  };

  try {
    for (const retries = connection.retries(signal); ;) {
      try {
        upload ??= await begin();
        if (upload === undefined) return "mounted";
        if (upload.offset > 0 || size > upload.partBytes)
          while (upload.offset < size) {
            upload = await sendPart(upload);
            retries.progress();
          }
        await finish(upload);
        return "sent";
      } catch (error) {
        if (error instanceof RegistryError && error.reasons.includes("DIGEST_INVALID"))
          throw checkpointError(
            "FW_CHECKPOINT_DIGEST",
            `${digest}: the registry got other bytes (${error.message}); they have changed since they were described`,
            error,
          );
        // A part that the registry did not expect, or an upload that it gave up: it says where it stands.
        const lost =
          upload !== undefined && error instanceof RegistryError && (error.status === 416 || isNotInRegistry(error));
        await retries.pause(
          lost ? new RegistryError("FW_CHECKPOINT_REGISTRY", error.message, { transient: true }) : error,
        );
        // The answer may have been lost alone.
        if (await isThere()) return "sent";
        upload = upload === undefined ? undefined : await resume(upload);
      }
    }
  } catch (error) {
    await abandon();
    throw error;
  } finally {
    await cursor.close();
  }
}
