import { Nodes } from "@fleetwright/kube";
import type { AdmissionPlugin } from "../machinery/admission.ts";
import { isDraft } from "../machinery/draft.ts";
import type { Draft } from "../machinery/draft.ts";
import type { ServerAccess } from "../machinery/request.ts";

/** The labels of nodes that workloads may want to know (plugin/pkg/admission/podtopologylabels). */
const copied = ["topology.kubernetes.io/region", "topology.kubernetes.io/zone"] as const;

const partOf = (object: Draft, key: string): Draft => {
  const part = object[key];
  return isDraft(part) ? part : {};
};

/** Pods learn where their node is when they are bound, or created bound (KEP-4742). */
export function podTopologyLabels({ objects }: Pick<ServerAccess, "objects">): AdmissionPlugin {
  return {
    name: "PodTopologyLabels",
    handles: (operation) => operation === "CREATE",
    admit({ resource, subresource, object }) {
      if (resource.group !== "" || resource.resource !== "pods" || object === undefined) return;
      let name: unknown;
      if (subresource === "") name = partOf(object, "spec")["nodeName"];
      else if (subresource === "binding" && partOf(object, "target")["kind"] === "Node") {
        name = partOf(object, "target")["name"];
      }
      if (typeof name !== "string" || name === "") return;
      const labels = objects.get(Nodes, { name })?.metadata.labels ?? {};
      const known = copied.filter((key) => labels[key] !== undefined);
      if (known.length === 0) return;
      const metadata = partOf(object, "metadata");
      object["metadata"] = metadata;
      // A Binding's labels become the pod's.
      metadata["labels"] = {
        ...partOf(metadata, "labels"),
        ...Object.fromEntries(known.map((key) => [key, labels[key]])),
      };
    },
  };
}
