import { createController, groupResourceOf, keyOf, ResourceQuotas, watch } from "@fleetwright/kube";
import type { Informer, KubeObject, Resource, ResourceQuota } from "@fleetwright/kube";
import { quotaUsage } from "../../admission/quota-usage.ts";
import type { ControllerContext, Controllers, Part } from "../context.ts";
import { retryConflicts } from "../retry-conflicts.ts";
import { sameValue } from "../same-value.ts";
import { servedKinds } from "./served-kinds.ts";

const name = "resourcequota-controller";
/** Everything is counted anew at least this often (`--resource-quota-sync-period`). */
const resyncMs = 300_000;

/** Counts what namespaces use (pkg/controller/resourcequota). */
export const resourceQuotaController: Controllers = (context) => [start(context)];

function start({ cache, clientOf, clock, logger }: ControllerContext): Part {
  const quotas = cache.informer(ResourceQuotas);
  const client = clientOf(name);
  const informers = new Map<string, Informer<KubeObject>>();
  const removers: (() => void)[] = [];

  const controller = createController({
    name: "resourcequota",
    reconciler: retryConflicts(async (key, signal) => {
      const quota = quotas.get(key);
      if (quota === undefined) return {};
      await follow(quota, signal);
      const hard = quota.spec?.hard ?? {};
      const used = quotaUsage(quota, (resource) => informers.get(resource)?.list(key.namespace) ?? [], clock.now());
      const status = { hard, used };
      if (!sameValue(status, quota.status ?? {})) await client.updateStatus(ResourceQuotas, { ...quota, status });
      return { requeueAfterMs: resyncMs };
    }),
    sources: [
      watch(quotas, {
        predicates: [
          {
            updated: (before, after) =>
              !sameValue([before.spec, before.status?.hard], [after.spec, after.status?.hard]),
          },
        ],
      }),
    ],
    concurrency: 5,
    clock,
    logger,
  });

  /** What a quota counts is followed from the first quota on that counts it: what goes gives room. */
  async function follow(quota: ResourceQuota, signal: AbortSignal): Promise<void> {
    const names = Object.keys(quota.spec?.hard ?? {});
    const wanted = [
      "pods",
      "services",
      "persistentvolumeclaims",
      "configmaps",
      "resourcequotas",
      "replicationcontrollers",
      "secrets",
    ];
    for (const each of names) if (each.startsWith("count/")) wanted.push(each.slice("count/".length));
    if (wanted.every((each) => informers.has(each))) return;
    const kinds = await servedKinds(client, ["list", "watch"], signal);
    for (const kind of kinds) {
      const id = groupResourceOf(kind);
      if (!wanted.includes(id) || informers.has(id)) continue;
      const informer = cache.informer(kind as Resource<KubeObject>);
      informers.set(id, informer);
      removers.push(informer.addHandler(changesOf(id)));
    }
    await cache.waitForSync(signal);
  }

  function changesOf(resource: string) {
    const look = ({ metadata }: KubeObject): void => {
      for (const quota of quotas.list(metadata.namespace)) controller.enqueue(keyOf(quota));
    };
    return {
      // Admission has counted what comes; what goes or ends gives back.
      added: (object: KubeObject, initial: boolean): void => void (initial || look(object)),
      updated: (before: KubeObject, after: KubeObject): void => {
        if (
          resource !== "pods" ||
          phaseOf(before) !== phaseOf(after) ||
          before.metadata.deletionTimestamp !== after.metadata.deletionTimestamp
        ) {
          if (resource === "pods" || resource === "services" || resource === "persistentvolumeclaims") look(after);
        }
      },
      deleted: look,
    };
  }

  return {
    name: controller.name,
    async start(signal) {
      await controller.start(signal);
      for (const remove of removers) remove();
    },
  };
}

const phaseOf = (object: KubeObject): string | undefined => (object as { status?: { phase?: string } }).status?.phase;
