import { patchRoots, patchTypes } from "./patch-keys.generated.ts";

/** How a field's value is merged, from the API's `x-kubernetes-patch-strategy` and `x-kubernetes-patch-merge-key`. */
export interface PatchField {
  /** `merge`: a list's elements are merged; `replace`: an object is replaced. Default: objects are merged, lists replaced. */
  readonly strategy?: "merge" | "replace";
  /** The key that identifies an element of a merged list of objects. */
  readonly mergeKey?: string;
  /** A created patch names the keys that stay, the others go. */
  readonly retainKeys?: true;
  /** The type of the object, or of the list's elements, in {@link patchTypes}; absent when nothing in it is special. */
  readonly type?: string;
}

/** The special fields of a type. */
export type PatchSchema = Readonly<Record<string, PatchField>>;

const plain: PatchField = {};
const plainSchema: PatchSchema = {};

/**
 * How objects of a built-in kind are merged; `undefined` for other kinds, whose strategic merge patches the API server
 * refuses with 415.
 */
export function patchSchemaOf(kind: {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
}): PatchSchema | undefined {
  const root = `${kind.group}/${kind.version}/${kind.kind}`;
  const type = Object.hasOwn(patchRoots, root) ? patchRoots[root] : undefined;
  return type === undefined ? undefined : patchTypes[type];
}

export const fieldOf = (schema: PatchSchema, key: string): PatchField =>
  (Object.hasOwn(schema, key) ? schema[key] : undefined) ?? plain;

export const schemaOf = (field: PatchField): PatchSchema =>
  (field.type === undefined ? undefined : patchTypes[field.type]) ?? plainSchema;
