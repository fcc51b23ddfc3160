import { readFile } from "node:fs/promises";

/** Of what ends, or goes, while it is looked at. */
export async function orGone<T>(what: Promise<T>): Promise<T | undefined> {
  try {
    return await what;
  } catch {
    return undefined;
  }
}

/** A small file of the kernel's; empty when it cannot be read. */
export const textOf = async (path: string): Promise<string> => (await orGone(readFile(path, "utf8"))) ?? "";
