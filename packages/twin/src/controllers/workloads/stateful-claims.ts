import { apiVersionOf, isOwnedBy, ownerReferenceTo, Pods, StatefulSets } from "@fleetwright/kube";
import type { KubeObject, OwnerReference, PersistentVolumeClaim, Pod, Resource, StatefulSet } from "@fleetwright/kube";
import { isInRange } from "./stateful-pods.ts";

/** Whom the claims of a StatefulSet's pods belong to (KEP-1847, pkg/controller/statefulset/stateful_set_utils.go). */

/** As the owner by name, whichever object of that name it was. */
const isNamed = (reference: OwnerReference, resource: Resource, owner: KubeObject): boolean =>
  reference.apiVersion === apiVersionOf(resource) &&
  reference.kind === resource.kind &&
  reference.name === owner.metadata.name;

const referencesOf = (claim: PersistentVolumeClaim): readonly OwnerReference[] => claim.metadata.ownerReferences ?? [];

/** Held by an owner of this name that is gone. */
const isHeldByFormer = (claim: PersistentVolumeClaim, resource: Resource, owner: KubeObject): boolean =>
  referencesOf(claim).some(
    (reference) => isNamed(reference, resource, owner) && reference.uid !== (owner.metadata.uid ?? ""),
  );

const retentionOf = ({ spec }: StatefulSet): { readonly deletes: boolean; readonly shrinks: boolean } => ({
  deletes: spec?.persistentVolumeClaimRetentionPolicy?.whenDeleted === "Delete",
  shrinks: spec?.persistentVolumeClaimRetentionPolicy?.whenScaled === "Delete",
});

/**
 * Whether the claim is of an earlier pod of this name and will go with it: no pod may be made on it (`PodClaimIsStale`).
 * A pod that is yet to be made has no UID.
 */
export const isStaleClaim = (set: StatefulSet, pod: Pod, claim: PersistentVolumeClaim): boolean =>
  retentionOf(set).shrinks && isHeldByFormer(claim, Pods, pod);

/** Whether somebody else controls the claim, so that the retention policy cannot be kept (`hasUnexpectedController`). */
export function isControlledByOthers(set: StatefulSet, pod: Pod, claim: PersistentVolumeClaim): boolean {
  const { deletes, shrinks } = retentionOf(set);
  if (!deletes && !shrinks) return false;
  return referencesOf(claim).some((reference) => {
    for (const [resource, owner] of [[StatefulSets, set] as const, [Pods, pod] as const])
      if (isNamed(reference, resource, owner)) return reference.uid !== (owner.metadata.uid ?? "");
    return reference.controller === true;
  });
}

/** Whose the claim is to be: it goes when its owner goes. */
function ownerOf(set: StatefulSet, pod: Pod): OwnerReference | undefined {
  const { deletes, shrinks } = retentionOf(set);
  const options = { controller: true, blockOwnerDeletion: true };
  if (shrinks && !isInRange(set, pod)) return ownerReferenceTo(Pods, pod, options);
  return deletes ? ownerReferenceTo(StatefulSets, set, options) : undefined;
}

/**
 * The claim with the owners that the retention policy gives it; `undefined`: it has them, or it is not ours to change
 * (`isClaimOwnerUpToDate`, `updateClaimOwnerRefForSetAndPod`).
 */
export function retainedClaim(
  set: StatefulSet,
  pod: Pod,
  claim: PersistentVolumeClaim,
): PersistentVolumeClaim | undefined {
  if (isHeldByFormer(claim, StatefulSets, set) || isHeldByFormer(claim, Pods, pod)) return undefined;
  const [hasSet, hasPod] = [isOwnedBy(claim, set), isOwnedBy(claim, pod)];
  const others = referencesOf(claim).filter(
    (reference) => !isNamed(reference, StatefulSets, set) && !isNamed(reference, Pods, pod),
  );
  const withOwners = (ownerReferences: readonly OwnerReference[]): PersistentVolumeClaim => ({
    ...claim,
    metadata: { ...claim.metadata, ownerReferences },
  });
  if (isControlledByOthers(set, pod, claim)) return hasSet || hasPod ? withOwners(others) : undefined;
  const wanted = ownerOf(set, pod);
  const isOnlyOwner = referencesOf(claim).some(
    ({ uid, controller }) => (uid === set.metadata.uid || uid === pod.metadata.uid) && controller !== true,
  );
  const isRight = hasSet === (wanted?.kind === StatefulSets.kind) && hasPod === (wanted?.kind === Pods.kind);
  if (isRight && !isOnlyOwner) return undefined;
  return withOwners(wanted === undefined ? others : [...others, wanted]);
}
