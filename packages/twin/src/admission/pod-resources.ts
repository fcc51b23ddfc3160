import { parseQuantity, Quantity, type Container, type Pod } from "@fleetwright/kube";

/** Amounts by the name of the resource. */
export type Amounts = Map<string, Quantity>;

type Kind = "requests" | "limits";

interface Resourced {
  readonly resources?: {
    readonly requests?: Readonly<Record<string, string>>;
    readonly limits?: Readonly<Record<string, string>>;
  };
}

export const amountsOf = (texts: Readonly<Record<string, string>> | undefined): Amounts =>
  new Map(Object.entries(texts ?? {}).map(([name, text]) => [name, parseQuantity(text)]));

export function addAmounts(sum: Amounts, more: Amounts): void {
  for (const [name, amount] of more) sum.set(name, (sum.get(name) ?? Quantity.zero).add(amount));
}

function raiseAmounts(high: Amounts, more: Amounts): void {
  for (const [name, amount] of more) {
    const now = high.get(name);
    if (now === undefined || amount.cmp(now) > 0) high.set(name, amount);
  }
}

const ofContainer = (container: Resourced, kind: Kind): Amounts => amountsOf(container.resources?.[kind]);

const isSidecar = (container: Container): boolean => container.restartPolicy === "Always";

/** What may be set for the pod as a whole (KEP-2837). */
const isPodLevel = (name: string): boolean => name === "cpu" || name === "memory" || name.startsWith("hugepages-");

/** Whether the pod has resources as a whole, which then count instead of its containers'. */
export function hasPodResources(pod: Pod): boolean {
  const { requests = {}, limits = {} } = (pod.spec as Resourced | undefined)?.resources ?? {};
  return [...Object.keys(requests), ...Object.keys(limits)].some(isPodLevel);
}

/**
 * What a pod asks for or is limited to: the sum of its containers, or what an init container needs beside the sidecars
 * that run already, when that is more; the pod's own amounts; overhead
 * (component-helpers/resource/helpers.go `PodRequests`, `PodLimits`, without the status of resizes).
 */
export function podResources(pod: Pod, kind: Kind): Amounts {
  const total: Amounts = new Map();
  for (const container of pod.spec?.containers ?? []) addAmounts(total, ofContainer(container, kind));
  const sidecars: Amounts = new Map();
  const starting: Amounts = new Map();
  for (const container of pod.spec?.initContainers ?? []) {
    const own = ofContainer(container, kind);
    if (isSidecar(container)) {
      addAmounts(total, own);
      addAmounts(sidecars, own);
      raiseAmounts(starting, sidecars);
    } else {
      const needed = new Map(sidecars);
      addAmounts(needed, own);
      raiseAmounts(starting, needed);
    }
  }
  raiseAmounts(total, starting);
  for (const [name, amount] of ofContainer((pod.spec ?? {}) as Resourced, kind)) {
    if (isPodLevel(name)) total.set(name, amount);
  }
  for (const [name, amount] of amountsOf(pod.spec?.overhead)) {
    const now = total.get(name);
    if (kind === "requests") total.set(name, (now ?? Quantity.zero).add(amount));
    // Overhead raises a limit and makes none.
    else if (now !== undefined && !now.isZero) total.set(name, now.add(amount));
  }
  return total;
}

/** Neither requests nor limits of CPU or memory anywhere: the BestEffort class. */
export function isBestEffort(pod: Pod): boolean {
  const counted = [
    ...(pod.spec?.containers ?? []),
    ...(pod.spec?.initContainers ?? []),
    ...(hasPodResources(pod) ? [(pod.spec ?? {}) as Resourced] : []),
  ];
  return !counted.some((container) =>
    (["requests", "limits"] as const).some((kind) => {
      const amounts = ofContainer(container, kind);
      return ["cpu", "memory"].some((name) => (amounts.get(name)?.sign ?? 0) > 0);
    }),
  );
}
