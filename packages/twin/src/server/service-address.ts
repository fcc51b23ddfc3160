import { Services } from "@fleetwright/kube";
import type { ResolveService } from "../admission/webhook-client.ts";
import type { Objects } from "../machinery/request.ts";

/** Where a webhook's Service is: its cluster IP (k8s.io/apiserver/pkg/util/proxy, `ResolveCluster`). */
export function createServiceResolver(objects: Objects): ResolveService {
  return ({ namespace, name, port }) => {
    const service = objects.get(Services, { namespace, name });
    if (service === undefined) throw new Error(`service ${JSON.stringify(name)} not found`);
    const { type, clusterIP, externalName, ports = [] } = service.spec ?? {};
    if (type === "ExternalName") return { host: externalName ?? "", port };
    if (clusterIP === undefined || clusterIP === "" || clusterIP === "None") {
      throw new Error(`cannot route to service with ClusterIP ${JSON.stringify(clusterIP ?? "")}`);
    }
    if (!ports.some((one) => one.port === port)) {
      throw new Error(`no service port ${port} found for service ${JSON.stringify(name)}`);
    }
    return { host: clusterIP, port };
  };
}
