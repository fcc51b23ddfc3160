import { groupConditions, groupReasons, type BizGroupResourceQuota, type Condition } from "@fleetwright/api";
import {
  isNotFound,
  type Client,
  type Clock,
  type EventRecorder,
  type KubeObject,
  type Logger,
  type Reconciler,
  type ReconcileRequest,
  type ReconcileResult,
} from "@fleetwright/kube";
import { printAmount } from "../core/amounts.ts";
import { expire, expiredHolds, nextExpiry, type Expired } from "../core/expiry.ts";
import { overUse, readGroup } from "../core/group-state.ts";
import type { Hold } from "../core/ledger.ts";
import { groupOf } from "../core/ownership.ts";
import { groupKindName } from "../core/usage-index.ts";
import type { GroupWriter } from "./group-writer.ts";
import { groups, type UsageCache } from "./usage-cache.ts";

export interface GroupReconcilerOptions {
  readonly client: Client;
  readonly cache: UsageCache;
  readonly writer: (group: string) => GroupWriter;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly events?: Pick<EventRecorder, "event">;
  /** Every group is counted anew at least this often, in milliseconds. @default 300_000 */
  readonly refreshMs?: number;
  /** A hold is looked up after this many milliseconds. @default 90_000 */
  readonly holdLifeMs?: number;
  /** Between two counts of one group, in milliseconds: changes come in crowds. @default 500 */
  readonly settleMs?: number;
}

const recomputeTimeoutMs = 20_000;
/** Our caches are behind what another replica has counted: they catch up without us. */
const behindMs = 200;

/** Keeps a group's status equal to what exists: settles and expires holds, repairs drift, reports over-use. */
export class GroupReconciler implements Reconciler {
  readonly #options: GroupReconcilerOptions;
  readonly #countedAt = new Map<string, number>();

  constructor(options: GroupReconcilerOptions) {
    this.#options = options;
  }

  async reconcile({ name }: ReconcileRequest, signal: AbortSignal): Promise<ReconcileResult | undefined> {
    const { cache, clock, holdLifeMs = 90_000, refreshMs = 300_000, settleMs = 500 } = this.#options;
    const group = cache.groups.get({ name });
    if (!group || !cache.synced()) {
      this.#countedAt.delete(name);
      return undefined;
    }
    const now = clock.now();
    const wait = (this.#countedAt.get(name) ?? 0) + settleMs - now;
    if (wait > 0) return { requeueAfterMs: wait };
    this.#countedAt.set(name, now);

    const live = await this.#read(name, signal);
    if (!live) return undefined;
    const expired = await this.#expired(live, holdLifeMs, signal);
    const last = Date.parse(live.status?.lastReconcileTime ?? "");
    const due = Number.isNaN(last) || now - last >= refreshMs - settleMs;
    const before = readGroup(live);
    const counted = await this.#options
      .writer(name)
      .recompute({ expired, ready: this.#ready(live), touch: due }, clock.now() + recomputeTimeoutMs, signal);
    this.#report(live, counted.state.hard, counted.ledger, expired.length, before.ledger.holds.length);
    if (!counted.fresh) return { requeueAfterMs: behindMs };
    const expiry = nextExpiry(counted.ledger, holdLifeMs);
    const next = Math.min(refreshMs, expiry === undefined ? refreshMs : Math.max(settleMs, expiry - clock.now()));
    return { requeueAfterMs: next };
  }

  async #read(name: string, signal: AbortSignal): Promise<(BizGroupResourceQuota & KubeObject) | undefined> {
    try {
      return await this.#options.client.get(groups, { name }, { signal });
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  async #expired(group: BizGroupResourceQuota, holdLifeMs: number, signal: AbortSignal): Promise<readonly Expired[]> {
    const { clock } = this.#options;
    const { name, ledger } = readGroup(group);
    const expired: Expired[] = [];
    for (const hold of expiredHolds(ledger, clock.now(), holdLifeMs)) {
      const live = await this.#lookUp(hold, signal);
      const groupOfLive = live && (hold.kind === groupKindName ? parentOf(live) : groupOf(live));
      expired.push(expire(hold, live, name, groupOfLive));
    }
    return expired;
  }

  async #lookUp(hold: Hold, signal: AbortSignal): Promise<KubeObject | undefined> {
    const { cache, client } = this.#options;
    const kind = cache.kinds.get(hold.kind);
    if (!kind && hold.kind !== groupKindName) return undefined;
    try {
      const key = { name: hold.name, ...(hold.namespace && { namespace: hold.namespace }) };
      return kind ? await client.get(kind.resource, key, { signal }) : await client.get(groups, key, { signal });
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  #ready(group: BizGroupResourceQuota): Omit<Condition, "type" | "lastTransitionTime"> {
    const parentName = group.spec.parentBizGroup ?? "";
    const parent = parentName === "" ? undefined : this.#options.cache.groups.get({ name: parentName });
    if (parentName !== "" && !parent) {
      const message = `there is no bizrq "${parentName}", the parent`;
      return { status: "False", reason: groupReasons.parentMissing, message };
    }
    const missing = Object.keys(parent?.spec.hard ?? {}).filter((key) => group.spec.hard[key] === undefined);
    if (missing.length > 0) {
      const message = `spec.hard lacks ${missing.join(", ")}, which the parent "${parentName}" limits`;
      return { status: "False", reason: groupReasons.parentDoesNotCover, message };
    }
    return { status: "True", reason: groupReasons.reconciled, message: "what the group uses has been counted" };
  }

  #report(
    group: BizGroupResourceQuota & KubeObject,
    hard: ReadonlyMap<string, bigint>,
    ledger: Parameters<typeof overUse>[1],
    expired: number,
    holdsBefore: number,
  ): void {
    const { events, logger } = this.#options;
    const regarding = { apiVersion: "fleetwright.dev/v1alpha1", kind: "BizGroupResourceQuota", ...group } as KubeObject;
    if (expired > 0)
      logger.info(
        { group: group.metadata.name, released: expired, holds: holdsBefore },
        "released holds whose objects never appeared",
      );
    const over = overUse(hard, ledger);
    const was = group.status?.conditions?.find(({ type }) => type === groupConditions.overUse)?.status === "True";
    if (over.length === 0 || was) return;
    const note = over
      .map(({ key, used, hard: limit }) => `${key}: ${printAmount(key, used)} used of ${printAmount(key, limit)}`)
      .join("; ");
    events?.event({ regarding, type: "Warning", reason: groupConditions.overUse, action: "Count", note });
    logger.warn({ group: group.metadata.name, over: note }, "more is used than allowed");
  }
}

const parentOf = (group: KubeObject): string | undefined =>
  (group as BizGroupResourceQuota & KubeObject).spec.parentBizGroup || undefined;
