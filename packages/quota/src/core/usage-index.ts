import { controllerOf, groupResourceOf, type KubeObject } from "@fleetwright/kube";
import { BizGroupResourceQuotas, type BizGroupResourceQuota } from "@fleetwright/api";
import { addInto, noAmounts, parseAmounts, subtractFrom, type Amounts } from "./amounts.ts";
import { footprint } from "./footprint.ts";
import type { GroupView, Part, Sighting } from "./group-view.ts";
import { groupOf, isCovered, type Workload } from "./ownership.ts";
import type { NamespaceDefaults } from "./pod-template.ts";
import { slotKey, type Slot } from "./ledger.ts";
import { isNewer } from "./recompute.ts";
import type { WorkloadKind } from "./workload-kind.ts";

/** The kind name under which child groups stand in ledgers. */
export const groupKindName: string = groupResourceOf(BizGroupResourceQuotas);

/** One object that names a group, and what it takes of it. */
export interface Entry {
  readonly kindName: string;
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  /** The group it is charged to; of a child group, its parent. */
  readonly group: string;
  readonly version: string;
  /** What it would be charged by itself. */
  readonly charge: Amounts;
  /** Absent for groups. */
  readonly workload?: Workload;
  /** What it is charged: nothing while a workload of the same group owns it. */
  readonly effective: Amounts;
}

const slotOf = ({ kindName, namespace, name }: Entry): Slot => ({ kind: kindName, namespace, name });

interface GroupTotals {
  readonly members: Set<string>;
  readonly workloads: Map<string, bigint>;
  readonly groups: Map<string, bigint>;
  /** Per kind, the highest version of an object that was ever counted here. */
  readonly newest: Map<string, string>;
}

/** Deleted objects are remembered for longer than any hold lives, so that a hold of an object that came and went is released at once. */
const rememberDeletedMs = 10 * 60_000;

/** What all groups use, kept up to date object by object, so that an admission costs the size of its ledger and not of the fleet. */
export class UsageIndex {
  readonly #entries = new Map<string, Entry>();
  /** UIDs by slot. */
  readonly #slots = new Map<string, string>();
  readonly #children = new Map<string, Set<string>>();
  readonly #groups = new Map<string, GroupTotals>();
  readonly #gone = new Map<string, { readonly version: string; readonly at: number }>();
  readonly #kinds: ReadonlyMap<string, WorkloadKind>;
  readonly #defaults: (namespace: string) => NamespaceDefaults;

  constructor(kinds: readonly WorkloadKind[], defaults: (namespace: string) => NamespaceDefaults) {
    this.#kinds = new Map(kinds.map((kind) => [groupResourceOf(kind.resource), kind]));
    this.#defaults = defaults;
  }

  /** Takes in an object as it is now. Returns the groups whose use may have changed. */
  upsert(kind: WorkloadKind, object: KubeObject): ReadonlySet<string> {
    const group = groupOf(object);
    const uid = object.metadata.uid ?? "";
    if (group === undefined) return this.#take(uid);
    const entry: Entry = {
      kindName: groupResourceOf(kind.resource),
      uid,
      namespace: object.metadata.namespace ?? "",
      name: object.metadata.name ?? "",
      group,
      version: object.metadata.resourceVersion ?? "",
      charge: this.#chargeOf(kind, object),
      workload: { kind, object },
      effective: noAmounts,
    };
    return this.#put(entry);
  }

