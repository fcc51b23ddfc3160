import type { Deployment, ReplicaSet } from "@fleetwright/kube";
import { scaled } from "../percentage.ts";

/** Decisions of the deployment controller, without I/O (pkg/controller/deployment/{rolling,sync}.go, util/deployment_util.go). */

export const annotations = {
  revision: "deployment.kubernetes.io/revision",
  history: "deployment.kubernetes.io/revision-history",
  desired: "deployment.kubernetes.io/desired-replicas",
  max: "deployment.kubernetes.io/max-replicas",
} as const;

export const wantedOf = (owner: { readonly spec?: { readonly replicas?: number } | undefined }): number =>
  owner.spec?.replicas ?? 1;

export const isRolling = ({ spec }: Deployment): boolean =>
  (spec?.strategy?.type ?? "RollingUpdate") === "RollingUpdate";

/** Surge rounds up, unavailability down; both 0 would never move (`ResolveFenceposts`). */
function fenceposts(deployment: Deployment): { readonly surge: number; readonly unavailable: number } {
  const { maxSurge, maxUnavailable } = deployment.spec?.strategy?.rollingUpdate ?? {};
  const surge = scaled(maxSurge, wantedOf(deployment), "up");
  const unavailable = scaled(maxUnavailable, wantedOf(deployment), "down");
  return surge === 0 && unavailable === 0 ? { surge, unavailable: 1 } : { surge, unavailable };
}

export const maxSurge = (deployment: Deployment): number => (isRolling(deployment) ? fenceposts(deployment).surge : 0);

export function maxUnavailable(deployment: Deployment): number {
  if (!isRolling(deployment) || wantedOf(deployment) === 0) return 0;
  return Math.min(fenceposts(deployment).unavailable, wantedOf(deployment));
}

const sum = (sets: readonly ReplicaSet[], of: (set: ReplicaSet) => number): number =>
  sets.reduce((total, set) => total + of(set), 0);

export const specReplicas = (sets: readonly ReplicaSet[]): number => sum(sets, wantedOf);
export const availableReplicas = (sets: readonly ReplicaSet[]): number =>
  sum(sets, ({ status }) => status?.availableReplicas ?? 0);
export const statusReplicas = (sets: readonly ReplicaSet[]): number => sum(sets, ({ status }) => status?.replicas ?? 0);
export const readyReplicas = (sets: readonly ReplicaSet[]): number =>
  sum(sets, ({ status }) => status?.readyReplicas ?? 0);

export const isActiveSet = (set: ReplicaSet): boolean => wantedOf(set) > 0;

export const byCreation = (left: ReplicaSet, right: ReplicaSet): number => {
  const [first, second] = [left.metadata.creationTimestamp ?? "", right.metadata.creationTimestamp ?? ""];
  if (first !== second) return first < second ? -1 : 1;
  return (left.metadata.name ?? "") < (right.metadata.name ?? "") ? -1 : 1;
};

/** 64 bits; what is no number is 0. */
export const revisionNumber = (text: string | undefined): bigint =>
  text !== undefined && /^-?\d+$/.test(text) ? BigInt(text) : 0n;

export const revisionOf = (object: { readonly metadata: ReplicaSet["metadata"] }): bigint =>
  revisionNumber(object.metadata.annotations?.[annotations.revision]);

/** A change of a replica set's size. */
export interface Scaling {
  readonly set: ReplicaSet;
  readonly replicas: number;
}

/** How large the new set may be now (`NewRSNewReplicas`). */
export function newSetReplicas(deployment: Deployment, all: readonly ReplicaSet[], current: number): number {
  const wanted = wantedOf(deployment);
  if (!isRolling(deployment)) return wanted;
  const room = wanted + maxSurge(deployment) - specReplicas(all);
  return room <= 0 ? current : current + Math.min(room, wanted - current);
}

/** How many replicas old sets may lose before too few are available, those that the new set still owes not counted (`reconcileOldReplicaSets`). */
export function maxScaledDown(
  deployment: Deployment,
  newSet: ReplicaSet | undefined,
  old: readonly ReplicaSet[],
): number {
  const active = old.filter(isActiveSet);
  if (active.length === 0) return 0;
  const all = newSet === undefined ? active : [...active, newSet];
  const newUnavailable = newSet === undefined ? 0 : wantedOf(newSet) - (newSet.status?.availableReplicas ?? 0);
  return specReplicas(all) - minAvailable(deployment) - newUnavailable;
}

