import type { Draft } from "../machinery/draft.ts";

/** An object's bytes: `kind` and `apiVersion` come first, then metadata, so that a list can leave the first two out by cutting. */
export function encodeObject(object: Readonly<Draft>): Buffer {
  const { kind, apiVersion, metadata, ...rest } = object;
  return Buffer.from(JSON.stringify({ kind, apiVersion, metadata, ...rest }));
}
