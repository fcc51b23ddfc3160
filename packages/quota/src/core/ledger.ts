import type { Amounts } from "./amounts.ts";

/**
 * The book of one group (docs/decisions/0001-quota-ledger.md). It counts all keys that are ever charged, not only those of `spec.hard`: a key
 * that is added to `hard` later is then limited from its first moment.
 */
export interface Ledger {
  /** What the group's own workloads use; absent before the first count. */
  readonly self: Amounts;
  /** The hard of the groups directly below. */
  readonly granted: Amounts;
  readonly holds: readonly Hold[];
  /** Per kind (`deployments.apps`), the highest resource version of an object that was counted or that settled a hold. */
  readonly seen: Readonly<Record<string, string>>;
  /** The group is about to be deleted: until this lapses nothing is admitted. Milliseconds since the epoch. */
  readonly closingSince?: number;
}

/** A place that at most one object has at a time: what is charged is the slot, whatever UID its object has. */
export interface Slot {
  /** `deployments.apps` */
  readonly kind: string;
  /** `""` for cluster-scoped objects. */
  readonly namespace: string;
  readonly name: string;
}

/** An admitted change that no cache has shown yet. */
export interface Hold extends Slot {
  /** `""`: it stands for several creates of one slot. Each of them may still be stored, so no sighting settles it. */
  readonly uid: string;
  /** The resource version that the change replaces; `""` for a create. */
  readonly base: string;
  /** When it was admitted, in milliseconds since the epoch. */
  readonly at: number;
  /** What the object will use, absolutely. */
  readonly charge: Amounts;
}

export const emptyLedger: Ledger = { self: new Map(), granted: new Map(), holds: [], seen: {} };

/** A slot as the key of a map. */
export const slotKey = ({ kind, namespace, name }: Slot): string => `${kind}/${namespace}/${name}`;

export const isSameSlot = (left: Slot, right: Slot): boolean =>
  left.name === right.name && left.namespace === right.namespace && left.kind === right.kind;

/** What is taken of `hard`. */
export function usedOf(ledger: Pick<Ledger, "self" | "granted">, key: string): bigint {
  return (ledger.self.get(key) ?? 0n) + (ledger.granted.get(key) ?? 0n);
}
