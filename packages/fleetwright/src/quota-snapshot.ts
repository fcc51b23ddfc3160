import { BizGroupResourceQuotas, groupLabel, type BizGroupResourceQuota } from "@fleetwright/api";
import { LimitRanges, RuntimeClasses, type Client, type KubeObject, type Resource } from "@fleetwright/kube";
import { builtInKinds, type NamespaceDefaults, type Workload } from "@fleetwright/quota";
import { explainMissingCrd } from "./missing-crd.ts";

type Group = BizGroupResourceQuota & KubeObject;

/** What the quota commands decide on: one look at the cluster. */
export interface QuotaSnapshot {
  readonly groups: readonly BizGroupResourceQuota[];
  readonly workloads: readonly Workload[];
  readonly defaults: (namespace: string) => NamespaceDefaults;
}

/** @throws {FleetwrightError} `FW_CRD_MISSING` */
export async function readGroups(client: Client, signal: AbortSignal): Promise<readonly BizGroupResourceQuota[]> {
  try {
    return await readAll(client, BizGroupResourceQuotas as Resource<Group>, signal);
  } catch (error) {
    throw explainMissingCrd(error);
  }
}

export async function readQuotaSnapshot(client: Client, signal: AbortSignal): Promise<QuotaSnapshot> {
  const [groups, limitRanges, runtimeClasses, ...workloads] = await Promise.all([
    readGroups(client, signal),
    readAll(client, LimitRanges, signal),
    readAll(client, RuntimeClasses, signal),
    ...builtInKinds.map(async (kind) => {
      const objects = await readAll(client, kind.resource, signal, groupLabel);
      return objects.map((object): Workload => ({ kind, object }));
    }),
  ]);
  return {
    groups,
    workloads: workloads.flat(),
    defaults: (namespace) => ({
      limitRanges: limitRanges
        .filter(({ metadata }) => metadata.namespace === namespace)
        .flatMap(({ spec }) => spec?.limits ?? [])
        .filter(({ type }) => type === "Container"),
      overhead: (name) => runtimeClasses.find(({ metadata }) => metadata.name === name)?.overhead?.podFixed,
    }),
  };
}

async function readAll<T extends KubeObject>(
  client: Client,
  resource: Resource<T>,
  signal: AbortSignal,
  labelSelector?: string,
): Promise<readonly T[]> {
  const items: T[] = [];
  const options = { signal, ...(labelSelector === undefined ? {} : { labelSelector }) };
  for await (const page of client.pages(resource, options)) items.push(...page.items);
  return items;
}
