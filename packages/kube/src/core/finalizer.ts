import type { CallOptions, Client } from "../client/client.ts";
import { isNotFound } from "./errors.ts";
import { keyOf, type KubeObject } from "./object.ts";
import type { Resource } from "./resource.ts";

/** Whether an object waits for this finalizer before it goes. */
export function hasFinalizer(object: KubeObject, finalizer: string): boolean {
  return object.metadata.finalizers?.includes(finalizer) === true;
}

/** Whether someone asked for the object's deletion: it goes when its last finalizer is gone. */
export const isBeingDeleted = (object: KubeObject): boolean => object.metadata.deletionTimestamp !== undefined;

/**
 * The merge patch that makes `finalizers` an object's finalizers. A merge patch replaces the whole list, so it carries
 * the resourceVersion that the list was read at: someone else's finalizer is never lost, the server answers 409.
 */
export function finalizersPatch(object: KubeObject, finalizers: readonly string[]): { readonly metadata: object } {
  const { resourceVersion, uid } = object.metadata;
  return { metadata: { finalizers, ...(uid && { uid }), ...(resourceVersion && { resourceVersion }) } };
}

/**
 * Makes the server keep an object until {@link removeFinalizer}. Nothing is sent when it is there already.
 *
 * @returns the object as it is now
 * @throws ApiError 409 when the object changed since it was read: read it again. 422 when it is being deleted: no
 * finalizer can be added then
 */
export async function addFinalizer<T extends KubeObject>(
  client: Pick<Client, "patch">,
  resource: Resource<T>,
  object: T,
  finalizer: string,
  options: CallOptions = {},
): Promise<T> {
  if (hasFinalizer(object, finalizer)) return object;
  const patch = finalizersPatch(object, [...(object.metadata.finalizers ?? []), finalizer]);
  return client.patch(resource, keyOf(object), { type: "merge", patch }, options);
}

/**
 * Lets an object go. Nothing is sent when the finalizer is not there.
 *
 * @returns the object as it is now; `undefined` when it is gone
 * @throws ApiError 409 when the object changed since it was read: read it again
 */
export async function removeFinalizer<T extends KubeObject>(
  client: Pick<Client, "patch">,
  resource: Resource<T>,
  object: T,
  finalizer: string,
  options: CallOptions = {},
): Promise<T | undefined> {
  if (!hasFinalizer(object, finalizer)) return object;
  const left = (object.metadata.finalizers ?? []).filter((name) => name !== finalizer);
  const patch = finalizersPatch(object, left);
  try {
    return await client.patch(resource, keyOf(object), { type: "merge", patch }, options);
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}
