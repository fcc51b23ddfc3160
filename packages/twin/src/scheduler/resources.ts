import { parseQuantity } from "@fleetwright/kube";
import type { Container, Pod, PodSpec } from "@fleetwright/kube";

/** Amounts by resource: processors in thousandths, everything else in units. */
export type Amounts = Record<string, number>;

const parsed = new Map<string, number>();
const maxParsed = 10_000;

/** An amount as a number: thousandths of a processor, units of the rest, rounded up. */
function amountOf(resource: string, text: string): number {
  const key = resource === "cpu" ? `cpu ${text}` : text;
  const known = parsed.get(key);
  if (known !== undefined) return known;
  const exact = parseQuantity(text).toNumber();
  const amount = Math.ceil(resource === "cpu" ? exact * 1000 - 1e-6 : exact);
  if (parsed.size >= maxParsed) parsed.clear();
  parsed.set(key, amount);
  return amount;
}

export function amountsOf(texts: Readonly<Record<string, string>> | undefined): Amounts {
  const amounts: Amounts = {};
  for (const [resource, text] of Object.entries(texts ?? {})) amounts[resource] = amountOf(resource, text);
  return amounts;
}

export function add(total: Amounts, amounts: Readonly<Amounts>, sign = 1): void {
  for (const resource in amounts) total[resource] = (total[resource] ?? 0) + sign * (amounts[resource] ?? 0);
}

function raise(total: Amounts, amounts: Readonly<Amounts>): void {
  for (const resource in amounts) total[resource] = Math.max(total[resource] ?? 0, amounts[resource] ?? 0);
}

const requestsOf = (container: Container): Amounts =>
  amountsOf(container.resources?.requests as Record<string, string> | undefined);

/**
 * What a pod asks for: its containers together with its sidecars, or more where an init container needs more while it runs
 * beside the sidecars before it; what the pod as a whole says wins (k8s.io/component-helpers/resource, `PodRequests`).
 */
export function podRequests(spec: PodSpec): Amounts {
  const total: Amounts = {};
  for (const container of spec.containers) add(total, requestsOf(container));
  const sidecars: Amounts = {};
  const during: Amounts = {};
  for (const container of spec.initContainers ?? []) {
    const amounts = requestsOf(container);
    if (container.restartPolicy === "Always") {
      add(total, amounts);
      add(sidecars, amounts);
      raise(during, sidecars);
    } else {
      add(amounts, sidecars);
      raise(during, amounts);
    }
  }
  raise(total, during);
  Object.assign(total, amountsOf((spec.resources?.requests ?? {}) as Record<string, string>));
  add(total, amountsOf(spec.overhead as Record<string, string> | undefined));
  return total;
}

/** For scores, a container that asks for nothing counts as this much (`GetNonzeroRequests`). */
const leastCpu = 100;
const leastMemory = 200 * 1024 * 1024;

export function scoredRequests(
  spec: PodSpec,
  requests: Readonly<Amounts>,
): { readonly cpu: number; readonly memory: number } {
  let [cpu, memory] = [requests["cpu"] ?? 0, requests["memory"] ?? 0];
  for (const { resources } of spec.containers) {
    if (resources?.requests?.["cpu"] === undefined) cpu += leastCpu;
    if (resources?.requests?.["memory"] === undefined) memory += leastMemory;
  }
  return { cpu, memory };
}

export const priorityOf = (pod: Pod): number => pod.spec?.priority ?? 0;
