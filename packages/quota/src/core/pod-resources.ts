import { addInto, max, parseAmounts, type Amounts } from "./amounts.ts";
import type { Container, PodSpec, Quantities } from "./pod-template.ts";

const isPodLevel = (name: string): boolean => name === "cpu" || name === "memory" || name.startsWith("hugepages-");

type Side = "requests" | "limits";

const isSidecar = (container: Container): boolean => container.restartPolicy === "Always";

/**
 * What the containers need together: the sum of containers and sidecars, or more where an init container needs more while the sidecars
 * before it run (KEP-753; `AggregateContainerRequests` in component-helpers).
 */
function ofContainers(spec: PodSpec, side: Side): Map<string, bigint> {
  const total = new Map<string, bigint>();
  const read = (container: Container, list: string): Amounts =>
    parseAmounts(container.resources?.[side], `${list}["${container.name}"].resources.${side}`);
  for (const container of spec.containers ?? []) addInto(total, read(container, "containers"));
  const sidecars = new Map<string, bigint>();
  let starting: Amounts = new Map();
  for (const container of spec.initContainers ?? []) {
    const own = read(container, "initContainers");
    if (isSidecar(container)) {
      addInto(total, own);
      addInto(sidecars, own);
      starting = max(starting, sidecars);
    } else {
      const during = new Map(sidecars);
      addInto(during, own);
      starting = max(starting, during);
    }
  }
  return new Map(max(total, starting));
}

function podLevel(quantities: Quantities | undefined, side: Side): Amounts {
  return new Map([...parseAmounts(quantities, `resources.${side}`)].filter(([name]) => isPodLevel(name)));
}

/** Requests and limits of one pod by resource name, as the scheduler and ResourceQuota sum them. `spec` has its defaults already. */
export function podResources(spec: PodSpec): { readonly requests: Amounts; readonly limits: Amounts } {
  const requests = ofContainers(spec, "requests");
  const limits = ofContainers(spec, "limits");
  const podRequests = podLevel(spec.resources?.requests, "requests");
  const podLimits = podLevel(spec.resources?.limits, "limits");
  // The API server defaults pod-level requests from pod-level limits only where no container requests the resource.
  for (const [name, amount] of podLimits) {
    limits.set(name, amount);
    if (!requests.has(name)) requests.set(name, amount);
  }
  for (const [name, amount] of podRequests) requests.set(name, amount);
  const overhead = parseAmounts(spec.overhead, "overhead");
  addInto(requests, overhead);
  for (const [name, amount] of overhead) {
    const limit = limits.get(name);
    if (limit !== undefined && limit !== 0n) limits.set(name, limit + amount);
  }
  return { requests, limits };
}

/** Whether pod-level resources are set, which makes container-level ones optional (ResourceQuota's rule). */
export function hasPodLevelResources(spec: PodSpec): boolean {
  return [spec.resources?.requests, spec.resources?.limits].some((side) => Object.keys(side ?? {}).some(isPodLevel));
}
