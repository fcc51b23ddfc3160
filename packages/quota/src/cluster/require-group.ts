import { groupLabel } from "@fleetwright/api";
import type { AdmissionHandler } from "@fleetwright/kube";
import { quotaErrors } from "../errors.ts";
import { groupOf } from "../core/ownership.ts";
import { decide, type Admission } from "./decide.ts";
import { inNamespace, kindOf } from "./validate-workload.ts";

/** `/require-biz-group`: where the label is demanded, nothing runs without a group; children of a workload that has one may. */
export function requireGroup(admission: Admission): AdmissionHandler {
  return decide(admission, "require", async (request, signal) => {
    const kind = kindOf(admission, request);
    if (!kind || !request.object || groupOf(request.object) !== undefined) return undefined;
    // What ran before the label was demanded may go on; it may not lose the label.
    if (request.operation === "UPDATE" && (!request.oldObject || groupOf(request.oldObject) === undefined))
      return undefined;
    const object = inNamespace(request.object, request);
    if (await admission.owners.belongsToLabelled({ kind, object }, signal)) return undefined;
    return {
      code: quotaErrors.labelRequired,
      message: `${kind.resource.kind} "${object.metadata.name}" in namespace "${object.metadata.namespace ?? ""}" must name its business group in the label ${groupLabel}`,
    };
  });
}
