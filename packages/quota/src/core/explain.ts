import type { BizGroupResourceQuota } from "@fleetwright/api";
import { groupResourceOf } from "@fleetwright/kube";
import { excess, noAmounts, parseAmounts, printAmount, type Amounts } from "./amounts.ts";
import { footprint } from "./footprint.ts";
import { groupOf, type Workload } from "./ownership.ts";
import { noDefaults, type NamespaceDefaults } from "./pod-template.ts";
import { UsageIndex, type Entry } from "./usage-index.ts";
import type { WorkloadKind } from "./workload-kind.ts";

/** One key of one group; amounts as users write them. */
export interface KeyUse {
  readonly key: string;
  readonly hard: string;
  readonly used: string;
  readonly selfUsed: string;
  readonly granted: string;
  readonly left: string;
}

/** A node of the quota tree. */
export interface GroupNode {
  readonly name: string;
  readonly keys: readonly KeyUse[];
  readonly children: readonly GroupNode[];
}

function keysOf(group: BizGroupResourceQuota): readonly KeyUse[] {
  const hard = parseAmounts(group.spec.hard, "spec.hard");
  const used = parseAmounts(group.status?.used, "status.used");
  const self = parseAmounts(group.status?.selfUsed, "status.selfUsed");
  return [...hard].map(([key, limit]) => {
    const [taken, own] = [used.get(key) ?? 0n, self.get(key) ?? 0n];
    const print = (amount: bigint): string => printAmount(key, amount);
    const left = limit > taken ? limit - taken : 0n;
    return {
      key,
      hard: print(limit),
      used: print(taken),
      selfUsed: print(own),
      granted: print(taken - own),
      left: print(left),
    };
  });
}

/** The groups as trees, by name. A group whose parent is missing stands at the top. */
export function quotaTree(groups: readonly BizGroupResourceQuota[]): readonly GroupNode[] {
  const names = new Set(groups.map((group) => group.metadata.name));
  const byParent = Map.groupBy(groups, (group) =>
    names.has(group.spec.parentBizGroup) ? (group.spec.parentBizGroup ?? "") : "",
  );
  const below = (parent: string, above: ReadonlySet<string>): readonly GroupNode[] =>
    (byParent.get(parent) ?? [])
      .map((group) => ({ group, name: group.metadata.name ?? "" }))
      .filter(({ name }) => !above.has(name))
      .toSorted((left, right) => (left.name < right.name ? -1 : 1))
      .map(({ group, name }) => ({ name, keys: keysOf(group), children: below(name, new Set([...above, name])) }));
  return below("", new Set());
}

/** What a workload is charged. */
export interface Holder {
  /** `deployments.apps`, or `bizgroupresourcequotas.fleetwright.dev` for a child group. */
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly charge: Readonly<Record<string, string>>;
}

export interface GroupExplanation {
  readonly name: string;
  /** From the root down to the group. */
  readonly levels: readonly { readonly name: string; readonly keys: readonly KeyUse[] }[];
  /** Who has the room: child groups and workloads, on the group's keys, the greatest first. */
  readonly holders: readonly Holder[];
  readonly conditions: readonly { readonly type: string; readonly status: string; readonly message: string }[];
}

function indexOf(
  groups: readonly BizGroupResourceQuota[],
  workloads: readonly Workload[],
  defaults: (namespace: string) => NamespaceDefaults,
): UsageIndex {
  const kinds = new Map<string, WorkloadKind>(workloads.map(({ kind }) => [groupResourceOf(kind.resource), kind]));
  const index = new UsageIndex([...kinds.values()], defaults);
  for (const group of groups) index.upsertGroup(group);
  for (const { kind, object } of workloads) index.upsert(kind, object);
  return index;
}

function levelsOf(name: string, groups: readonly BizGroupResourceQuota[]): readonly BizGroupResourceQuota[] {
  const byName = new Map(groups.map((group) => [group.metadata.name ?? "", group]));
  const levels: BizGroupResourceQuota[] = [];
  for (
    let group = byName.get(name);
    group && !levels.includes(group);
    group = byName.get(group.spec.parentBizGroup ?? "")
  )
    levels.unshift(group);
  return levels;
}

/** Everything that is known of a group; `undefined` when there is none of that name. */
export function explainGroup(
  name: string,
  groups: readonly BizGroupResourceQuota[],
  workloads: readonly Workload[],
  defaults: (namespace: string) => NamespaceDefaults = () => noDefaults,
): GroupExplanation | undefined {
  const levels = levelsOf(name, groups);
  const group = levels.at(-1);
  if (!group) return undefined;
  const keys = Object.keys(group.spec.hard);
  const members = [...indexOf(groups, workloads, defaults).members(name)].filter((entry) =>
    keys.some((key) => (entry.effective.get(key) ?? 0n) > 0n),
  );
  const first = keys[0] ?? "";
  return {
    name,
    levels: levels.map((level) => ({ name: level.metadata.name ?? "", keys: keysOf(level) })),
    holders: members.toSorted(byCharge(first)).map((entry) => holderOf(entry, keys)),
    conditions: (group.status?.conditions ?? []).map(({ type, status, message }) => ({ type, status, message })),
  };
}

