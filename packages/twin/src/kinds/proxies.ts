import { Endpoints, Nodes, Services } from "@fleetwright/kube";
import type { Subresource } from "../machinery/kind.ts";
import { refusals, statusError } from "../machinery/status-error.ts";

type Handler = Omit<Subresource, "kind" | "schema" | "verbs">;

const unavailable = (message: string) => statusError(503, "ServiceUnavailable", message);

/** `name`, `name:port` or `scheme:name:port`: apimachinery's `SplitSchemeNamePort`. */
function hostName(id: string): string | undefined {
  const parts = id.split(":");
  const [first = "", second = ""] = parts;
  if (parts.length === 1 || parts.length === 2) return first === "" ? undefined : first;
  return parts.length === 3 && (first === "" || first === "http" || first === "https") && second !== ""
    ? second
    : undefined;
}

/** `services/proxy`: what upstream says without endpoints; with them, that there is no network behind this server. */
export const serviceProxy: Handler = {
  name: "proxy",
  async connect({ name: id, namespace, server }) {
    const name = hostName(id);
    if (name === undefined) throw refusals.badRequest(`invalid service request ${JSON.stringify(id)}`);
    if (!server.objects.get(Services, { namespace, name })) {
      throw refusals.notFound({ group: "", resource: "services" }, name);
    }
    const { subsets = [] } = server.objects.get(Endpoints, { namespace, name }) ?? {};
    const quoted = JSON.stringify(id);
    if (!subsets.some(({ addresses = [] }) => addresses.length > 0)) {
      throw unavailable(`no endpoints available for service ${quoted}`);
    }
    throw unavailable(
      `service ${quoted} has endpoints, but nothing listens there: this API server runs without nodes and their network`,
    );
  },
};

/** `nodes/proxy`: there is no kubelet to reach. */
export const nodeProxy: Handler = {
  name: "proxy",
  async connect({ name: id, server }) {
    const name = hostName(id);
    if (name === undefined) throw refusals.badRequest(`invalid node request ${JSON.stringify(id)}`);
    if (!server.objects.get(Nodes, { name })) throw refusals.notFound({ group: "", resource: "nodes" }, name);
    throw unavailable(`node ${JSON.stringify(name)} has no kubelet to reach: this API server runs without nodes`);
  },
};
