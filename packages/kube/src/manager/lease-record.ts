import type { Lease } from "../builtin/coordination-v1.generated.ts";
import { microTime } from "./micro-time.ts";

/** What of a Lease decides who leads: client-go's `LeaderElectionRecord`. */
export interface LeaseRecord {
  /** `""`: released. */
  readonly holder: string;
  readonly durationMs: number;
  readonly transitions: number;
  readonly acquireTime: string;
  readonly renewTime: string;
}

export function recordOf(lease: Lease): LeaseRecord {
  const { holderIdentity, leaseDurationSeconds, leaseTransitions, acquireTime, renewTime } = lease.spec ?? {};
  return {
    holder: holderIdentity ?? "",
    durationMs: (leaseDurationSeconds ?? 0) * 1000,
    transitions: leaseTransitions ?? 0,
    acquireTime: acquireTime ?? "",
    renewTime: renewTime ?? "",
  };
}

/** A lease whose record changed was renewed; whatever times it names, only this is looked at. */
export const sameRecord = (left: LeaseRecord, right: LeaseRecord): boolean =>
  left.holder === right.holder &&
  left.renewTime === right.renewTime &&
  left.acquireTime === right.acquireTime &&
  left.transitions === right.transitions &&
  left.durationMs === right.durationMs;

/**
 * May a candidate take the lease? Only its own clock counts: others' times may be wrong by hours.
 *
 * @param observedAt when this very record was first seen, by the candidate's clock
 */
export const isFree = (record: LeaseRecord, observedAt: number, now: number): boolean =>
  record.holder === "" || now >= observedAt + record.durationMs;

/** The lease as its new holder writes it. `before` is absent when there was no lease. */
export function acquired(
  before: LeaseRecord | undefined,
  holder: string,
  durationMs: number,
  now: number,
): LeaseRecord {
  const at = microTime(now);
  const transitions = before === undefined ? 0 : before.transitions + 1;
  return { holder, durationMs, transitions, acquireTime: at, renewTime: at };
}

export const renewed = (held: LeaseRecord, now: number): LeaseRecord => ({ ...held, renewTime: microTime(now) });

/** client-go writes one second, not none, which the server refuses. */
export function released(held: LeaseRecord, now: number): LeaseRecord {
  const at = microTime(now);
  return { ...held, holder: "", durationMs: 1000, acquireTime: at, renewTime: at };
}

/** The lease with this record; everything else on it stays. */
export function withRecord(lease: Lease, record: LeaseRecord): Lease {
  return {
    ...lease,
    spec: {
      ...lease.spec,
      holderIdentity: record.holder,
      leaseDurationSeconds: Math.round(record.durationMs / 1000),
      leaseTransitions: record.transitions,
      acquireTime: record.acquireTime,
      renewTime: record.renewTime,
    },
  };
}
