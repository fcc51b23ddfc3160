import { groupLabel } from "@fleetwright/api";
import { controllerOf, groupResourceOf, isNotFound, type Client, type KubeObject } from "@fleetwright/kube";
import { groupOf, isCovered, owns, type Workload } from "../core/ownership.ts";
import type { UsageCache } from "./usage-cache.ts";

/** Who really owns an object, from the cache or, where that is behind, live. */
export interface OwnerLookup {
  /** Free, because a live workload of the same group owns it. */
  covered(child: Workload, signal: AbortSignal): Promise<boolean>;
  /** For an object without the label: whether a workload that has it stands above. */
  belongsToLabelled(child: Workload, signal: AbortSignal): Promise<boolean>;
  /** The object, as it is now. */
  live(kindName: string, namespace: string, name: string, signal: AbortSignal): Promise<KubeObject | undefined>;
}

/** Pod → ReplicaSet → Deployment, Pod → Job → CronJob. */
const deepestChain = 3;

export function createOwnerLookup(client: Client, cache: UsageCache): OwnerLookup {
  async function live(
    kindName: string,
    namespace: string,
    name: string,
    signal: AbortSignal,
  ): Promise<KubeObject | undefined> {
    const kind = cache.kinds.get(kindName);
    if (!kind) return undefined;
    try {
      return await client.get(kind.resource, { namespace, name }, { signal });
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  async function ownerOf(child: Workload, signal: AbortSignal): Promise<Workload | undefined> {
    const reference = controllerOf(child.object);
    if (!reference) return undefined;
    const cached = cache.index.get(reference.uid)?.workload;
    if (cached) return cached;
    const group = reference.apiVersion.includes("/") ? reference.apiVersion.split("/")[0] : "";
    const kind = [...cache.kinds.values()].find(
      ({ resource }) => resource.group === group && resource.kind === reference.kind,
    );
    if (!kind) return undefined;
    const object = await live(
      groupResourceOf(kind.resource),
      child.object.metadata.namespace ?? "",
      reference.name,
      signal,
    );
    return object?.metadata.uid === reference.uid ? { kind, object } : undefined;
  }

  /** Live, since the one Job that a CronJob is charged for is the first: a cache that lags would free two. */
  async function siblingsOf(child: Workload, ownerUid: string, signal: AbortSignal): Promise<readonly Workload[]> {
    const { namespace = "", uid } = child.object.metadata;
    const labelSelector = `${groupLabel}=${groupOf(child.object)}`;
    const list = await client.list(child.kind.resource, { namespace, labelSelector, signal });
    return list.items
      .filter((each) => each.metadata.uid !== uid && controllerOf(each)?.uid === ownerUid)
      .map((object) => ({ kind: child.kind, object }));
  }

  return {
    live,
    async covered(child, signal) {
      const owner = await ownerOf(child, signal);
      if (!owner) return false;
      const siblings =
        owner.kind.resource.kind === "CronJob" ? await siblingsOf(child, owner.object.metadata.uid ?? "", signal) : [];
      return isCovered(child, owner, siblings);
    },
    async belongsToLabelled(child, signal) {
      let current = child;
      for (let depth = 0; depth < deepestChain; depth++) {
        const owner = await ownerOf(current, signal);
        if (!owner || !owns(owner, current)) return false;
        if (groupOf(owner.object) !== undefined) return true;
        current = owner;
      }
      return false;
    },
  };
}
