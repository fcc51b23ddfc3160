import type { ContainerStatus, Pod } from "@fleetwright/kube";
import { fieldErrors, type FieldError } from "../machinery/status-error.ts";
import { legacyIpErrors, parseIp } from "./ip-checks.ts";
import { subdomainName } from "./name-checks.ts";
import { immutableErrors, invalidFor, qualifiedNameErrors } from "./value-checks.ts";

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

const systemConditions: ReadonlySet<string> = new Set(["PodScheduled", "Ready", "Initialized"]);
const notNegative = "must be a non-negative integer";

function conditionErrors(status: NonNullable<Pod["status"]>): FieldError[] {
  return (status.conditions ?? []).flatMap(({ type, observedGeneration = 0 }, index) => {
    const at = `status.conditions[${index}]`;
    return [
      ...(observedGeneration < 0
        ? [fieldErrors.invalid(`${at}.observedGeneration`, observedGeneration, notNegative)]
        : []),
      ...(systemConditions.has(type) ? [] : qualifiedNameErrors(`${at}.Type`, type)),
    ];
  });
}

function nominationErrors(pod: Pod, old: Pod): FieldError[] {
  const field = "status.nominatedNodeName";
  const node = pod.status?.nominatedNodeName ?? "";
  if (node === "" || node === old.status?.nominatedNodeName) return [];
  return [
    ...invalidFor(field, node, subdomainName(node, false)),
    ...(old.spec?.nodeName
      ? [fieldErrors.forbidden(field, "may not be set on pods that are already bound to a node")]
      : []),
  ];
}

/** One address of each family at most; what was there before may stay as it is. */
function addressErrors(
  addresses: readonly { readonly ip?: string }[] | undefined,
  before: readonly { readonly ip?: string }[] | undefined,
  field: string,
): FieldError[] {
  const texts = (addresses ?? []).map(({ ip = "" }) => ip);
  const kept = (before ?? []).map(({ ip = "" }) => ip);
  const errors = texts.flatMap((text, index) => legacyIpErrors(`${field}[${index}]`, text, kept));
  const families = new Set(texts.map((text) => parseIp(text)?.family));
  if (texts.length > 2 || (texts.length === 2 && families.size < 2)) {
    errors.push(
      fieldErrors.invalid(
        field,
        texts.map((ip) => ({ IP: ip })),
        "may specify no more than one IP for each IP family",
      ),
    );
  }
  return errors;
}

/** `ValidatePodStatusUpdate`. */
export function podStatusErrors(pod: Pod, old: Pod): FieldError[] {
  const status = pod.status ?? {};
  const errors = conditionErrors(status);
  if ((pod.spec?.nodeName ?? "") !== (old.spec?.nodeName ?? "")) {
    errors.push(fieldErrors.forbidden("status.nodeName", "may not be changed directly"));
  }
  errors.push(...nominationErrors(pod, old));
  if ((status.observedGeneration ?? 0) < 0) {
    errors.push(fieldErrors.invalid("status.observedGeneration", status.observedGeneration, notNegative));
  }
  errors.push(...immutableErrors("status.qosClass", status.qosClass ?? "", old.status?.qosClass ?? ""));
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
  errors.push(...addressErrors(status.podIPs, old.status?.podIPs, "status.podIPs"));
  const [host] = status.hostIPs ?? [];
  if (host !== undefined && (status.hostIP ?? "") !== (host.ip ?? "")) {
    errors.push(fieldErrors.invalid("status.hostIPs[0].ip", host.ip ?? "", "must be equal to `hostIP`"));
  }
  errors.push(...addressErrors(status.hostIPs, old.status?.hostIPs, "status.hostIPs"));
  return errors;
}
