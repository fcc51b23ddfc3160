import { jsonEqual, type Container, type Json, type Pod, type PodSpec, type Toleration } from "@fleetwright/kube";
import { copyJson, type Mutable } from "../machinery/draft.ts";
import { fieldErrors, type FieldError } from "../machinery/status-error.ts";
import { imageSpaceErrors } from "./container-validation.ts";
import { tolerationsErrors } from "./pod-scheduling-validation.ts";
import { specDifference } from "./pod-spec-difference.ts";
import { annotationErrors, mirrorAnnotation, podErrors } from "./pod-validation.ts";

const same = (a: unknown, b: unknown): boolean => jsonEqual((a ?? null) as Json, (b ?? null) as Json);
const largest = 2_147_483_647;

const updatableFields = [
  "`spec.containers[*].image`",
  "`spec.initContainers[*].image`",
  "`spec.activeDeadlineSeconds`",
  "`spec.tolerations` (only additions to existing tolerations)",
  "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
].join(",");

/** `ValidatePodSpecificAnnotationUpdates`. */
function annotationUpdateErrors(pod: Pod, old: Pod): FieldError[] {
  const [now, before] = [pod.metadata.annotations ?? {}, old.metadata.annotations ?? {}];
  const appArmor = "container.apparmor.security.beta.kubernetes.io/";
  const refuse = (key: string, verb: string): FieldError[] => [
    ...(key.startsWith(appArmor)
      ? [fieldErrors.forbidden(`metadata.annotations[${key}]`, `may not ${verb} AppArmor annotations`)]
      : []),
    ...(key === mirrorAnnotation
      ? [fieldErrors.forbidden(`metadata.annotations[${key}]`, `may not ${verb} mirror pod annotation`)]
      : []),
  ];
  return [
    ...Object.keys(before)
      .filter((key) => now[key] !== before[key])
      .flatMap((key) => refuse(key, "remove or update")),
    ...Object.keys(now)
      .filter((key) => !Object.hasOwn(before, key))
      .flatMap((key) => refuse(key, "add")),
    ...annotationErrors(pod.metadata, pod.spec ?? { containers: [] }, "metadata.annotations"),
  ];
}

/** `ValidateContainerUpdates`: none when the containers are not the same ones. */
function imageErrors(
  now: readonly Container[] | undefined,
  before: readonly Container[] | undefined,
  field: string,
): FieldError[] | undefined {
  if ((now ?? []).length !== (before ?? []).length) return undefined;
  return (now ?? []).flatMap((container, index) => [
    ...(container.image ? [] : [fieldErrors.required(`${field}[${index}].image`)]),
    ...imageSpaceErrors(container, `${field}[${index}]`),
  ]);
}

/** `validateOnlyAddedTolerations`. */
function addedTolerationsErrors(now: readonly Toleration[], before: readonly Toleration[]): FieldError[] {
  const withoutSeconds = ({ tolerationSeconds: _seconds, ...rest }: Toleration): Json => rest as unknown as Json;
  const kept = before.every((old) =>
    now.some((toleration) => jsonEqual(withoutSeconds(toleration), withoutSeconds(old))),
  );
  return kept
    ? tolerationsErrors(now, "spec.tolerations")
    : [
        fieldErrors.forbidden(
          "spec.tolerations",
          "existing toleration can not be modified except its tolerationSeconds",
        ),
      ];
}

function gateErrors(spec: PodSpec, old: PodSpec): FieldError[] {
  const before = new Set((old.schedulingGates ?? []).map(({ name }) => name));
  return (spec.schedulingGates ?? []).flatMap(({ name }, index) =>
    before.has(name)
      ? []
      : [
          fieldErrors.forbidden(
            `spec.schedulingGates[${index}].name`,
            `only deletion is allowed, but found new scheduling gate '${name}'`,
          ),
        ],
  );
}

type NodeTerms = NonNullable<
  NonNullable<
    NonNullable<NonNullable<PodSpec["affinity"]>["nodeAffinity"]>["requiredDuringSchedulingIgnoredDuringExecution"]
  >["nodeSelectorTerms"]
>;

const startsWith = (now: readonly unknown[] = [], before: readonly unknown[] = []): boolean =>
  same(now.slice(0, before.length), before);

/** `validateNodeAffinityMutation`: the affinity of a gated pod may become narrower. */
function nodeAffinityErrors(spec: PodSpec, old: PodSpec): FieldError[] {
  const termsOf = ({ affinity }: PodSpec): NodeTerms =>
    affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? [];
  const [now, before] = [termsOf(spec), termsOf(old)];
  const field = "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms";
  if (before.length > 0 && before.length !== now.length) {
    return [
      fieldErrors.invalid(
        field,
        now.length === 0 ? null : now,
        "no additions/deletions to non-empty NodeSelectorTerms list are allowed",
      ),
    ];
  }
  return before.flatMap((earlier, index) => {
    const term = now[index] ?? {};
    const empty = (earlier.matchExpressions ?? []).length + (earlier.matchFields ?? []).length === 0;
    const grows = (term.matchExpressions ?? []).length + (term.matchFields ?? []).length > 0;
    const narrower =
      !(empty && grows) &&
      startsWith(term.matchExpressions, earlier.matchExpressions) &&
      startsWith(term.matchFields, earlier.matchFields);
    return narrower
      ? []
      : [
          fieldErrors.invalid(
            `${field}[${index}]`,
            { MatchExpressions: term.matchExpressions ?? null, MatchFields: term.matchFields ?? null },
            "only additions are allowed (no mutations or deletions)",
          ),
        ];
  });
}

