import { jsonEqual, type Container, type Json, type Pod } from "@fleetwright/kube";
import { copyJson, isDraft, type Draft } from "../machinery/draft.ts";
import { fieldErrors, type FieldError } from "../machinery/status-error.ts";
import { qosClass } from "./pod-level-resources.ts";
import { podErrors } from "./pod-validation.ts";

const draftOf = (value: unknown): Draft => (isDraft(value) ? value : {});
const parts = ["containers", "initContainers"] as const;

/** `dropNonResizeUpdates`: only resources and resize policies come over, container by container. */
export function applyResize(pod: Draft, view: Draft): void {
  const [spec, next] = [draftOf(pod["spec"]), draftOf(view["spec"])];
  for (const part of parts) {
    const [before, after] = [spec[part], next[part]];
    if (!Array.isArray(before) || !Array.isArray(after)) continue;
    const reordered =
      before.length !== after.length ||
      after.some((container, index) => draftOf(container)["name"] !== draftOf(before[index])["name"]);
    // Validation refuses it and says why.
    if (reordered) spec[part] = copyJson(after);
    else {
      for (const [index, container] of after.entries()) {
        const target = draftOf(before[index]);
        for (const field of ["resources", "resizePolicy"]) {
          const value = draftOf(container)[field];
          if (value === undefined) delete target[field];
          else target[field] = copyJson(value);
        }
      }
    }
  }
  if (next["resources"] === undefined) delete spec["resources"];
  else spec["resources"] = copyJson(next["resources"]);
}

type Resources = NonNullable<Container["resources"]>;

const removed = (now: Resources["limits"], before: Resources["limits"]): boolean =>
  Object.keys(before ?? {}).some((name) => !Object.hasOwn(now ?? {}, name));

/** Resources but CPU and memory, which may change. */
function fixedResources(resources: Container["resources"]): Json {
  const rest = (amounts: Resources["limits"]): Json =>
    Object.fromEntries(Object.entries(amounts ?? {}).filter(([name]) => name !== "cpu" && name !== "memory"));
  return { limits: rest(resources?.limits), requests: rest(resources?.requests) };
}

const withoutResources = (container: Container): Json => {
  const { resources: _resources, ...rest } = container;
  return rest as unknown as Json;
};

const sameButComputing = (now: Container, before: Container): boolean =>
  jsonEqual(withoutResources(now), withoutResources(before)) &&
  jsonEqual(fixedResources(now.resources), fixedResources(before.resources));

function orderErrors(pod: Pod, old: Pod): FieldError[] {
  return parts.flatMap((part) => {
    const [now, before] = [pod.spec?.[part] ?? [], old.spec?.[part] ?? []];
    if (now.length !== before.length) {
      return [fieldErrors.forbidden(`spec.${part}`, `${part} may not be added or removed on resize`)];
    }
    return before.flatMap(({ name }, index) =>
      now[index]?.name === name
        ? []
        : [fieldErrors.forbidden(`spec.${part}[${index}].name`, `${part} may not be renamed or reordered on resize`)],
    );
  });
}

/** `ValidatePodResize`: PUT and PATCH of `resize` (KEP-1287). */
export function resizeErrors(pod: Pod, old: Pod): FieldError[] {
  if (old.metadata.annotations?.["kubernetes.io/config.mirror"] !== undefined) {
    return [fieldErrors.forbidden("", "static pods cannot be resized")];
  }
  if (old.spec?.os?.name === "windows") return [fieldErrors.forbidden("", "windows pods cannot be resized")];
  const errors = [...podErrors(pod, old)];
  if (!pod.spec || !old.spec) return errors;
  if ((old.status?.qosClass ?? qosClass(old.spec)) !== qosClass(pod.spec)) {
    errors.push(
      fieldErrors.invalid("spec", pod.status?.qosClass ?? "", "Pod QOS Class may not change as a result of resizing"),
    );
  }
  const running = (old.status?.containerStatuses ?? []).find(({ state }) => state?.running !== undefined);
  if (running && running.resources === undefined) {
    errors.push(fieldErrors.forbidden("spec", "Pod running on node without support for resize"));
  }
  const own = old.spec.resources;
  if (own !== undefined && pod.spec.resources === undefined) {
    errors.push(fieldErrors.forbidden("spec.resources", "pod-level resources cannot be removed"));
  } else if (own !== undefined) {
    for (const part of ["requests", "limits"] as const) {
      if (removed(pod.spec.resources?.[part], own[part])) {
        errors.push(fieldErrors.forbidden(`spec.resources.${part}`, `pod-level resource ${part} cannot be removed`));
      }
    }
  }
  const order = orderErrors(pod, old);
  if (order.length > 0) return [...errors, ...order];
  for (const part of ["initContainers", "containers"] as const) {
    for (const [index, before] of (old.spec[part] ?? []).entries()) {
      const now = pod.spec[part]?.[index];
      for (const amounts of ["requests", "limits"] as const) {
        if (removed(now?.resources?.[amounts], before.resources?.[amounts])) {
          errors.push(
            fieldErrors.forbidden(
              `spec.${part}[${index}].resources.${amounts}`,
              `resource ${amounts} cannot be removed`,
            ),
          );
        }
      }
    }
  }
  for (const [index, before] of (old.spec.containers ?? []).entries()) {
    const now = pod.spec.containers[index];
    if (now && !sameButComputing(now, before)) {
      errors.push(fieldErrors.forbidden("spec", "only cpu and memory resources are mutable"));
    }
  }
  for (const [index, before] of (old.spec.initContainers ?? []).entries()) {
    const now = pod.spec.initContainers?.[index];
    if (now && !sameButComputing(now, before)) {
      errors.push(
        fieldErrors.forbidden(
          `spec.initContainers[${index}]`,
          "only cpu and memory resources for init or sidecar containers are mutable",
        ),
      );
    }
  }
  return errors;
}
