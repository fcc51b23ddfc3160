import { createHash } from "node:crypto";
import { createServer } from "node:net";
import type { Server } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

/**
 * Lets one run at a time work on a folder. The lock is an abstract Unix socket: the kernel gives it back however its
 * holder ends, so there is no stale lock file to judge.
 *
 * @param options.onWait called once when another run holds the lock
 * @param options.signal ends the waiting
 */
export async function withLock<T>(
  directory: string,
  options: { readonly onWait: () => void; readonly signal: AbortSignal },
  work: () => Promise<T>,
): Promise<T> {
  const name = `\0fleetwright-build-${createHash("sha256").update(directory).digest("hex").slice(0, 32)}`;
  let waited = false;
  let server = await tryLock(name);
  while (server === undefined) {
    if (!waited) options.onWait();
    waited = true;
    await delay(200, undefined, { signal: options.signal });
    server = await tryLock(name);
  }
  try {
    return await work();
  } finally {
    server.close();
  }
}

function tryLock(name: string): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EADDRINUSE") resolve(undefined);
      else reject(error);
    });
    server.listen(name, () => resolve(server));
  });
}
