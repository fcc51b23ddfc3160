import { Namespaces, Pods, type KubeObject, type Namespace, type Pod, type PodSpec } from "@fleetwright/kube";
import type { AdmissionAttributes, AdmissionPlugin } from "../machinery/admission.ts";
import { isDraft, typed, type Draft } from "../machinery/draft.ts";
import type { ServerAccess } from "../machinery/request.ts";
import { fieldErrors, refusals, type FieldError } from "../machinery/status-error.ts";
import { podViolations, type PodLike, type Violation } from "./pod-security-checks.ts";

type Level = "privileged" | "baseline" | "restricted";

/** A level as a version of Kubernetes knows it; `minor` is infinite for `latest`. */
interface Standard {
  readonly level: Level;
  readonly minor: number;
}

interface Policy {
  readonly enforce: Standard;
  readonly audit: Standard;
  readonly warn: Standard;
}

const strictness: readonly string[] = ["privileged", "baseline", "restricted"] satisfies Level[];
const prefix = "pod-security.kubernetes.io/";

const standardText = ({ level, minor }: Standard): string =>
  `${level}:${minor === Infinity ? "latest" : `v1.${minor}`}`;

/** What a namespace's labels ask for; wrong ones count as the strictest to enforce, and as none to warn of. */
function policyOf(labels: Readonly<Record<string, string>>): {
  readonly policy: Policy;
  readonly errors: readonly FieldError[];
} {
  const errors: FieldError[] = [];
  const label = (name: string): string | undefined =>
    Object.hasOwn(labels, `${prefix}${name}`) ? labels[`${prefix}${name}`] : undefined;
  const report = (name: string, value: string, problem: string): void =>
    void errors.push(fieldErrors.invalid(`metadata.labels[${prefix}${name}]`, value, problem));
  const level = (mode: string, fallback: Level): Level => {
    const value = label(mode);
    if (value === undefined) return "privileged";
    if (strictness.includes(value)) return value as Level;
    report(mode, value, `must be one of ${strictness.join(", ")}`);
    return fallback;
  };
  const minor = (mode: string): number => {
    const value = label(`${mode}-version`);
    if (value === undefined || value === "latest") return Infinity;
    const match = /^v1\.(0|[1-9][0-9]*)$/.exec(value);
    if (match !== null) return Number(match[1]);
    report(`${mode}-version`, value, 'must be "latest" or "v1.x"');
    return Infinity;
  };
  const standard = (mode: string, fallback: Level): Standard => ({ level: level(mode, fallback), minor: minor(mode) });
  const enforce = standard("enforce", "restricted");
  const audit = standard("audit", "privileged");
  let warn = standard("warn", "privileged");
  // Who enforces a level wants to be warned of it as well.
  const isNamed = strictness.includes(label("enforce") ?? "");
  if (label("warn") === undefined && isNamed && enforce.level !== "privileged") {
    warn = { level: enforce.level, minor: label("warn-version") === undefined ? enforce.minor : warn.minor };
  }
  return { policy: { enforce, audit, warn }, errors };
}

const violationsOf = ({ level, minor }: Standard, pod: PodLike): readonly Violation[] =>
  level === "privileged" ? [] : podViolations(level, minor, pod);

const detailText = (violations: readonly Violation[]): string =>
  violations.map(({ reason, detail }) => (detail === "" ? reason : `${reason} (${detail})`)).join(", ");

const reasonText = (violations: readonly Violation[]): string => violations.map(({ reason }) => reason).join(", ");

const podTemplates: ReadonlyMap<string, readonly string[]> = new Map([
  ["podtemplates.", ["template"]],
  ["replicationcontrollers.", ["spec", "template"]],
  ["replicasets.apps", ["spec", "template"]],
  ["deployments.apps", ["spec", "template"]],
  ["daemonsets.apps", ["spec", "template"]],
  ["statefulsets.apps", ["spec", "template"]],
  ["jobs.batch", ["spec", "template"]],
  ["cronjobs.batch", ["spec", "jobTemplate", "spec", "template"]],
]);

/** Subresources whose objects are no pods, or say nothing of their containers. */
const ignoredSubresources: ReadonlySet<string> = new Set([
  "exec",
  "attach",
  "binding",
  "eviction",
  "log",
  "portforward",
  "proxy",
  "status",
]);

const maximumPods = 3000;

/** PodSecurity (plugin/pkg/admission/security/podsecurity, k8s.io/pod-security-admission), with no defaults and exemptions. */
export const podSecurity = (server: ServerAccess): AdmissionPlugin => ({
  name: "PodSecurity",
  handles: (operation) => operation === "CREATE" || operation === "UPDATE",
  validate(attributes) {
    const { group, resource } = attributes.resource;
    const name = `${resource}.${group}`;
    if (name === "namespaces.") checkNamespace(attributes, server);
    else if (name === "pods.") checkPod(attributes, server);
    else if (podTemplates.has(name)) checkTemplate(attributes, podTemplates.get(name) ?? [], server);
  },
});

const labelsOf = (object: Readonly<KubeObject> | undefined): Readonly<Record<string, string>> =>
  object?.metadata.labels ?? {};

