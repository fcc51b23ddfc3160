import { groupLabel, type BizGroupResourceQuota } from "@fleetwright/api";
import { isNotFound, type Client, type KubeObject } from "@fleetwright/kube";
import { mergedView, type Listed } from "../core/merged-view.ts";
import { isNewer } from "../core/recompute.ts";
import { groupKindName, UsageIndex } from "../core/usage-index.ts";
import type { GroupStore } from "./group-writer.ts";
import { groups, type UsageCache } from "./usage-cache.ts";

type Group = BizGroupResourceQuota & KubeObject;

/** Groups on an API server, members from the cache and from live lists. */
export function createGroupStore(client: Client, cache: UsageCache): GroupStore {
  async function list(kindName: string, group: string, signal: AbortSignal): Promise<Listed> {
    const kind = cache.kinds.get(kindName);
    const result = kind
      ? await client.list(kind.resource, { labelSelector: `${groupLabel}=${group}`, signal })
      : await client.list(groups, { signal });
    const objects: readonly KubeObject[] = kind
      ? result.items
      : result.items.filter((each) => (each as Group).spec.parentBizGroup === group);
    return { version: result.metadata.resourceVersion ?? "", objects };
  }

  return {
    async read(group, signal) {
      try {
        return await client.get(groups, { name: group }, { signal });
      } catch (error) {
        if (isNotFound(error)) return undefined;
        throw error;
      }
    },
    write: (object, signal) => client.updateStatus(groups, object as Group, { signal }),
    view: (group) => cache.index.view(group, cache.versionOf),
    async liveView(group, ledger, signal) {
      const counted = new Set([...cache.index.members(group)].map((entry) => entry.kindName));
      // Room can only have been freed in kinds that take some; and a cache that is behind what was counted can't be used.
      const kindNames = [...cache.kinds.keys(), groupKindName].filter(
        (kindName) => counted.has(kindName) || isNewer(ledger.seen[kindName] ?? "", cache.versionOf(kindName)),
      );
      const listed = new Map(
        await Promise.all(kindNames.map(async (kindName) => [kindName, await list(kindName, group, signal)] as const)),
      );
      const fresh = new UsageIndex([...cache.kinds.values()], (namespace) => cache.defaults(namespace));
      return mergedView(group, ledger, cache, fresh, cache.kinds, listed);
    },
    context: (group) => cache.context(group),
  };
}
