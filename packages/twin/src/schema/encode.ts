import type { Draft } from "../machinery/draft.ts";

/** An object's bytes: `kind` and `apiVersion` come first, then metadata, so that a list can leave the first two out by cutting. */
export function encodeObject(object: Readonly<Draft>): Buffer {
  const { kind, apiVersion, metadata, ...rest } = object;
  return Buffer.from(JSON.stringify({ kind, apiVersion, metadata, ...rest }));
}

/** How many bytes of {@link encodeObject}'s are `{"kind":…,"apiVersion":…,`; what follows is the object without them, less its `{`. */
export function prefixLength(kind: { readonly kind: string; readonly apiVersion: string }): number {
  return Buffer.byteLength(JSON.stringify({ kind: kind.kind, apiVersion: kind.apiVersion }));
}