const minAvailable = (deployment: Deployment): number => wantedOf(deployment) - maxUnavailable(deployment);

/** First go those of the old sets that are not available: nobody misses them, and they would hold the rollout up (`cleanupUnhealthyReplicas`). */
export function unhealthyScalings(
  deployment: Deployment,
  newSet: ReplicaSet | undefined,
  old: readonly ReplicaSet[],
): readonly Scaling[] {
  const max = maxScaledDown(deployment, newSet, old);
  return shrunk(old, max, (set) => wantedOf(set) - (set.status?.availableReplicas ?? 0));
}

/** Then as many as availability allows (`scaleDownOldReplicaSetsForRollingUpdate`). */
export function spareScalings(
  deployment: Deployment,
  newSet: ReplicaSet | undefined,
  old: readonly ReplicaSet[],
): readonly Scaling[] {
  const active = old.filter(isActiveSet);
  const all = newSet === undefined ? active : [...active, newSet];
  return shrunk(old, availableReplicas(all) - minAvailable(deployment), wantedOf);
}

/** The oldest sets give up what they can until so many are gone. */
function shrunk(sets: readonly ReplicaSet[], max: number, spareOf: (set: ReplicaSet) => number): readonly Scaling[] {
  const scalings: Scaling[] = [];
  let left = max;
  for (const set of sets.filter(isActiveSet).toSorted(byCreation)) {
    const count = Math.min(left, spareOf(set));
    if (count <= 0) continue;
    scalings.push({ set, replicas: wantedOf(set) - count });
    left -= count;
  }
  return scalings;
}

/** A changed size is spread over the sets of a rollout in proportion (`scale`). */
export function proportionalScalings(
  deployment: Deployment,
  newSet: ReplicaSet | undefined,
  old: readonly ReplicaSet[],
): readonly Scaling[] {
  const wanted = wantedOf(deployment);
  const all = newSet === undefined ? old : [...old, newSet];
  const active = all.filter(isActiveSet);
  if (active.length <= 1) {
    const only = active[0] ?? newSet ?? old.toSorted(byCreation).at(-1);
    return only === undefined || wantedOf(only) === wanted ? [] : [{ set: only, replicas: wanted }];
  }
  if (newSet !== undefined && isSaturated(deployment, newSet)) {
    return old.filter(isActiveSet).map((set) => ({ set, replicas: 0 }));
  }
  if (!isRolling(deployment)) return [];
  const allowed = wanted > 0 ? wanted + maxSurge(deployment) : 0;
  const toAdd = allowed - specReplicas(active);
  const newerFirst = (left: ReplicaSet, right: ReplicaSet): number => byCreation(right, left);
  const sorted = active.toSorted(
    (left, right) =>
      wantedOf(right) - wantedOf(left) || (toAdd > 0 ? newerFirst(left, right) : byCreation(left, right)),
  );
  let added = 0;
  const scalings = sorted.map((set): Scaling => {
    const share = toAdd === 0 ? 0 : proportion(deployment, set, toAdd, added);
    added += share;
    return { set, replicas: wantedOf(set) + share };
  });
  const leftover = toAdd - added;
  return scalings.map(({ set, replicas }, index) => ({
    set,
    replicas: Math.max(0, index === 0 ? replicas + leftover : replicas),
  }));
}

function isSaturated(deployment: Deployment, set: ReplicaSet): boolean {
  const wanted = wantedOf(deployment);
  const desired = Number(set.metadata.annotations?.[annotations.desired]);
  return wantedOf(set) === wanted && desired === wanted && (set.status?.availableReplicas ?? 0) === wanted;
}

function proportion(deployment: Deployment, set: ReplicaSet, toAdd: number, added: number): number {
  if (toAdd === added) return 0;
  const size = wantedOf(set);
  const allowed = toAdd - added;
  const share = ((): number => {
    if (wantedOf(deployment) === 0) return -size;
    const before = Number(set.metadata.annotations?.[annotations.max]) || deployment.status?.replicas || 0;
    if (before === 0) return 0;
    return Math.round((size * (wantedOf(deployment) + maxSurge(deployment))) / before) - size;
  })();
  return toAdd > 0 ? Math.min(share, allowed) : Math.max(share, allowed);
}
