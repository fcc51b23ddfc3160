import { jsonEqual, type Json, type Pod } from "@fleetwright/kube";
import { fieldErrors, type FieldError } from "../machinery/status-error.ts";
import { podErrors } from "./pod-validation.ts";

/** `ValidatePodUpdate`. */
export const podUpdateErrors = (pod: Pod, old: Pod): FieldError[] => podErrors(pod, old);

/** `ValidatePodEphemeralContainersUpdate`: they may be added only. */
export function ephemeralContainersErrors(pod: Pod, old: Pod): FieldError[] {
  if (old.metadata.annotations?.["kubernetes.io/config.mirror"] !== undefined) {
    return [fieldErrors.forbidden("", "static pods do not support ephemeral containers")];
  }
  const errors = [...podErrors(pod, old)];
  const now = new Map((pod.spec?.ephemeralContainers ?? []).map((container) => [container.name, container]));
  for (const before of old.spec?.ephemeralContainers ?? []) {
    const container = now.get(before.name);
    const name = JSON.stringify(before.name);
    if (container === undefined) {
      errors.push(
        fieldErrors.forbidden("spec.ephemeralContainers", `existing ephemeral containers ${name} may not be removed\n`),
      );
    } else if (!jsonEqual(container as unknown as Json, before as unknown as Json)) {
      errors.push(
        fieldErrors.forbidden("spec.ephemeralContainers", `existing ephemeral containers ${name} may not be changed\n`),
      );
    }
  }
  return errors;
}
