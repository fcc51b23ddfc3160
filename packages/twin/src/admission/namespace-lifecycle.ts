import { Namespaces } from "@fleetwright/kube";
import type { AdmissionPlugin } from "../machinery/admission.ts";
import type { ServerAccess } from "../machinery/request.ts";
import { refusals, statusError } from "../machinery/status-error.ts";
import { groupResource, refusal } from "./refusal.ts";

const immortal: ReadonlySet<string> = new Set(["default", "kube-system", "kube-public"]);

/** Objects need a namespace that is there and not on its way out (apiserver/pkg/admission/plugin/namespace/lifecycle). */
export function namespaceLifecycle({ objects }: Pick<ServerAccess, "objects">): AdmissionPlugin {
  return {
    name: "NamespaceLifecycle",
    handles: (operation) => operation !== "CONNECT",
    admit(attributes) {
      const { operation, kind, namespace, name } = attributes;
      if (kind.group === "" && kind.kind === "Namespace") {
        if (operation === "DELETE" && immortal.has(name)) {
          throw refusals.forbidden({ group: "", resource: "namespaces" }, name, "this namespace may not be deleted");
        }
        return;
      }
      if (namespace === "" || operation === "DELETE") return;
      // Saying whether the namespace is there would tell what the review does not.
      if (groupResource(attributes) === "localsubjectaccessreviews.authorization.k8s.io") return;
      const found = objects.get(Namespaces, { name: namespace });
      if (found === undefined) throw refusals.notFound({ group: "", resource: "namespaces" }, namespace);
      if (operation !== "CREATE" || found.status?.phase !== "Terminating") return;
      const { status } = refusal(
        attributes,
        `unable to create new content in namespace ${namespace} because it is being terminated`,
      );
      throw statusError(403, "Forbidden", status.message ?? "", {
        ...status.details,
        causes: [
          {
            reason: "NamespaceTerminating",
            message: `namespace ${namespace} is being terminated`,
            field: "metadata.namespace",
          },
        ],
      });
    },
  };
}
