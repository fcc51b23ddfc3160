import { groupResourceOf, type AdmissionHandler } from "@fleetwright/kube";
import { footprint } from "../core/footprint.ts";
import { groupOf } from "../core/ownership.ts";
import { decide, type Admission } from "./decide.ts";
import { charge, kindOf } from "./validate-workload.ts";

/** `/validate-scale`: Scale objects carry no labels, so the object that is scaled is looked up. */
export function validateScale(admission: Admission): AdmissionHandler {
  return decide(admission, "scale", async (request, signal) => {
    const kind = kindOf(admission, request);
    const [after, before] = [request.object, request.oldObject].map(
      (scale) => (scale as { spec?: { replicas?: number } } | null | undefined)?.spec?.replicas ?? 0,
    );
    if (!kind || after === undefined || before === undefined || after <= before) return undefined;
    const { uid = "", resourceVersion } = request.oldObject?.metadata ?? {};
    const cached = admission.cache.index.get(uid);
    const object =
      cached?.workload && cached.version === resourceVersion
        ? cached.workload.object
        : await admission.owners.live(
            groupResourceOf(kind.resource),
            request.namespace ?? "",
            request.name ?? "",
            signal,
          );
    const group = object && groupOf(object);
    if (!object || group === undefined) return undefined;
    const workload = { kind, object };
    if (await admission.owners.covered(workload, signal)) return undefined;
    const defaults = admission.cache.defaults(request.namespace ?? "");
    const asked = footprint(kind, object, defaults, after);
    const used = footprint(kind, object, defaults, before).charge;
    const change = { before: used, after: asked.charge, unspecified: asked.unspecified };
    return await charge(admission, request, workload, group, change, signal);
  });
}
