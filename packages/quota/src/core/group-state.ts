import {
  groupConditions,
  groupReasons,
  setCondition,
  type BizGroupResourceQuota,
  type Condition,
} from "@fleetwright/api";
import { parseAmounts, printAmount, printAmounts, type Amounts } from "./amounts.ts";
import { decodeLedger, encodeLedger } from "./ledger-codec.ts";
import { usedOf, type Ledger } from "./ledger.ts";

/** A group as read: the check and the write that follows name its resource version. */
export interface GroupState {
  readonly object: BizGroupResourceQuota;
  readonly name: string;
  readonly hard: Amounts;
  readonly ledger: Ledger;
}

/** @throws FW_QUOTA_LEDGER, FW_QUOTA_QUANTITY */
export function readGroup(object: BizGroupResourceQuota): GroupState {
  const name = object.metadata.name ?? "";
  return {
    object,
    name,
    hard: parseAmounts(object.spec.hard, `bizrq "${name}": spec.hard`),
    ledger: decodeLedger(object.status?.ledger, name),
  };
}

/** Keys of which more is used than `hard` allows. */
export function overUse(hard: Amounts, ledger: Ledger): readonly { key: string; used: bigint; hard: bigint }[] {
  return [...hard].flatMap(([key, limit]) => {
    const used = usedOf(ledger, key);
    return used > limit ? [{ key, used, hard: limit }] : [];
  });
}

const timeText = (now: number): string => new Date(now).toISOString().replace(/\.\d+Z$/, "Z");

/** The group with its status for a ledger. `selfUsed + granted = used` for every key of `hard`. */
export function writeGroup(
  state: GroupState,
  ledger: Ledger,
  options: {
    readonly now: number;
    readonly reconciled: boolean;
    readonly ready?: Omit<Condition, "type" | "lastTransitionTime">;
  },
): BizGroupResourceQuota {
  const { object, hard } = state;
  const keys = [...hard.keys()];
  const used = new Map(keys.map((key) => [key, usedOf(ledger, key)]));
  const time = timeText(options.now);
  const over = overUse(hard, ledger);
  const observedGeneration = object.metadata.generation;
  let conditions = setCondition(object.status?.conditions ?? [], {
    type: groupConditions.overUse,
    status: over.length > 0 ? "True" : "False",
    reason: over.length > 0 ? groupReasons.hardExceeded : groupReasons.withinHard,
    message: over
      .map((each) => `${each.key}: ${printAmount(each.key, each.used)} used of ${printAmount(each.key, each.hard)}`)
      .join("; "),
    lastTransitionTime: time,
    ...(observedGeneration === undefined ? {} : { observedGeneration }),
  });
  if (options.ready) {
    conditions = setCondition(conditions, {
      ...options.ready,
      type: groupConditions.ready,
      lastTransitionTime: time,
      ...(observedGeneration === undefined ? {} : { observedGeneration }),
    });
  }
  const lastReconcileTime = options.reconciled ? time : object.status?.lastReconcileTime;
  return {
    ...object,
    status: {
      ...object.status,
      hard: printAmounts(hard),
      used: printAmounts(used),
      selfUsed: printAmounts(ledger.self, keys),
      ...(lastReconcileTime === undefined ? {} : { lastReconcileTime }),
      ...(observedGeneration === undefined ? {} : { observedGeneration }),
      conditions,
      ledger: encodeLedger(ledger),
    },
  };
}

/** Whether a write would say anything new, times of counting aside. */
export function sameStatus(left: BizGroupResourceQuota, right: BizGroupResourceQuota): boolean {
  const plain = ({ status }: BizGroupResourceQuota): string =>
    JSON.stringify([
      sorted(status?.hard),
      sorted(status?.used),
      sorted(status?.selfUsed),
      status?.ledger,
      status?.observedGeneration,
      (status?.conditions ?? []).map(({ type, status: value, reason, message }) => [type, value, reason, message]),
    ]);
  return plain(left) === plain(right);
}

const sorted = (map: object | undefined): unknown => Object.entries(map ?? {}).toSorted(([a], [b]) => (a < b ? -1 : 1));
