import {
  LimitRanges,
  type Quantity,
  type Container,
  type LimitRange,
  type PersistentVolumeClaim,
  type Pod,
} from "@fleetwright/kube";
import type { AdmissionAttributes, AdmissionPlugin } from "../machinery/admission.ts";
import { typed, type Mutable } from "../machinery/draft.ts";
import type { ServerAccess } from "../machinery/request.ts";
import { amountsOf, podResources, type Amounts } from "./pod-resources.ts";
import { groupResource, refusal } from "./refusal.ts";

type Limit = LimitRange extends { readonly spec?: { readonly limits: readonly (infer One)[] } } ? One : never;

const annotation = "kubernetes.io/limit-ranger";

function minimum(type: string, name: string, least: Quantity, requests: Amounts, limits: Amounts): string | undefined {
  const request = requests.get(name);
  const limit = limits.get(name);
  const begin = `minimum ${name} usage per ${type} is ${least.toString()}`;
  if (request === undefined) return `${begin}.  No request is specified`;
  if (request.cmp(least) < 0) return `${begin}, but request is ${request.toString()}`;
  if (limit !== undefined && limit.cmp(least) < 0) return `${begin}, but limit is ${limit.toString()}`;
  return undefined;
}

function maximum(type: string, name: string, most: Quantity, requests: Amounts, limits: Amounts): string | undefined {
  const request = requests.get(name);
  const limit = limits.get(name);
  const begin = `maximum ${name} usage per ${type} is ${most.toString()}`;
  if (limit === undefined) return `${begin}.  No limit is specified`;
  if (limit.cmp(most) > 0) return `${begin}, but limit is ${limit.toString()}`;
  if (request !== undefined && request.cmp(most) > 0) return `${begin}, but request is ${request.toString()}`;
  return undefined;
}

function ratio(type: string, name: string, most: Quantity, requests: Amounts, limits: Amounts): string | undefined {
  const request = requests.get(name);
  const limit = limits.get(name);
  const begin = `${name} max limit to request ratio per ${type} is ${most.toString()}`;
  if (request === undefined || request.isZero) return `${begin}, but no request is specified or request is 0`;
  if (limit === undefined || limit.isZero) return `${begin}, but no limit is specified or limit is 0`;
  const found = Number(limit.milliValue()) / Number(request.milliValue());
  return found > most.toNumber() ? `${begin}, but provided ratio is ${found.toFixed(6)}` : undefined;
}

function limitProblems(limit: Limit, requests: Amounts, limits: Amounts): string[] {
  const checks = [
    [limit.min, minimum],
    [limit.max, maximum],
    [limit.maxLimitRequestRatio, ratio],
  ] as const;
  return checks.flatMap(([bounds, check]) =>
    [...amountsOf(bounds)].flatMap(([name, bound]) => check(limit.type, name, bound, requests, limits) ?? []),
  );
}

function podProblems(range: LimitRange, pod: Pod): string[] {
  const problems: string[] = [];
  for (const limit of range.spec?.limits ?? []) {
    if (limit.type === "Container") {
      for (const container of [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])]) {
        const { requests, limits } = container.resources ?? {};
        problems.push(...limitProblems(limit, amountsOf(requests), amountsOf(limits)));
      }
    } else if (limit.type === "Pod") {
      problems.push(...limitProblems(limit, podResources(pod, "requests"), podResources(pod, "limits")));
    }
  }
  return problems;
}

function claimProblems(range: LimitRange, claim: PersistentVolumeClaim): string[] {
  const requests = amountsOf(claim.spec?.resources?.requests);
  return (range.spec?.limits ?? []).flatMap((limit) => {
    if (limit.type !== "PersistentVolumeClaim") return [];
    const low = [...amountsOf(limit.min)].flatMap(
      ([name, least]) => minimum(limit.type, name, least, requests, new Map()) ?? [],
    );
    const high = [...amountsOf(limit.max)].flatMap(([name, most]) => {
      const request = requests.get(name);
      const begin = `maximum ${name} usage per ${limit.type} is ${most.toString()}`;
      if (request === undefined) return [`${begin}.  No request is specified`];
      return request.cmp(most) > 0 ? [`${begin}, but request is ${request.toString()}`] : [];
    });
    return [...low, ...high];
  });
}

/** Fills what a container does not say, and tells what was filled. */
function fill(
  container: Mutable<Container>,
  what: string,
  requests: Readonly<Record<string, string>>,
  limits: Readonly<Record<string, string>>,
): string[] {
  const resources = (container.resources ??= {});
  const set = (kind: "limits" | "requests", defaults: Readonly<Record<string, string>>): string[] => {
    const missing = Object.keys(defaults).filter((name) => !Object.hasOwn(resources[kind] ?? {}, name));
    if (missing.length === 0) return [];
    resources[kind] = {
      ...resources[kind],
      ...Object.fromEntries(missing.map((name) => [name, defaults[name] ?? ""])),
    };
    const word = kind === "limits" ? "limit" : "request";
    return [`${missing.toSorted().join(", ")} ${word} for ${what} ${container.name}`];
  };
  const filledLimits = set("limits", limits);
  return [...set("requests", requests), ...filledLimits];
}

function fillPod(range: LimitRange, pod: Mutable<Pod>): void {
  const requests: Record<string, string> = {};
  const limits: Record<string, string> = {};
  for (const limit of range.spec?.limits ?? []) {
    if (limit.type !== "Container") continue;
    Object.assign(requests, limit.defaultRequest);
    Object.assign(limits, limit.default);
  }
  const filled = [
    ...(pod.spec?.containers ?? []).flatMap((container) => fill(container, "container", requests, limits)),
    ...(pod.spec?.initContainers ?? []).flatMap((container) => fill(container, "init container", requests, limits)),
  ];
  if (filled.length === 0) return;
  pod.metadata.annotations = {
    ...pod.metadata.annotations,
    [annotation]: `LimitRanger plugin set: ${filled.join("; ")}`,
  };
}

/** Defaults and bounds of resources by the namespace's LimitRanges (plugin/pkg/admission/limitranger). */
export function limitRanger({ objects }: Pick<ServerAccess, "objects">): AdmissionPlugin {
  function rangesFor(attributes: AdmissionAttributes): readonly LimitRange[] {
    const { subresource, operation, namespace } = attributes;
    const resource = groupResource(attributes);
    const counts =
      resource === "pods"
        ? (subresource === "" && operation === "CREATE") || (subresource === "resize" && operation === "UPDATE")
        : resource === "persistentvolumeclaims" && subresource === "";
    if (!counts) return [];
    const old = attributes.oldObject?.["metadata"] as { deletionTimestamp?: string } | undefined;
    return old?.deletionTimestamp === undefined ? objects.list(LimitRanges, namespace) : [];
  }

  return {
    name: "LimitRanger",
    handles: (operation) => operation === "CREATE" || operation === "UPDATE",
    admit(attributes) {
      const { object } = attributes;
      if (object === undefined || attributes.resource.resource !== "pods") return;
      for (const range of rangesFor(attributes)) fillPod(range, typed<Pod>(object));
    },
    validate(attributes) {
      const { object } = attributes;
      if (object === undefined) return;
      for (const range of rangesFor(attributes)) {
        const problems =
          attributes.resource.resource === "pods"
            ? podProblems(range, typed<Pod>(object))
            : claimProblems(range, typed<PersistentVolumeClaim>(object));
        const texts = [...new Set(problems)];
        if (texts.length > 0) {
          throw refusal(attributes, texts.length === 1 ? (texts[0] ?? "") : `[${texts.join(", ")}]`);
        }
      }
    },
  };
}
