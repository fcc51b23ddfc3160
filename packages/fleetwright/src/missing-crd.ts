import { BizGroupResourceQuotas } from "@fleetwright/api";
import { FleetwrightError, isNotFound } from "@fleetwright/kube";

/** What to throw when groups can't be listed: a 404 means that the cluster does not have our resources (`FW_CRD_MISSING`). */
export function explainMissingCrd(error: unknown): unknown {
  if (!isNotFound(error)) return error;
  const name = `${BizGroupResourceQuotas.plural}.${BizGroupResourceQuotas.group}`;
  return new FleetwrightError("FW_CRD_MISSING", `the cluster has no ${name}: run "kubectl apply -f config/crd"`, {
    cause: error,
  });
}