/** Puts back what was there, absence included. */
function restore<T extends object, Key extends keyof T>(target: T, source: Readonly<T>, names: readonly Key[]): void {
  for (const name of names) {
    if (source[name] === undefined) delete target[name];
    else target[name] = source[name];
  }
}

/** The new spec with everything undone that may change; and what is wrong with changes that only gated pods may make. */
function undoAllowed(spec: PodSpec, old: Mutable<PodSpec>): { readonly spec: PodSpec; readonly errors: FieldError[] } {
  const next = copyJson(spec) as Mutable<PodSpec>;
  const errors: FieldError[] = [];
  for (const part of ["containers", "initContainers"] as const) {
    for (const [index, container] of (next[part] ?? []).entries()) {
      const before = old[part]?.[index];
      if (before) restore(container, before, ["image"]);
    }
  }
  restore(next, old, ["activeDeadlineSeconds", "schedulingGates", "tolerations"]);
  if ((old.terminationGracePeriodSeconds ?? 0) < 0 && next.terminationGracePeriodSeconds === 1) {
    restore(next, old, ["terminationGracePeriodSeconds"]);
  }
  if ((old.schedulingGates ?? []).length > 0) {
    const selector = next.nodeSelector ?? {};
    if (Object.entries(old.nodeSelector ?? {}).some(([key, value]) => selector[key] !== value)) {
      errors.push(
        fieldErrors.invalid(
          "spec.nodeSelector",
          next.nodeSelector ?? null,
          "only additions to spec.nodeSelector are allowed (no mutations or deletions)",
        ),
      );
    }
    restore(next, old, ["nodeSelector"]);
    errors.push(...nodeAffinityErrors(spec, old));
    const nodeAffinity = old.affinity?.nodeAffinity;
    const affinity: typeof next.affinity = { ...next.affinity };
    delete affinity.nodeAffinity;
    if (nodeAffinity) affinity.nodeAffinity = nodeAffinity;
    if (Object.keys(affinity).length === 0 && old.affinity === undefined) delete next.affinity;
    else next.affinity = affinity;
  }
  return { spec: next, errors };
}

function deadlineErrors(now: number | undefined, before: number | undefined): readonly [FieldError[], boolean] {
  const field = "spec.activeDeadlineSeconds";
  if (now === undefined) {
    return [
      before === undefined
        ? []
        : [fieldErrors.invalid(field, null, "must not update from a positive integer to nil value")],
      false,
    ];
  }
  if (now < 0 || now > largest) {
    return [[fieldErrors.invalid(field, now, `must be between 0 and ${largest}, inclusive`)], true];
  }
  if (before !== undefined && before < now) {
    return [[fieldErrors.invalid(field, now, "must be less than or equal to previous value")], true];
  }
  return [[], false];
}

/** `ValidatePodUpdate`: images, deadlines, tolerations and gates may change, and nothing else of the spec. */
export function podUpdateErrors(pod: Pod, old: Pod): FieldError[] {
  const spec = pod.spec ?? { containers: [] };
  const before = (old.spec ?? { containers: [] }) as Mutable<PodSpec>;
  const errors = [...podErrors(pod, old), ...annotationUpdateErrors(pod, old)];
  for (const part of ["containers", "initContainers"] as const) {
    const images = imageErrors(spec[part], before[part], `spec.${part}`);
    if (images === undefined) {
      return [...errors, fieldErrors.forbidden(`spec.${part}`, "pod updates may not add or remove containers")];
    }
    errors.push(...images);
  }
  const [deadline, stop] = deadlineErrors(spec.activeDeadlineSeconds, before.activeDeadlineSeconds);
  errors.push(...deadline);
  if (stop) return errors;
  errors.push(...addedTolerationsErrors(spec.tolerations ?? [], before.tolerations ?? []), ...gateErrors(spec, before));
  if (same(spec, before)) return errors;
  const undone = undoAllowed(spec, before);
  errors.push(...undone.errors);
  if (!same(undone.spec, before)) {
    errors.push(
      fieldErrors.forbidden(
        "spec",
        `pod updates may not change fields other than ${updatableFields}\n${specDifference(before, undone.spec)}`,
      ),
    );
  }
  return errors;
}

/** `ValidatePodEphemeralContainersUpdate`: they may be added only. */
export function ephemeralContainersErrors(pod: Pod, old: Pod): FieldError[] {
  if (old.metadata.annotations?.[mirrorAnnotation] !== undefined) {
    return [fieldErrors.forbidden("", "static pods do not support ephemeral containers")];
  }
  const errors = [...podErrors(pod, old), ...annotationUpdateErrors(pod, old)];
  const now = new Map((pod.spec?.ephemeralContainers ?? []).map((container) => [container.name, container]));
  for (const before of old.spec?.ephemeralContainers ?? []) {
    const container = now.get(before.name);
    if (container !== undefined && same(container, before)) continue;
    errors.push(
      fieldErrors.forbidden(
        "spec.ephemeralContainers",
        `existing ephemeral containers ${JSON.stringify(before.name)} may not be ${container === undefined ? "removed" : "changed"}\n`,
      ),
    );
  }
  return errors;
}
