import {
  controllerOf,
  createController,
  createRestMapper,
  isNotFound,
  keyOf,
  matchesLabels,
  PodDisruptionBudgets,
  Pods,
  selectorOf,
  timeText,
  watch,
} from "@fleetwright/kube";
import type {
  Condition,
  KubeObject,
  LabelSelector,
  Pod,
  PodDisruptionBudget,
  PodDisruptionBudgetStatus,
} from "@fleetwright/kube";
import type { ControllerContext, Controllers, Part } from "../context.ts";
import { scaled } from "../percentage.ts";
import { isFinished, isReady, isTerminating } from "../pods/pod-state.ts";
import { retryConflicts } from "../retry-conflicts.ts";
import { sameValue } from "../same-value.ts";

const name = "disruption-controller";
/** An eviction that was allowed counts this long, until the pod is seen going. */
const deletionTimeoutMs = 120_000;

/** How many pods may be disrupted (pkg/controller/disruption). */
export const disruptionController: Controllers = (context) => [start(context)];

interface Expected {
  readonly count: number;
  readonly desired: number;
}

class Unscalable extends Error {}

function start(context: ControllerContext): Part {
  const { cache, clock, logger } = context;
  const budgets = cache.informer(PodDisruptionBudgets);
  const pods = cache.informer(Pods);
  const client = context.clientOf(name);
  const events = context.eventsOf("controllermanager", name);
  const mapper = createRestMapper(client, { clock });

  const isSelected = ({ spec }: PodDisruptionBudget, pod: Pod): boolean =>
    spec?.selector !== undefined && matchesLabels(selectorOf(spec.selector), pod.metadata.labels);

  async function reconcile(key: {
    readonly namespace?: string;
    readonly name: string;
  }): Promise<{ requeueAfterMs?: number }> {
    const budget = budgets.get(key);
    if (budget === undefined || budget.metadata.deletionTimestamp !== undefined) return {};
    const selected = pods.list(key.namespace).filter((pod) => isSelected(budget, pod));
    if (selected.length === 0)
      events.event({ about: budget, type: "Normal", reason: "NoPods", message: "No matching pods found" });
    let expected: Expected;
    try {
      expected = await expectedOf(budget, selected);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      events.event({
        about: budget,
        type: "Warning",
        reason: "CalculateExpectedPodCountFailed",
        message: `Failed to calculate the number of expected pods: ${message}`,
      });
      await failSafe(budget, message);
      if (error instanceof Unscalable) return {};
      throw error;
    }
    if (needsScale(budget) && selected.some((pod) => controllerOf(pod) === undefined)) {
      events.event({
        about: budget,
        type: "Warning",
        reason: "UnmanagedPods",
        message:
          `Pods selected by this PodDisruptionBudget (selector: ${goText(budget.spec?.selector)}) were found to be unmanaged. ` +
          "As a result, the status of the PDB cannot be calculated correctly, which may result in undefined behavior. " +
          'To account for these pods please set ".spec.minAvailable" field of the PDB to an integer value.',
      });
    }
    const now = clock.now();
    const { disruptedPods, next } = stillDisrupted(budget, selected, now);
    const healthy = selected.filter(
      (pod) =>
        !isTerminating(pod) && disruptedPods[pod.metadata.name ?? ""] === undefined && isReady(pod) && !isFinished(pod),
    ).length;
    const allowed = expected.count <= 0 ? 0 : Math.max(0, healthy - expected.desired);
    const base = {
      disruptionsAllowed: allowed,
      currentHealthy: healthy,
      desiredHealthy: expected.desired,
      expectedPods: expected.count,
    };
    const condition =
      allowed > 0 ? { status: "True", reason: "SufficientPods" } : { status: "False", reason: "InsufficientPods" };
    const status: PodDisruptionBudgetStatus = {
      ...base,
      observedGeneration: budget.metadata.generation ?? 0,
      ...(Object.keys(disruptedPods).length > 0 && { disruptedPods }),
      conditions: conditionsOf(budget, { ...condition, message: "" }, now),
    };
    if (!sameValue(status, budget.status ?? {})) await client.updateStatus(PodDisruptionBudgets, { ...budget, status });
    return next === undefined ? {} : { requeueAfterMs: next };
  }

  /** How many pods there are to be, and how many must be healthy (`getExpectedPodCount`). */
  async function expectedOf({ spec }: PodDisruptionBudget, selected: readonly Pod[]): Promise<Expected> {
    if (spec?.maxUnavailable !== undefined) {
      const count = await expectedScale(selected);
      return { count, desired: Math.max(0, count - scaled(spec.maxUnavailable, count, "up")) };
    }
    const { minAvailable } = spec ?? {};
    if (minAvailable === undefined || typeof minAvailable === "number")
      return { count: selected.length, desired: minAvailable ?? 0 };
    const count = await expectedScale(selected);
    return { count, desired: scaled(minAvailable, count, "up") };
  }

  /** The sizes of the pods' controllers, each once (`getExpectedScale`). */
  async function expectedScale(selected: readonly Pod[]): Promise<number> {
    const sizes = new Map<string, number>();
    for (const pod of selected) {
      const controller = controllerOf(pod);
      // Nobody says how many of such pods there are to be.
      if (controller === undefined) continue;
      if (sizes.has(controller.uid)) continue;
      const namespace = pod.metadata.namespace ?? "";
      let { apiVersion, kind, name: ownerName, uid } = controller;
      if (kind === "ReplicaSet") {
        const set = await find(apiVersion, kind, namespace, ownerName);
        const above = set === undefined ? undefined : controllerOf(set);
        if (above?.kind === "Deployment") ({ apiVersion, kind, name: ownerName, uid } = above);
      }
      if (sizes.has(uid)) continue;
      sizes.set(controller.uid, 0);
      sizes.set(uid, await scaleOf(apiVersion, kind, namespace, ownerName, pod));
    }
    return [...sizes.values()].reduce((total, size) => total + size, 0);
  }

  async function find(
    apiVersion: string,
    kind: string,
    namespace: string,
    ownerName: string,
  ): Promise<KubeObject | undefined> {
    const resource = await mapper.kindFor({ apiVersion, kind });
    const cached = cache.informer(resource).get({ namespace, name: ownerName });
    return cached ?? client.get(resource, { namespace, name: ownerName }).catch(absent);
  }

  async function scaleOf(
    apiVersion: string,
    kind: string,
    namespace: string,
    ownerName: string,
    pod: Pod,
  ): Promise<number> {
    const resource = await mapper.kindFor({ apiVersion, kind });
    const known = ["ReplicaSet", "Deployment", "StatefulSet", "ReplicationController"].includes(kind);
    if (known) {
      const owner = (await find(apiVersion, kind, namespace, ownerName)) as
        | { spec?: { replicas?: number } }
        | undefined;
      return owner === undefined ? 0 : (owner.spec?.replicas ?? 1);
    }
    try {
      const scale = await client.getScale(resource, { namespace, name: ownerName });
      return scale.spec?.replicas ?? 0;
    } catch (error) {
      if (!isNotFound(error)) throw error;
      throw new Unscalable(`found no controllers for pod "${pod.metadata.name}"`);
    }
  }

  async function failSafe(budget: PodDisruptionBudget, message: string): Promise<void> {
    const status = {
      ...(budget.status ?? { currentHealthy: 0, desiredHealthy: 0, expectedPods: 0 }),
      disruptionsAllowed: 0,
      observedGeneration: budget.metadata.generation ?? 0,
      conditions: conditionsOf(budget, { status: "False", reason: "SyncFailed", message }, clock.now()),
    } as PodDisruptionBudgetStatus;
    if (!sameValue(status, budget.status ?? {})) await client.updateStatus(PodDisruptionBudgets, { ...budget, status });
  }

  const budgetsOf = (pod: Pod): readonly { readonly namespace?: string; readonly name: string }[] =>
    budgets.size === 0
      ? []
      : budgets
          .list(pod.metadata.namespace)
          .filter((budget) => isSelected(budget, pod))
          .map(keyOf);
  return createController({
    name: "disruption",
    reconciler: retryConflicts(reconcile),
    sources: [watch(budgets), watch(pods, { map: budgetsOf })],
    clock,
    logger,
  });
}

