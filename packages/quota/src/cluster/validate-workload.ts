import { groupLabel } from "@fleetwright/api";
import { groupResourceOf, type AdmissionHandler, type AdmissionRequest, type KubeObject } from "@fleetwright/kube";
import { quotaErrors, type Refusal } from "../errors.ts";
import { excess, isZero, noAmounts, type Amounts } from "../core/amounts.ts";
import { footprint } from "../core/footprint.ts";
import { groupOf, type Workload } from "../core/ownership.ts";
import type { WorkloadKind } from "../core/workload-kind.ts";
import { deadlineOf, decide, type Admission } from "./decide.ts";

/** `/validate-workload`: a workload that names a group is charged to it whole, or refused. */
export function validateWorkload(admission: Admission): AdmissionHandler {
  return decide(admission, "workload", async (request, signal) => {
    const kind = kindOf(admission, request);
    if (!kind || !request.object) return undefined;
    const after: Workload = { kind, object: inNamespace(request.object, request) };
    const before = request.oldObject ? { kind, object: inNamespace(request.oldObject, request) } : undefined;
    const group = groupOf(after.object);
    if (group === undefined) return undefined;
    const template = checkTemplate(after, group);
    if (template) return template;

    const free = await admission.owners.covered(after, signal);
    const defaults = admission.cache.defaults(after.object.metadata.namespace ?? "");
    const asked = footprint(kind, after.object, defaults);
    if (free)
      return request.subResource === "resize" && before ? checkResize(after, before, asked.charge, group) : undefined;

    const stays = before !== undefined && groupOf(before.object) === group;
    if (!stays && !(await admission.mayUse(request.userInfo, group, signal))) return notAllowed(request, group);
    const wasFree = stays && (await admission.owners.covered(before, signal));
    const used = stays && !wasFree ? footprint(kind, before.object, defaults).charge : noAmounts;
    // What does not rise needs nobody's leave, and no write.
    if (stays && isZero(excess(asked.charge, used))) return undefined;
    return await charge(
      admission,
      request,
      after,
      group,
      { before: used, after: asked.charge, unspecified: asked.unspecified },
      signal,
    );
  });
}

export interface Change {
  readonly before: Amounts;
  readonly after: Amounts;
  readonly unspecified: ReadonlyMap<string, readonly string[]>;
}

export async function charge(
  admission: Admission,
  request: AdmissionRequest,
  { kind, object }: Workload,
  group: string,
  change: Change,
  signal: AbortSignal,
): Promise<Refusal | undefined> {
  const outcome = await admission.writer(group).charge(
    {
      ...change,
      uid: object.metadata.uid ?? "",
      kind: groupResourceOf(kind.resource),
      namespace: object.metadata.namespace ?? "",
      name: object.metadata.name ?? "",
      base: request.oldObject?.metadata.resourceVersion ?? "",
      dryRun: request.dryRun === true,
    },
    deadlineOf(admission),
    signal,
  );
  return outcome.allowed ? undefined : outcome.refusal;
}

export function kindOf({ cache }: Admission, request: AdmissionRequest): WorkloadKind | undefined {
  return cache.kinds.get(groupResourceOf({ group: request.resource.group, plural: request.resource.resource }));
}

/** Objects in a request may lack the namespace that is in its path. */
export function inNamespace(object: KubeObject, request: AdmissionRequest): KubeObject {
  if (object.metadata.namespace || !request.namespace) return object;
  return { ...object, metadata: { ...object.metadata, namespace: request.namespace } };
}

/** What a workload makes must be charged where it is charged itself. */
function checkTemplate({ kind, object }: Workload, group: string): Refusal | undefined {
  const refuseWith = (path: string, found: string | undefined, must: string): Refusal => ({
    code: quotaErrors.template,
    message: `${kind.resource.kind} "${object.metadata.name}": ${path}.metadata.labels["${groupLabel}"] is ${found === undefined ? "missing" : `"${found}"`}: ${must} "${group}"`,
  });
  const ofPods = kind.template(object).metadata?.labels?.[groupLabel];
  const isCron = kind.childLabels !== undefined;
  if (ofPods !== undefined && ofPods !== group && kind.resource.kind !== "Pod")
    return refuseWith(
      isCron ? "spec.jobTemplate.spec.template" : "spec.template",
      ofPods,
      "leave it out, or make it the workload's own,",
    );
  if (!isCron) return undefined;
  const ofJobs = kind.childLabels?.(object)?.[groupLabel];
  if (kind.chargesChildren?.(object) && ofJobs !== group)
    return refuseWith(
      "spec.jobTemplate",
      ofJobs,
      'with concurrencyPolicy "Allow" each Job is charged by itself; make it',
    );
  if (ofJobs !== undefined && ofJobs !== group)
    return refuseWith("spec.jobTemplate", ofJobs, "leave it out, or make it the workload's own,");
  return undefined;
}

/** A pod that its workload pays for can't grow by itself: its template says what is paid. */
function checkResize(after: Workload, before: Workload, charge: Amounts, group: string): Refusal | undefined {
  const grown = [
    ...excess(
      charge,
      footprint(before.kind, before.object, { limitRanges: [], overhead: () => undefined }).charge,
    ).keys(),
  ];
  if (grown.length === 0) return undefined;
  return {
    code: quotaErrors.resize,
    message: `quota "${group}": pod "${after.object.metadata.name}" is paid for by its workload and can't grow in ${grown.join(", ")}: change the workload's template`,
  };
}

function notAllowed(request: AdmissionRequest, group: string): Refusal {
  const user = request.userInfo.username ?? "";
  return {
    code: quotaErrors.notAllowed,
    message: `user "${user}" may not use quota "${group}": it needs the verb "use" on bizgroupresourcequotas.fleetwright.dev "${group}"`,
  };
}