const byCharge =
  (key: string) =>
  (left: Entry, right: Entry): number => {
    const difference = (right.effective.get(key) ?? 0n) - (left.effective.get(key) ?? 0n);
    return difference > 0n ? 1 : difference < 0n ? -1 : left.name < right.name ? -1 : 1;
  };

function holderOf(entry: Entry, keys: readonly string[]): Holder {
  const charge = keys.flatMap((key) => {
    const amount = entry.effective.get(key) ?? 0n;
    return amount > 0n ? [[key, printAmount(key, amount)] as const] : [];
  });
  return { kind: entry.kindName, namespace: entry.namespace, name: entry.name, charge: Object.fromEntries(charge) };
}

/** One key at one level that would stop the workload. */
export interface MissingRoom {
  readonly key: string;
  readonly needs: string;
  readonly left: string;
  readonly hard: string;
  /** Who has the room in this group, the greatest first. */
  readonly holders: readonly Holder[];
  /** What the groups above have left of it: room that could be granted. */
  readonly above: readonly { readonly group: string; readonly left: string }[];
}

export type FitVerdict =
  | { readonly kind: "no-label" }
  | { readonly kind: "unknown-group"; readonly group: string }
  | {
      readonly kind: "unspecified";
      readonly group: string;
      readonly missing: readonly { readonly key: string; readonly containers: readonly string[] }[];
    }
  | { readonly kind: "fits"; readonly group: string; readonly needs: Readonly<Record<string, string>> }
  | {
      readonly kind: "lacks";
      readonly group: string;
      readonly needs: Readonly<Record<string, string>>;
      readonly missing: readonly MissingRoom[];
    };

/**
 * Whether a workload would be admitted, by what the groups' status says. The API server's own word is `kubectl apply --dry-run=server`.
 *
 * @param workloads what exists: an object of the same kind, namespace and name is replaced, the others are who holds the room
 */
export function fits(
  workload: Workload,
  groups: readonly BizGroupResourceQuota[],
  workloads: readonly Workload[],
  defaults: (namespace: string) => NamespaceDefaults = () => noDefaults,
): FitVerdict {
  const group = groupOf(workload.object);
  if (group === undefined) return { kind: "no-label" };
  const levels = levelsOf(group, groups);
  const own = levels.at(-1);
  if (!own) return { kind: "unknown-group", group };
  const hard = parseAmounts(own.spec.hard, "spec.hard");
  const { namespace = "", name } = workload.object.metadata;
  const asked = footprint(workload.kind, workload.object, defaults(namespace));
  const unspecified = [...asked.unspecified].filter(([key]) => hard.has(key));
  if (unspecified.length > 0)
    return { kind: "unspecified", group, missing: unspecified.map(([key, containers]) => ({ key, containers })) };

  const index = indexOf(groups, workloads, defaults);
  const kindName = groupResourceOf(workload.kind.resource);
  const members = [...index.members(group)];
  const replaced = members.find(
    (entry) => entry.kindName === kindName && entry.namespace === namespace && entry.name === name,
  );
  const need = excess(asked.charge, replaced?.effective ?? noAmounts);
  const needs = Object.fromEntries(
    [...need].filter(([key]) => hard.has(key)).map(([key, amount]) => [key, printAmount(key, amount)]),
  );
  const used = parseAmounts(own.status?.used, "status.used");
  const missing = [...need].flatMap(([key, amount]): readonly MissingRoom[] => {
    const limit = hard.get(key);
    if (limit === undefined || (used.get(key) ?? 0n) + amount <= limit) return [];
    const holders = members
      .filter((entry) => entry !== replaced && (entry.effective.get(key) ?? 0n) > 0n)
      .toSorted(byCharge(key));
    return [
      {
        key,
        needs: printAmount(key, amount),
        left: leftText(key, limit, used),
        hard: printAmount(key, limit),
        holders: holders.map((entry) => holderOf(entry, [key])),
        above: levels.slice(0, -1).flatMap((level) => {
          const limitAbove = parseAmounts(level.spec.hard, "spec.hard").get(key);
          if (limitAbove === undefined) return [];
          return [
            {
              group: level.metadata.name ?? "",
              left: leftText(key, limitAbove, parseAmounts(level.status?.used, "status.used")),
            },
          ];
        }),
      },
    ];
  });
  return missing.length === 0 ? { kind: "fits", group, needs } : { kind: "lacks", group, needs, missing };
}

function leftText(key: string, limit: bigint, used: Amounts): string {
  const left = limit - (used.get(key) ?? 0n);
  return printAmount(key, left > 0n ? left : 0n);
}
