import { FleetwrightError } from "./errors.ts";
import type { KubeObject, OwnerReference } from "./object.ts";
import { apiVersionOf, type Resource } from "./resource.ts";

/** The reference to an object's controller, if it has one. */
export function controllerOf(object: KubeObject): OwnerReference | undefined {
  return object.metadata.ownerReferences?.find(({ controller }) => controller === true);
}

/**
 * Whether an object names this very owner. By UID: an owner that was deleted and made again under its name is another
 * one. Anyone who may write the object may write this; it is no proof that the owner knows of it.
 */
export function isOwnedBy(object: KubeObject, owner: KubeObject): boolean {
  const { uid } = owner.metadata;
  return uid !== undefined && (object.metadata.ownerReferences ?? []).some((reference) => reference.uid === uid);
}

/** Whether this very owner is the object's controller. */
export function isControlledBy(object: KubeObject, owner: KubeObject): boolean {
  const { uid } = owner.metadata;
  return uid !== undefined && controllerOf(object)?.uid === uid;
}

/**
 * The reference that an owned object holds.
 *
 * @throws {FleetwrightError} `FW_OWNER` when the owner has no name or UID: it must have come from the server
 */
export function ownerReferenceTo(
  resource: Pick<Resource, "group" | "version" | "kind">,
  owner: KubeObject,
  options: Pick<OwnerReference, "controller" | "blockOwnerDeletion"> = {},
): OwnerReference {
  const { name, uid } = owner.metadata;
  if (!name || !uid) {
    throw new FleetwrightError(
      "FW_OWNER",
      `${resource.kind} "${name ?? ""}" cannot own anything: it has no ${name ? "UID" : "name"}; read it from the server first`,
    );
  }
  return { apiVersion: apiVersionOf(resource), kind: resource.kind, name, uid, ...options };
}

/**
 * The object with `owner` among its owners: a reference to the same object is replaced, those to others stay.
 *
 * @throws {FleetwrightError} `FW_OWNER` when the owner lives in another namespace: the garbage collector would delete
 * the object
 */
export function withOwner<T extends KubeObject>(
  object: T,
  resource: Pick<Resource, "group" | "version" | "kind">,
  owner: KubeObject,
  options: Pick<OwnerReference, "controller" | "blockOwnerDeletion"> = {},
): T {
  const reference = ownerReferenceTo(resource, owner, options);
  const { namespace } = owner.metadata;
  if (namespace && namespace !== object.metadata.namespace) {
    const place = object.metadata.namespace ? `namespace "${object.metadata.namespace}"` : "no namespace";
    throw new FleetwrightError(
      "FW_OWNER",
      `${resource.kind} "${namespace}/${reference.name}" cannot own ${describe(object)}, which is in ${place}: put both into one namespace`,
    );
  }
  const others = (object.metadata.ownerReferences ?? []).filter((other) => !isSameOwner(other, reference));
  return { ...object, metadata: { ...object.metadata, ownerReferences: [...others, reference] } };
}

/**
 * The object with `owner` as its controller: an object has at most one. The owner is not deleted before it when
 * deletion is in the foreground.
 *
 * @throws {FleetwrightError} `FW_ALREADY_OWNED` when it has another controller, `FW_OWNER` as {@link withOwner}
 *
 * @example
 * const pod = setControllerReference(template, ReplicaSets, replicaSet);
 */
export function setControllerReference<T extends KubeObject>(
  object: T,
  resource: Pick<Resource, "group" | "version" | "kind">,
  owner: KubeObject,
): T {
  const current = controllerOf(object);
  if (current && !isSameOwner(current, ownerReferenceTo(resource, owner))) {
    throw new FleetwrightError(
      "FW_ALREADY_OWNED",
      `${describe(object)} is controlled by ${current.kind} "${current.name}" (${current.uid}) and cannot be by ${resource.kind} "${owner.metadata.name}": delete one of them`,
    );
  }
  return withOwner(object, resource, owner, { controller: true, blockOwnerDeletion: true });
}

/** The object without references to this owner. */
export function withoutOwner<T extends KubeObject>(object: T, owner: KubeObject): T {
  const left = (object.metadata.ownerReferences ?? []).filter(({ uid }) => uid !== owner.metadata.uid);
  return { ...object, metadata: { ...object.metadata, ownerReferences: left } };
}

const groupOf = (apiVersion: string): string => (apiVersion.includes("/") ? (apiVersion.split("/")[0] ?? "") : "");

/** The name counts, too: a reference to an owner that was made again is to be brought up to date. */
const isSameOwner = (left: OwnerReference, right: OwnerReference): boolean =>
  left.kind === right.kind && left.name === right.name && groupOf(left.apiVersion) === groupOf(right.apiVersion);

function describe({ kind = "object", metadata }: KubeObject): string {
  const name = metadata.name ?? `${metadata.generateName ?? ""}…`;
  return `${kind} "${metadata.namespace ? `${metadata.namespace}/` : ""}${name}"`;
}