/** Whether it takes the size of the pods' controllers to know how many there are to be. */
const needsScale = ({ spec }: PodDisruptionBudget): boolean =>
  spec?.maxUnavailable !== undefined || typeof spec?.minAvailable === "string";

/** A selector as Go's generated String method writes it. */
function goText({ matchLabels = {}, matchExpressions = [] }: LabelSelector = {}): string {
  const labels = Object.entries(matchLabels).toSorted(([left], [right]) => (left < right ? -1 : 1));
  const expressions = matchExpressions.map(
    ({ key, operator, values = [] }) =>
      `LabelSelectorRequirement{Key:${key},Operator:${operator},Values:[${values.join(" ")}],},`,
  );
  return `&LabelSelector{MatchLabels:map[string]string{${labels.map(([key, value]) => `${key}: ${value},`).join("")}},MatchExpressions:[]LabelSelectorRequirement{${expressions.join("")}},}`;
}

function absent(error: unknown): undefined {
  if (!isNotFound(error)) throw error;
  return undefined;
}

/** Evictions that were allowed and are not seen yet; who is not going after two minutes counts as there again. */
function stillDisrupted({ status }: PodDisruptionBudget, selected: readonly Pod[], now: number) {
  const disruptedPods: Record<string, string> = {};
  let next: number | undefined;
  for (const [podName, time] of Object.entries(status?.disruptedPods ?? {})) {
    const pod = selected.find(({ metadata }) => metadata.name === podName);
    if (pod === undefined || isTerminating(pod)) continue;
    const expires = Date.parse(String(time)) + deletionTimeoutMs;
    if (expires < now) continue;
    disruptedPods[podName] = String(time);
    next = Math.min(next ?? Number.POSITIVE_INFINITY, expires - now + 1);
  }
  return { disruptedPods, next };
}

function conditionsOf(
  { status, metadata }: PodDisruptionBudget,
  wanted: { readonly status: string; readonly reason: string; readonly message: string },
  now: number,
): readonly Condition[] {
  const before = status?.conditions?.find(({ type }) => type === "DisruptionAllowed");
  const since = before?.status === wanted.status ? before.lastTransitionTime : timeText(now);
  const next: Condition = {
    type: "DisruptionAllowed",
    ...wanted,
    observedGeneration: metadata.generation ?? 0,
    lastTransitionTime: since,
  };
  return [...(status?.conditions ?? []).filter(({ type }) => type !== "DisruptionAllowed"), next];
}