  /** Takes in a child group. A root is nobody's child, but a sighting all the same. */
  upsertGroup(group: BizGroupResourceQuota): ReadonlySet<string> {
    const charge = parseAmounts(group.spec.hard, "spec.hard");
    return this.#put({
      kindName: groupKindName,
      uid: group.metadata.uid ?? "",
      namespace: "",
      name: group.metadata.name ?? "",
      group: group.spec.parentBizGroup ?? "",
      version: group.metadata.resourceVersion ?? "",
      charge,
      effective: charge,
    });
  }

  /** Takes in an entry of another index. */
  adopt(entry: Entry): void {
    this.#put(entry);
  }

  /**
   * Forgets an object that was deleted or no longer names a group: a watch by label can't tell which.
   *
   * @param version of the last event; after a relist, the last that was seen
   * @param now milliseconds since the epoch
   */
  remove(uid: string, version: string, now: number): ReadonlySet<string> {
    this.#gone.delete(uid);
    this.#gone.set(uid, { version, at: now });
    for (const [each, { at }] of this.#gone) {
      if (now - at < rememberDeletedMs) break;
      this.#gone.delete(each);
    }
    return this.#take(uid);
  }

  /** Charges a namespace's templates again, after its LimitRanges changed. `undefined`: all namespaces. */
  revalue(namespace?: string): ReadonlySet<string> {
    const touched = new Set<string>();
    // Copied: each one is taken out and put back.
    const entries = this.#entries.values().toArray();
    for (const entry of entries) {
      if (!entry.workload || entry.workload.kind.defaulted) continue;
      if (namespace !== undefined && entry.namespace !== namespace) continue;
      for (const group of this.upsert(entry.workload.kind, entry.workload.object)) touched.add(group);
    }
    return touched;
  }

  get(uid: string): Entry | undefined {
    return this.#entries.get(uid);
  }

  /** The objects that are counted to a group. */
  *members(group: string): Generator<Entry> {
    for (const uid of this.#groups.get(group)?.members ?? []) {
      const entry = this.#entries.get(uid);
      if (entry) yield entry;
    }
  }

  /** Children of an owner, of one kind. */
  childrenOf(ownerUid: string, kindName: string): readonly Entry[] {
    return [...(this.#children.get(ownerUid) ?? [])].flatMap((uid) => {
      const entry = this.#entries.get(uid);
      return entry?.kindName === kindName ? [entry] : [];
    });
  }

  /** @param versionOf the resource version up to which a kind is known here */
  view(group: string, versionOf: (kindName: string) => string): GroupView {
    const totals = this.#groups.get(group);
    const workloadKinds = [...this.#kinds.keys()];
    return {
      kinds: (part: Part) => (part === "groups" ? [groupKindName] : workloadKinds),
      version: versionOf,
      newest: (kind) => totals?.newest.get(kind) ?? "",
      total: (part) => totals?.[part] ?? noAmounts,
      charge: (slot) => {
        const entry = this.#entries.get(this.#slots.get(slotKey(slot)) ?? "");
        return entry?.group === group ? entry.effective : noAmounts;
      },
      members: (part) => {
        let count = 0;
        for (const entry of this.members(group))
          if ((entry.kindName === groupKindName) === (part === "groups")) count++;
        return count;
      },
      sighting: (_kind, uid) => this.sighting(uid),
    };
  }

  sighting(uid: string): Sighting | undefined {
    const entry = this.#entries.get(uid);
    if (entry) return { version: entry.version };
    const gone = this.#gone.get(uid);
    return gone && { version: gone.version };
  }

  #chargeOf(kind: WorkloadKind, object: KubeObject): Amounts {
    return footprint(kind, object, this.#defaults(object.metadata.namespace ?? "")).charge;
  }

  #put(entry: Entry): ReadonlySet<string> {
    const before = this.#entries.get(entry.uid);
    // A relist may bring an object that an event has overtaken.
    if (before && isNewer(before.version, entry.version)) return new Set();
    // One slot, one object: after a gap in the watch the news of the second may come without the end of the first.
    const other = this.#entries.get(this.#slots.get(slotKey(slotOf(entry))) ?? "");
    if (other && other.uid !== entry.uid && isNewer(other.version, entry.version)) return new Set();
    const touched = new Set<string>(other && other.uid !== entry.uid ? this.#take(other.uid) : []);
    if (before) this.#unlink(before, touched);
    this.#link(entry, touched);
    this.#recover(entry, before, touched);
    return touched;
  }

  #take(uid: string): ReadonlySet<string> {
    const before = this.#entries.get(uid);
    const touched = new Set<string>();
    if (!before) return touched;
    this.#unlink(before, touched);
    this.#recover(undefined, before, touched);
    return touched;
  }

  #link(entry: Entry, touched: Set<string>): void {
    this.#entries.set(entry.uid, entry);
    this.#slots.set(slotKey(slotOf(entry)), entry.uid);
    const owner = entry.workload && controllerOf(entry.workload.object)?.uid;
    if (owner !== undefined) {
      const siblings = this.#children.get(owner);
      if (siblings) siblings.add(entry.uid);
      else this.#children.set(owner, new Set([entry.uid]));
    }
    const totals = this.#totalsOf(entry.group);
    totals.members.add(entry.uid);
    if (isNewer(entry.version, totals.newest.get(entry.kindName) ?? ""))
      totals.newest.set(entry.kindName, entry.version);
    const effective = this.#effectiveOf(entry);
    this.#entries.set(entry.uid, { ...entry, effective });
    addInto(this.#sumOf(entry), effective);
    touched.add(entry.group);
  }

  #unlink(entry: Entry, touched: Set<string>): void {
    subtractFrom(this.#sumOf(entry), entry.effective);
    this.#groups.get(entry.group)?.members.delete(entry.uid);
    const owner = entry.workload && controllerOf(entry.workload.object)?.uid;
    if (owner !== undefined) {
      const siblings = this.#children.get(owner);
      siblings?.delete(entry.uid);
      if (siblings?.size === 0) this.#children.delete(owner);
    }
    this.#entries.delete(entry.uid);
    this.#slots.delete(slotKey(slotOf(entry)));
    touched.add(entry.group);
  }

  /** Children and, of a CronJob's Jobs, siblings may have become free or charged. */
  #recover(after: Entry | undefined, before: Entry | undefined, touched: Set<string>): void {
    const uid = (after ?? before)?.uid ?? "";
    const affected = new Set(this.#children.get(uid));
    for (const entry of [after, before]) {
      const owner = entry?.workload && controllerOf(entry.workload.object);
      if (owner?.kind === "CronJob") for (const sibling of this.#children.get(owner.uid) ?? []) affected.add(sibling);
    }
    affected.delete(uid);
    for (const each of affected) {
      const entry = this.#entries.get(each);
      if (!entry) continue;
      const effective = this.#effectiveOf(entry);
      if (effective === entry.effective) continue;
      const sum = this.#sumOf(entry);
      subtractFrom(sum, entry.effective);
      addInto(sum, effective);
      this.#entries.set(each, { ...entry, effective });
      touched.add(entry.group);
    }
  }

  #effectiveOf(entry: Entry): Amounts {
    if (!entry.workload) return entry.charge;
    const reference = controllerOf(entry.workload.object);
    if (!reference) return entry.charge;
    const owner = this.#entries.get(reference.uid)?.workload;
    const siblings =
      owner?.kind.resource.kind === "CronJob"
        ? this.childrenOf(reference.uid, entry.kindName).flatMap((each) =>
            each.uid !== entry.uid && each.workload ? [each.workload] : [],
          )
        : [];
    return isCovered(entry.workload, owner, siblings) ? noAmounts : entry.charge;
  }

  #totalsOf(group: string): GroupTotals {
    const known = this.#groups.get(group);
    if (known) return known;
    const created: GroupTotals = { members: new Set(), workloads: new Map(), groups: new Map(), newest: new Map() };
    this.#groups.set(group, created);
    return created;
  }

  #sumOf(entry: Entry): Map<string, bigint> {
    const totals = this.#totalsOf(entry.group);
    return entry.kindName === groupKindName ? totals.groups : totals.workloads;
  }
}
