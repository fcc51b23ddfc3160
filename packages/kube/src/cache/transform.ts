import type { KubeObject } from "../core/object.ts";
import { apiVersionOf, type Resource } from "../core/resource.ts";

/**
 * The object without `metadata.managedFields`, often half of its size. It is built anew: an object from which a
 * property was `delete`d falls out of V8's shared shapes and costs more than it saved.
 */
export function withoutManagedFields<T extends KubeObject>(object: T): T {
  if (object.metadata.managedFields === undefined) return object;
  const { managedFields: _dropped, ...metadata } = object.metadata;
  return { ...object, metadata };
}

/** Items of lists lack `apiVersion` and `kind`, those of watches have them: readers of a cache see one form. */
export function typedAs<T extends KubeObject>(resource: Resource<T>): (object: T) => T {
  const { kind } = resource;
  const apiVersion = apiVersionOf(resource);
  return (object) => (object.kind === undefined ? { apiVersion, kind, ...object } : object);
}
