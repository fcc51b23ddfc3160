import { createHash } from "node:crypto";
import { scopeOf } from "./authorization.ts";
import type { RegistryConnection } from "./connection.ts";
import { connectionError, RegistryError, registryLies } from "./registry-error.ts";

/** So much more makes a broken connection count as the first again. */
const progressBytes = 1024 * 1024;

/**
 * A blob's bytes. A connection that breaks is followed by one that goes on at that byte. Whoever reads must not trust a byte before the end: a digest or a size that does not
 * hold is thrown there.
 *
 * @throws RegistryError
 */
export async function* downloadBlob(
  connection: RegistryConnection,
  repository: string,
  { digest, size }: { readonly digest: string; readonly size: number },
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const place = `${connection.registry}/${repository}@${digest}`;
  const hash = createHash("sha256");
  let offset = 0;
  let counted = 0;
  for (const retries = connection.retries(signal); ;) {
    try {
      const answer = await connection.once({
        method: "GET",
        to: `${repository}/blobs/${digest}`,
        repository,
        scopes: [scopeOf(repository, "pull")],
        headers: offset === 0 ? {} : { range: `bytes=${offset}-` },
        expect: [200, 206],
        signal,
      });
      // A registry without ranges starts anew.
      let skip = answer.status === 206 ? 0 : offset;
      const range = answer.headers["content-range"];
      if (answer.status === 206 && !new RegExp(`^bytes ${offset}-\\d+/(?:${size}|\\*)$`).test(range ?? "")) {
        answer.body.destroy();
        throw registryLies(`${place}: asked for bytes ${offset} to ${size - 1}, got ${JSON.stringify(range)}`);
      }
      const body = answer.body[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
      try {
        for (;;) {
          let next: IteratorResult<Buffer>;
          try {
            next = await body.next();
          } catch (error) {
            if (signal?.aborted) throw signal.reason;
            throw connectionError(`GET ${place}, after ${offset} of ${size} bytes`, error);
          }
          if (next.done === true) break;
          const chunk = next.value.subarray(Math.min(skip, next.value.length));
          skip -= next.value.length - chunk.length;
          if (chunk.length === 0) continue;
          if (offset + chunk.length > size)
            throw registryLies(`${place}: is longer than the ${size} bytes of its manifest`);
          hash.update(chunk);
          offset += chunk.length;
          yield chunk;
        }
      } finally {
        answer.body.destroy();
      }
      if (offset === size) break;
      throw new RegistryError("FW_CHECKPOINT_REGISTRY_LIES", `${place}: ended after ${offset} of ${size} bytes`, {
        transient: true,
      });
    } catch (error) {
      if (offset - counted >= progressBytes) retries.progress();
      counted = offset;
      await retries.pause(error);
      if (offset === size) break;
    }
  }
  const found = `sha256:${hash.digest("hex")}`;
  if (found !== digest) throw registryLies(`${place}: what came is ${found}`);
}
