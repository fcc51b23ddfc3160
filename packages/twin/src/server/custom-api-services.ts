import { APIServices, CustomResourceDefinitions } from "@fleetwright/kube";
import type { APIService } from "@fleetwright/kube";
import { localAvailable } from "../auth/bootstrap.ts";
import type { RequestContext, ServerAccess } from "../machinery/request.ts";

const automanaged = "kube-aggregator.kubernetes.io/automanaged";

/**
 * Keeps an APIService for each version that definitions of a group serve, as discovery of a real cluster shows them
 * (kubernetes pkg/controlplane/controller/crdregistration). Those that somebody else made are left alone.
 */
export async function updateApiServices(
  access: ServerAccess,
  group: string,
  context: () => RequestContext,
): Promise<void> {
  const served = new Set(
    access.objects
      .list(CustomResourceDefinitions)
      .filter(({ spec }) => spec?.group === group)
      .flatMap(({ spec }) => (spec?.versions ?? []).filter((version) => version.served).map(({ name }) => name)),
  );
  for (const version of served) {
    await access.create(APIServices, {
      metadata: { name: `${version}.${group}`, labels: { [automanaged]: "true" } },
      spec: { group, version, groupPriorityMinimum: 1000, versionPriority: 100 },
      status: { conditions: [localAvailable(access.clock.now())] },
    } as unknown as APIService);
  }
  for (const { metadata, spec } of access.objects.list(APIServices)) {
    if (spec?.group !== group || metadata.labels?.[automanaged] !== "true" || served.has(spec.version ?? "")) continue;
    await access.delete(APIServices, { name: metadata.name ?? "" }, {}, context());
  }
}
