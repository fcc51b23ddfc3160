import type { BizGroupResourceQuota } from "@fleetwright/api";
import type { KubeObject } from "@fleetwright/kube";
import type { GroupView, Sighting } from "./group-view.ts";
import type { Ledger } from "./ledger.ts";
import { isNewer } from "./recompute.ts";
import { groupKindName, type UsageIndex } from "./usage-index.ts";
import type { WorkloadKind } from "./workload-kind.ts";

/** A kind's objects that name the group, listed live. */
export interface Listed {
  /** The list's resource version. */
  readonly version: string;
  readonly objects: readonly KubeObject[];
}

/**
 * A view of one moment from live lists and the cache: each kind comes whole from whichever is newer. What became of an object and what it is
 * charged must come from the same source; a sighting from a cache that ran ahead of the list would settle a hold whose charge the list lacks.
 * Everything is copied now, since the cache goes on.
 *
 * @param fresh an empty index, to be filled
 * @param listed by kind name; kinds that are absent come from the cache
 */
export function mergedView(
  group: string,
  ledger: Ledger,
  cached: { readonly index: UsageIndex; readonly versionOf: (kindName: string) => string },
  fresh: UsageIndex,
  kinds: ReadonlyMap<string, WorkloadKind>,
  listed: ReadonlyMap<string, Listed>,
): GroupView {
  const versions = new Map<string, string>();
  for (const kindName of [...kinds.keys(), groupKindName]) {
    const list = listed.get(kindName);
    const cacheVersion = cached.versionOf(kindName);
    if (!list || !isNewer(list.version, cacheVersion)) {
      versions.set(kindName, cacheVersion);
      for (const entry of cached.index.members(group)) if (entry.kindName === kindName) fresh.adopt(entry);
      continue;
    }
    versions.set(kindName, list.version);
    const kind = kinds.get(kindName);
    for (const object of list.objects) {
      if (kind) fresh.upsert(kind, object);
      else fresh.upsertGroup(object as BizGroupResourceQuota);
    }
  }
  const sightings = new Map<string, Sighting | undefined>(
    ledger.holds.map(({ uid }) => [uid, fresh.sighting(uid) ?? cached.index.sighting(uid)]),
  );
  const view = fresh.view(group, (kindName) => versions.get(kindName) ?? "");
  return { ...view, sighting: (_kind, uid) => sightings.get(uid) };
}
