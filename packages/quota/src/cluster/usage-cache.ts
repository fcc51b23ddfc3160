import { BizGroupResourceQuotas, groupLabel, type BizGroupResourceQuota } from "@fleetwright/api";
import {
  groupResourceOf,
  LimitRanges,
  RuntimeClasses,
  type Cache,
  type Clock,
  type Informer,
  type KubeObject,
  type LimitRange,
  type Resource,
  type RuntimeClass,
} from "@fleetwright/kube";
import { add, parseAmounts } from "../core/amounts.ts";
import type { ContainerDefaults, NamespaceDefaults, Quantities } from "../core/pod-template.ts";
import type { GroupContext, Level } from "../core/refusal.ts";
import { groupKindName, UsageIndex } from "../core/usage-index.ts";
import type { WorkloadKind } from "../core/workload-kind.ts";
import { createProjection, projectGroup } from "./projection.ts";

/** Our resource as the client takes it. */
export const groups: Resource<BizGroupResourceQuota & KubeObject> = BizGroupResourceQuotas as Resource<
  BizGroupResourceQuota & KubeObject
>;

type Group = BizGroupResourceQuota & KubeObject;

/** What every replica knows: the informers of all kinds that are charged, and the index of what they use. */
export class UsageCache {
  readonly kinds: ReadonlyMap<string, WorkloadKind>;
  readonly index: UsageIndex;
  readonly groups: Informer<Group>;
  readonly #informers = new Map<string, Informer<KubeObject>>();
  readonly #limitRanges: Informer<LimitRange>;
  readonly #runtimeClasses: Informer<RuntimeClass>;
  readonly #listeners = new Set<(group: string) => void>();

  constructor(cache: Cache, clock: Clock, kinds: readonly WorkloadKind[]) {
    this.kinds = new Map(kinds.map((kind) => [groupResourceOf(kind.resource), kind]));
    this.index = new UsageIndex(kinds, (namespace) => this.defaults(namespace));
    this.#limitRanges = cache.informer(LimitRanges);
    this.#runtimeClasses = cache.informer(RuntimeClasses);
    this.groups = cache.informer(groups, { transform: projectGroup as (object: Group) => Group });
    this.#informers.set(groupKindName, this.groups as Informer<KubeObject>);
    this.groups.addHandler({
      added: (group) => this.#tell(this.index.upsertGroup(group)),
      updated: (_before, group) => this.#tell(this.index.upsertGroup(group)),
      deleted: (group) => this.#forget(group, clock),
    });
    for (const [kindName, kind] of this.kinds) {
      const informer = cache.informer(kind.resource, { labelSelector: groupLabel, transform: createProjection(kind) });
      this.#informers.set(kindName, informer);
      informer.addHandler({
        added: (object) => this.#tell(this.index.upsert(kind, object)),
        updated: (_before, object) => this.#tell(this.index.upsert(kind, object)),
        deleted: (object) => this.#forget(object, clock),
      });
    }
    const revalue = (object: LimitRange): void => this.#tell(this.index.revalue(object.metadata.namespace));
    this.#limitRanges.addHandler({ added: revalue, updated: (_before, after) => revalue(after), deleted: revalue });
    const revalueAll = (): void => this.#tell(this.index.revalue());
    this.#runtimeClasses.addHandler({ added: revalueAll, updated: revalueAll, deleted: revalueAll });
  }

  /** All kinds have been listed. Before, nothing may be decided. */
  synced(): boolean {
    const all = [...this.#informers.values(), this.#limitRanges, this.#runtimeClasses];
    return all.every((informer) => informer.synced());
  }

  /** The resource version up to which a kind is known; `""` before the first list. */
  readonly versionOf = (kindName: string): string => this.#informers.get(kindName)?.resourceVersion ?? "";

  /** Calls back with every group whose use may have changed. Returns a remover. */
  onChange(listener: (group: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  defaults(namespace: string): NamespaceDefaults {
    return {
      limitRanges: this.#limitRanges
        .list(namespace)
        .flatMap((range) =>
          (range.spec?.limits ?? [])
            .filter((limit) => limit.type === "Container")
            .map((limit): ContainerDefaults => limit),
        ),
      overhead: (name) => this.#runtimeClasses.get({ name })?.overhead?.podFixed as Quantities | undefined,
    };
  }

  /** The group, its ancestors and its children, for messages. */
  context(group: string): GroupContext {
    const path: Level[] = [];
    const visited = new Set<string>();
    for (let name = group; name !== "" && !visited.has(name);) {
      visited.add(name);
      const object = this.groups.get({ name });
      if (!object) break;
      const used = add(parseAmounts(object.status?.used, "status.used"), new Map());
      path.unshift({ name, hard: parseAmounts(object.spec.hard, "spec.hard"), used });
      name = object.spec.parentBizGroup ?? "";
    }
    const children = [...this.index.members(group)]
      .filter((entry) => entry.kindName === groupKindName)
      .map((entry) => ({ name: entry.name, hard: entry.charge }));
    return { path, children };
  }

  #forget(object: KubeObject, clock: Clock): void {
    const { uid = "", resourceVersion = "" } = object.metadata;
    this.#tell(this.index.remove(uid, resourceVersion, clock.now()));
  }

  #tell(touched: ReadonlySet<string>): void {
    for (const group of touched) if (group !== "") for (const listener of this.#listeners) listener(group);
  }
}
