import type { KubeObject, ObjectKey } from "./object.ts";

/**
 * A kind of the API, as plain data. Every call of {@link Client} takes one; nothing is derived from class names.
 * `T` is the object's type and exists for the compiler only.
 */
export interface Resource<T extends KubeObject = KubeObject> {
  /** `""` for the core group. */
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  /** The path's last part: `deployments`. */
  readonly plural: string;
  readonly namespaced: boolean;
  readonly shortNames?: readonly string[];
  /** Never set: carries `T`. */
  readonly type?: T;
}

/** `apps/v1`, or `v1` in the core group. */
export function apiVersionOf(resource: Pick<Resource, "group" | "version">): string {
  return resource.group === "" ? resource.version : `${resource.group}/${resource.version}`;
}

/** `deployments.apps`, or `pods` in the core group: `schema.GroupResource`'s text form. */
export function groupResourceOf(resource: Pick<Resource, "group" | "plural">): string {
  return resource.group === "" ? resource.plural : `${resource.plural}.${resource.group}`;
}

/**
 * The path of a collection (no name), an object or a subresource.
 *
 * @example
 * resourcePath(Deployments, { namespace: "ml", name: "llm" }, "scale")
 * // "/apis/apps/v1/namespaces/ml/deployments/llm/scale"
 */
export function resourcePath(resource: Resource, key: Partial<ObjectKey> = {}, subresource?: string): string {
  const root = resource.group === "" ? "/api" : `/apis/${resource.group}`;
  let path = `${root}/${resource.version}`;
  if (resource.namespaced && key.namespace) path += `/namespaces/${encodeURIComponent(key.namespace)}`;
  path += `/${resource.plural}`;
  if (key.name !== undefined) path += `/${encodeURIComponent(key.name)}`;
  if (subresource) path += `/${subresource}`;
  return path;
}
