import type { ContainerStatus, Pod } from "@fleetwright/kube";
import { fieldErrors, type FieldError } from "../machinery/status-error.ts";
import { nonNegativeErrors, qualifiedNameErrors } from "./value-checks.ts";

/** A container that has ended stays ended unless its restart policy starts it again. */
function transitionErrors(
  now: readonly ContainerStatus[] | undefined,
  before: readonly ContainerStatus[] | undefined,
  field: string,
  mayRestart: (name: string, exitCode: number) => boolean,
): FieldError[] {
  return (before ?? []).flatMap((old, index) => {
    const ended = old.state?.terminated;
    if (!ended || mayRestart(old.name, ended.exitCode)) return [];
    const next = (now ?? []).find(({ name }) => name === old.name);
    return next && !next.state?.terminated
      ? [fieldErrors.forbidden(`${field}[${index}].state`, "may not be transitioned to non-terminated state")]
      : [];
  });
}

/** `ContainerShouldRestart`: the container's own policy and rules (KEP-5307), then the pod's. */
function restarts(pod: Pod, name: string, exitCode: number, initial: boolean): boolean {
  const containers = (initial ? pod.spec?.initContainers : pod.spec?.containers) ?? [];
  const container = containers.find((one) => one.name === name);
  const all = [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])];
  const restartsAll = all.some(({ restartPolicyRules }) =>
    (restartPolicyRules ?? []).some(({ action }) => action === "RestartAllContainers"),
  );
  if (restartsAll) return true;
  for (const { exitCodes, action } of container?.restartPolicyRules ?? []) {
    const listed = (exitCodes?.values ?? []).includes(exitCode);
    if (action === "Restart" && (exitCodes?.operator === "In" ? listed : !listed)) return true;
  }
  const policy = container?.restartPolicy ?? pod.spec?.restartPolicy;
  return policy === "Always" || (policy === "OnFailure" && exitCode !== 0);
}

/** `ValidatePodStatusUpdate`. */
export function podStatusErrors(pod: Pod, old: Pod): FieldError[] {
  const errors: FieldError[] = [];
  if ((pod.spec?.nodeName ?? "") !== (old.spec?.nodeName ?? "")) {
    errors.push(fieldErrors.forbidden("status.nodeName", "may not be changed directly"));
  }
  const status = pod.status ?? {};
  if (status.nominatedNodeName) {
    // A node's name is a subdomain, which qualified names contain.
    errors.push(...qualifiedNameErrors("status.nominatedNodeName", status.nominatedNodeName));
  }
  if (status.observedGeneration !== undefined) {
    errors.push(...nonNegativeErrors("status.observedGeneration", status.observedGeneration));
  }
  for (const [index, { type }] of (status.conditions ?? []).entries()) {
    // The kubelet's own types need no prefix; what is written must still be a name.
    errors.push(...qualifiedNameErrors(`status.conditions[${index}].Type`, type));
  }
  errors.push(
    ...transitionErrors(
      status.containerStatuses,
      old.status?.containerStatuses,
      "status.containerStatuses",
      (name, exitCode) => restarts(pod, name, exitCode, false),
    ),
    ...transitionErrors(
      status.initContainerStatuses,
      old.status?.initContainerStatuses,
      "status.initContainerStatuses",
      (name, exitCode) => restarts(pod, name, exitCode, true),
    ),
    ...transitionErrors(
      status.ephemeralContainerStatuses,
      old.status?.ephemeralContainerStatuses,
      "status.ephemeralContainerStatuses",
      () => false,
    ),
  );
  return errors;
}