function checkNamespace(attributes: AdmissionAttributes, server: ServerAccess): void {
  const { object, oldObject, subresource, operation, context, name } = attributes;
  if (subresource !== "" || object === undefined) return;
  const { policy, errors } = policyOf(labelsOf(typed<Namespace>(object)));
  const old = operation === "CREATE" || oldObject === undefined ? undefined : typed<Namespace>(oldObject as Draft);
  const before = old === undefined ? undefined : policyOf(labelsOf(old));
  const textOf = (list: readonly FieldError[]): string => list.map(({ field, message }) => field + message).join("\n");
  if (errors.length > 0 && (before === undefined || textOf(errors) !== textOf(before.errors))) {
    throw refusals.invalid({ group: "", resource: "Namespace" }, name, errors);
  }
  if (before === undefined) return;
  const { enforce } = policy;
  const previous = before.policy.enforce;
  const isStricter = strictness.indexOf(enforce.level) > strictness.indexOf(previous.level);
  if (enforce.level === "privileged" || (enforce.minor === previous.minor && !isStricter)) return;
  for (const warning of existingPods(name, enforce, server)) context.warn(warning);
}

/** What the pods that are there already would be refused for. */
function existingPods(namespace: string, enforce: Standard, server: ServerAccess): readonly string[] {
  const pods = uniqueFirst(server.objects.list(Pods, namespace));
  const checked = pods.slice(0, maximumPods);
  const names = new Map<string, string[]>();
  for (const pod of checked) {
    const violations = violationsOf(enforce, podLike(pod.metadata, pod.spec));
    if (violations.length === 0) continue;
    const reason = reasonText(violations);
    const same = names.get(reason);
    if (same === undefined) names.set(reason, [pod.metadata.name ?? ""]);
    else same.push(pod.metadata.name ?? "");
  }
  const warnings: string[] = [];
  if (checked.length < pods.length) {
    const counts = `the first ${checked.length} of ${pods.length} existing pods`;
    warnings.push(`new PodSecurity enforce level only checked against ${counts}`);
  }
  if (names.size > 0) {
    const level = JSON.stringify(standardText(enforce));
    warnings.push(
      `existing pods in namespace ${JSON.stringify(namespace)} violate the new PodSecurity enforce level ${level}`,
    );
  }
  const texts = [...names].map(([reason, all]) => {
    const [first = ""] = all.toSorted();
    const others = all.length - 1;
    return `${first}${others === 0 ? "" : others === 1 ? " (and 1 other pod)" : ` (and ${others} other pods)`}: ${reason}`;
  });
  return [...warnings, ...texts.toSorted()];
}

/** One pod of each controller first. */
function uniqueFirst(pods: readonly Pod[]): readonly Pod[] {
  const seen = new Set<string>();
  const first: Pod[] = [];
  const others: Pod[] = [];
  for (const pod of pods) {
    const owner = pod.metadata.ownerReferences?.find(({ controller }) => controller === true)?.uid;
    if (owner !== undefined && seen.has(owner)) others.push(pod);
    else first.push(pod);
    if (owner !== undefined) seen.add(owner);
  }
  return [...first, ...others];
}

const podLike = (metadata: Readonly<KubeObject["metadata"]> | undefined, spec: PodSpec | undefined): PodLike => ({
  metadata: metadata ?? {},
  spec: spec ?? ({ containers: [] } as PodSpec),
});

const namespacePolicy = ({ namespace }: AdmissionAttributes, server: ServerAccess): Policy =>
  policyOf(labelsOf(server.objects.get(Namespaces, { name: namespace }))).policy;

function checkPod(attributes: AdmissionAttributes, server: ServerAccess): void {
  const { object, oldObject, subresource, operation, resource, name, context } = attributes;
  if (ignoredSubresources.has(subresource) || object === undefined) return;
  const { enforce, warn } = namespacePolicy(attributes, server);
  if (enforce.level === "privileged" && warn.level === "privileged") return;
  const pod = typed<Pod>(object);
  if (operation === "UPDATE" && oldObject !== undefined && !isSignificant(pod, typed<Pod>(oldObject as Draft))) return;
  const subject = podLike(pod.metadata, pod.spec);
  const violations = violationsOf(enforce, subject);
  if (violations.length > 0) {
    const text = `violates PodSecurity ${JSON.stringify(standardText(enforce))}: ${detailText(violations)}`;
    throw refusals.forbidden({ group: resource.group, resource: resource.resource }, name, text);
  }
  warnOf(warn, subject, context);
}

function warnOf(standard: Standard, subject: PodLike, context: AdmissionAttributes["context"]): void {
  const violations = violationsOf(standard, subject);
  if (violations.length === 0) return;
  context.warn(`would violate PodSecurity ${JSON.stringify(standardText(standard))}: ${detailText(violations)}`);
}

/** Whether an update changes what levels are about: only images and ephemeral containers of a pod can change. */
function isSignificant(pod: Pick<Pod, "spec">, old: Pick<Pod, "spec">): boolean {
  for (const key of ["containers", "initContainers"] as const) {
    const now = pod.spec?.[key] ?? [];
    const before = old.spec?.[key] ?? [];
    if (now.length !== before.length || now.some(({ image }, index) => image !== before[index]?.image)) return true;
  }
  const before = new Map((old.spec?.ephemeralContainers ?? []).map(({ name, image }) => [name, image]));
  return (pod.spec?.ephemeralContainers ?? []).some(
    ({ name, image }) => !before.has(name) || before.get(name) !== image,
  );
}

function checkTemplate(attributes: AdmissionAttributes, path: readonly string[], server: ServerAccess): void {
  const { object, subresource, context } = attributes;
  if (subresource !== "" || object === undefined) return;
  const { warn } = namespacePolicy(attributes, server);
  if (warn.level === "privileged") return;
  let template: unknown = object;
  for (const step of path) template = isDraft(template) ? template[step] : undefined;
  if (!isDraft(template)) return;
  const { metadata, spec } = typed<Pod>(template);
  warnOf(warn, podLike(metadata, spec), context);
}
