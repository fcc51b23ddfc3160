import { parseQuantity, type Container, type PodSpec, type Quantity } from "@fleetwright/kube";
import type { Mutable } from "../machinery/draft.ts";

/** Amounts of resources by name. */
export type Amounts = Readonly<Record<string, string>>;

const isHugePages = (name: string): boolean => name.startsWith("hugepages-");
/** `IsSupportedPodLevelResource`. */
const isPodLevelResource = (name: string): boolean => name === "cpu" || name === "memory" || isHugePages(name);

function combine(
  into: Map<string, Quantity>,
  amounts: Amounts | undefined,
  pick: (a: Quantity, b: Quantity) => Quantity,
): void {
  for (const [name, text] of Object.entries(amounts ?? {})) {
    const quantity = parseQuantity(text);
    const there = into.get(name);
    into.set(name, there === undefined ? quantity : pick(there, quantity));
  }
}

const sum = (a: Quantity, b: Quantity): Quantity => a.add(b);
const larger = (a: Quantity, b: Quantity): Quantity => (a.cmp(b) >= 0 ? a : b);

/**
 * What a pod's containers need together: sidecars and containers add up, each other init container runs beside the
 * sidecars before it (k8s.io/component-helpers/resource/helpers.go, `AggregateContainerRequests`).
 */
export function aggregateAmounts(
  spec: Pick<PodSpec, "containers" | "initContainers">,
  part: "limits" | "requests",
): Map<string, Quantity> {
  const total = new Map<string, Quantity>();
  for (const container of spec.containers ?? []) combine(total, container.resources?.[part], sum);
  const sidecars = new Map<string, Quantity>();
  const starting = new Map<string, Quantity>();
  for (const container of spec.initContainers ?? []) {
    const amounts = container.resources?.[part];
    const needed = new Map<string, Quantity>();
    if (container.restartPolicy === "Always") {
      combine(total, amounts, sum);
      combine(sidecars, amounts, sum);
      for (const [name, quantity] of sidecars) needed.set(name, quantity);
    } else {
      for (const [name, quantity] of sidecars) needed.set(name, quantity);
      combine(needed, amounts, sum);
    }
    for (const [name, quantity] of needed) starting.set(name, larger(starting.get(name) ?? quantity, quantity));
  }
  for (const [name, quantity] of starting) total.set(name, larger(total.get(name) ?? quantity, quantity));
  return total;
}

/** `defaultHugePagePodLimits` and `defaultPodRequests` (KEP-2837): what a pod's own resources leave open. */
export function defaultPodLevelResources(spec: Mutable<PodSpec>): void {
  const { resources } = spec;
  if (!resources) return;
  const has = (amounts: Amounts | undefined): boolean => Object.keys(amounts ?? {}).length > 0;
  if (!has(resources.limits) && !has(resources.requests)) return;
  const limits = { ...resources.limits };
  for (const [name, quantity] of aggregateAmounts(spec, "limits")) {
    if (!isHugePages(name) || Object.hasOwn(resources.requests ?? {}, name)) continue;
    if (!Object.hasOwn(limits, name)) limits[name] = quantity.toString();
  }
  if (has(limits)) resources.limits = limits;
  if (!has(resources.limits)) return;
  const requests = { ...resources.requests };
  for (const [name, quantity] of aggregateAmounts(spec, "requests")) {
    if (isPodLevelResource(name) && !isHugePages(name) && !Object.hasOwn(requests, name)) {
      requests[name] = quantity.toString();
    }
  }
  for (const [name, text] of Object.entries(limits)) {
    if (isPodLevelResource(name) && !Object.hasOwn(requests, name)) requests[name] = text;
  }
  if (has(requests)) resources.requests = requests;
}

/** `GetPodQOS`: how a pod is treated when its node runs short. */
export function qosClass(spec: Pick<PodSpec, "containers" | "initContainers" | "resources">): string {
  const own = spec.resources;
  const containers: readonly Pick<Container, "resources">[] = own
    ? [{ resources: own }]
    : [...(spec.containers ?? []), ...(spec.initContainers ?? [])];
  const requests = new Map<string, Quantity>();
  const limits = new Map<string, Quantity>();
  let guaranteed = true;
  const positive = (amounts: Amounts | undefined): Record<string, string> =>
    Object.fromEntries(
      Object.entries(amounts ?? {}).filter(
        ([name, text]) => (name === "cpu" || name === "memory") && parseQuantity(text).sign > 0,
      ),
    );
  for (const { resources } of containers) {
    combine(requests, positive(resources?.requests), sum);
    const limited = positive(resources?.limits);
    combine(limits, limited, sum);
    if (!Object.hasOwn(limited, "cpu") || !Object.hasOwn(limited, "memory")) guaranteed = false;
  }
  if (requests.size === 0 && limits.size === 0) return "BestEffort";
  const equal = [...requests].every(([name, quantity]) => limits.get(name)?.equals(quantity) === true);
  return guaranteed && equal && limits.size === requests.size ? "Guaranteed" : "Burstable";
}
