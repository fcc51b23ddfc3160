import { matchesLabels, quantityFromJson, selectorOf } from "@fleetwright/kube";
import type { PersistentVolume, PersistentVolumeClaim, Quantity, StorageClass } from "@fleetwright/kube";

/** Which volume a claim gets (component-helpers/storage/volume, pkg/controller/volume/persistentvolume/index.go). */

const classAnnotation = "volume.beta.kubernetes.io/storage-class";
const defaultAnnotations = [
  "storageclass.kubernetes.io/is-default-class",
  "storageclass.beta.kubernetes.io/is-default-class",
];
const modeOrder = ["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"];

export const classOf = ({ metadata, spec }: PersistentVolume | PersistentVolumeClaim): string =>
  metadata.annotations?.[classAnnotation] ?? spec?.storageClassName ?? "";

/** An empty name is a wish as well: no class. */
export const hasClass = ({ metadata, spec }: PersistentVolumeClaim): boolean =>
  metadata.annotations?.[classAnnotation] !== undefined || spec?.storageClassName !== undefined;

/** Of several defaults the youngest; of equally old ones the first by name (`GetDefaultClass`). */
export function defaultClass(classes: readonly StorageClass[]): StorageClass | undefined {
  const sortKey = ({ metadata }: StorageClass): string => metadata.creationTimestamp ?? "";
  return classes
    .filter(({ metadata }) => defaultAnnotations.some((each) => metadata.annotations?.[each] === "true"))
    .toSorted((left, right) => {
      if (sortKey(left) !== sortKey(right)) return sortKey(left) > sortKey(right) ? -1 : 1;
      return (left.metadata.name ?? "") < (right.metadata.name ?? "") ? -1 : 1;
    })[0];
}

const capacityOf = ({ spec }: PersistentVolume): Quantity => quantityFromJson(spec?.capacity?.["storage"]);
const requestOf = ({ spec }: PersistentVolumeClaim): Quantity =>
  quantityFromJson(spec?.resources?.requests?.["storage"]);

export const modesDiffer = (claim: PersistentVolumeClaim, volume: PersistentVolume): boolean =>
  (claim.spec?.volumeMode ?? "Filesystem") !== (volume.spec?.volumeMode ?? "Filesystem");

const attributesDiffer = (claim: PersistentVolumeClaim, volume: PersistentVolume): boolean =>
  (claim.spec?.volumeAttributesClassName ?? "") !== (volume.spec?.volumeAttributesClassName ?? "");

const hasAccessModes = (claim: PersistentVolumeClaim, volume: PersistentVolume): boolean =>
  (claim.spec?.accessModes ?? []).every((mode) => volume.spec?.accessModes?.includes(mode) === true);

/** Whether the volume is kept for this claim, by its name at least (`IsVolumeBoundToClaim`). */
export function isKeptFor({ spec }: PersistentVolume, { metadata }: PersistentVolumeClaim): boolean {
  const { claimRef } = spec ?? {};
  if (claimRef === undefined || claimRef.name !== metadata.name || claimRef.namespace !== metadata.namespace)
    return false;
  return (claimRef.uid ?? "") === "" || claimRef.uid === metadata.uid;
}

/** Why a claim cannot have the volume that it names; `undefined`: it can (`checkVolumeSatisfyClaim`). */
export function mismatchOf(volume: PersistentVolume, claim: PersistentVolumeClaim): string | undefined {
  if (volume.metadata.deletionTimestamp !== undefined)
    return `the volume is marked for deletion "${volume.metadata.name ?? ""}"`;
  if (capacityOf(volume).cmp(requestOf(claim)) < 0) return "requested PV is too small";
  if (classOf(volume) !== classOf(claim)) return "storageClassName does not match";
  if (attributesDiffer(claim, volume)) return "volumeAttributesClassName does not match";
  if (modesDiffer(claim, volume)) return "incompatible volumeMode";
  return hasAccessModes(claim, volume) ? undefined : "incompatible accessMode";
}

/**
 * The volume for a claim that names none: of those with the fewest access modes the one that is kept for it, else the smallest that fits.
 *
 * @param volumes at least those of its class and those kept for it
 * @param waits whether the scheduler is to choose: only what is kept for the claim counts
 */
export function findVolume(
  claim: PersistentVolumeClaim,
  volumes: readonly PersistentVolume[],
  waits: boolean,
): PersistentVolume | undefined {
  const byModes = Map.groupBy(
    volumes.filter((volume) => hasAccessModes(claim, volume)),
    modesText,
  );
  const groups = [...byModes].toSorted(
    ([left], [right]) => left.split(",").length - right.split(",").length || (left < right ? -1 : 1),
  );
  for (const [, group] of groups) {
    const found = bestOf(claim, group, waits);
    if (found !== undefined) return found;
  }
  return undefined;
}

const modesText = ({ spec }: PersistentVolume): string =>
  modeOrder.filter((mode) => spec?.accessModes?.includes(mode) === true).join(",");

/** `FindMatchingVolume` */
function bestOf(
  claim: PersistentVolumeClaim,
  volumes: readonly PersistentVolume[],
  waits: boolean,
): PersistentVolume | undefined {
  const requested = requestOf(claim);
  const selector = claim.spec?.selector === undefined ? undefined : selectorOf(claim.spec.selector);
  let smallest: PersistentVolume | undefined;
  for (const volume of volumes) {
    const isKept = isKeptFor(volume, claim);
    if (volume.spec?.claimRef !== undefined && !isKept) continue;
    if (capacityOf(volume).cmp(requested) < 0) continue;
    if (modesDiffer(claim, volume) || attributesDiffer(claim, volume)) continue;
    if (volume.metadata.deletionTimestamp !== undefined) continue;
    if (isKept) return volume;
    if (waits || volume.status?.phase !== "Available") continue;
    if (selector !== undefined && !matchesLabels(selector, volume.metadata.labels)) continue;
    if (classOf(volume) !== classOf(claim)) continue;
    if (smallest === undefined || capacityOf(smallest).cmp(capacityOf(volume)) > 0) smallest = volume;
  }
  return smallest;
}
