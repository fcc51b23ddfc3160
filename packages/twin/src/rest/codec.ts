import type { Draft } from "../machinery/draft.ts";

/** An object's bytes: `kind` and `apiVersion` come first, so that a list can leave them out by cutting. */
export function encodeObject(object: Readonly<Draft>): Buffer {
  const { kind, apiVersion, ...rest } = object;
  return Buffer.from(JSON.stringify({ kind, apiVersion, ...rest }));
}

/** How many bytes of {@link encodeObject}'s the kind and version take; what follows is the object without them, less its `{`. */
export function prefixLength(kind: { readonly kind: string; readonly apiVersion: string }): number {
  return Buffer.byteLength(JSON.stringify({ kind: kind.kind, apiVersion: kind.apiVersion }));
}

export const parseObject = (bytes: Buffer): Draft => JSON.parse(bytes.toString()) as Draft;
