import { constants } from "node:fs";
import { open } from "node:fs/promises";

/** Where containerd's shim and CRI-O have CRIU write what it did: in a folder of the container's id. */
const logOf = (id: string): RegExp => new RegExp(`^/[^\\0]*/${id}/(criu-dump\\.log|userdata/dump\\.log)$`);
/** The causes are at a log's end. */
const readBytes = 2 ** 20;
const mostErrors = 8;
/** That it failed at all, and what it goes on without. */
const unimportant = /: Dumping FAILED\.$|: rlimit: Can't setup /;

/**
 * CRIU's errors in the log of a dump that failed: engines tell only where the log is.
 *
 * @param id of the container, 64 hexadecimal digits
 * @param path the log's, which is read only in that container's own folder
 * @returns the last ones, without their times; none when there is no such log
 */
export async function readDumpErrors(id: string, path: string): Promise<readonly string[]> {
  if (!logOf(id).test(path) || path.includes("/../")) return [];
  let file;
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  } catch {
    return [];
  }
  try {
    const { size } = await file.stat();
    const start = Math.max(0, size - readBytes);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(size - start), 0, size - start, start);
    return buffer
      .toString("utf8", 0, bytesRead)
      .split("\n")
      .flatMap((line) => /\bError \(.*/.exec(line)?.[0].slice(0, 300) ?? [])
      .filter((error) => !unimportant.test(error))
      .slice(-mostErrors);
  } finally {
    await file.close();
  }
}
