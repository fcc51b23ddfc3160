import {
  createController,
  createRestMapper,
  HorizontalPodAutoscalers,
  keyString,
  matchesLabels,
  parseLabelSelector,
  parseQuantity,
  Pods,
  timeText,
  watch,
} from "@fleetwright/kube";
import type { HorizontalPodAutoscaler, MetricSpec, MetricStatus, Pod, Scale } from "@fleetwright/kube";
import type { ControllerContext, Controllers, Part } from "../context.ts";
import { isFinished, isReady, isTerminating } from "../pods/pod-state.ts";
import { retryConflicts } from "../retry-conflicts.ts";
import { sameValue } from "../same-value.ts";
import { scriptedMetrics } from "./metrics-source.ts";
import type { MetricsSource } from "./metrics-source.ts";
import { paced } from "./scaling-policy.ts";
import type { Moment } from "./scaling-policy.ts";

const name = "horizontal-pod-autoscaler";
/** `--horizontal-pod-autoscaler-sync-period` and `-tolerance` */
const syncMs = 15_000;
const tolerance = 0.1;
const historyMs = 3_600_000;

type Conditions = NonNullable<NonNullable<HorizontalPodAutoscaler["status"]>["conditions"]>;

/** Sizes workloads by metrics (pkg/controller/podautoscaler). */
const horizontalController: Controllers = (context) => [start(context, scriptedMetrics)];

export const autoscalingControllers: readonly Controllers[] = [horizontalController];

/** A metric could not be had; `reason` is the condition's. */
class NoMetric extends Error {
  readonly reason: string;
  constructor(reason: string, message: string) {
    super(message);
    this.reason = reason;
  }
}

interface Proposal {
  readonly replicas: number;
  readonly status: MetricStatus;
  readonly name: string;
}

function start(context: ControllerContext, metrics: MetricsSource): Part {
  const { cache, clock, logger } = context;
  const autoscalers = cache.informer(HorizontalPodAutoscalers);
  const pods = cache.informer(Pods);
  const client = context.clientOf(name);
  const events = context.eventsOf(name);
  const mapper = createRestMapper(client, { clock });
  const recommendations = new Map<string, Moment[]>();
  const changes = new Map<string, Moment[]>();

  async function reconcile(key: {
    readonly namespace?: string;
    readonly name: string;
  }): Promise<{ requeueAfterMs?: number }> {
    const autoscaler = autoscalers.get(key);
    const id = keyString(key);
    if (autoscaler === undefined) {
      recommendations.delete(id);
      changes.delete(id);
      return {};
    }
    await scale(id, autoscaler);
    return { requeueAfterMs: syncMs };
  }

  async function scale(id: string, autoscaler: HorizontalPodAutoscaler): Promise<void> {
    const now = clock.now();
    const { spec } = autoscaler;
    const target = spec?.scaleTargetRef;
    if (spec === undefined || target === undefined) return;
    let conditions: Conditions = autoscaler.status?.conditions ?? [];
    const tell = (type: string, status: string, reason: string, message: string): void => {
      const before = conditions.find((each) => each.type === type);
      const lastTransitionTime =
        before?.status === status ? (before.lastTransitionTime ?? timeText(now)) : timeText(now);
      const next = { type, status, lastTransitionTime, reason, message };
      conditions =
        before === undefined ? [...conditions, next] : conditions.map((each) => (each === before ? next : each));
    };
    const say = (type: "Normal" | "Warning", reason: string, message: string): void =>
      events.event({ about: autoscaler, type, reason, message });
    const write = async (status: Partial<NonNullable<HorizontalPodAutoscaler["status"]>>): Promise<void> => {
      const next = { ...autoscaler.status, ...status, conditions } as NonNullable<HorizontalPodAutoscaler["status"]>;
      if (!sameValue(next, autoscaler.status ?? {}))
        await client.updateStatus(HorizontalPodAutoscalers, { ...autoscaler, status: next });
    };
    let resource;
    let present: Scale;
    const namespace = autoscaler.metadata.namespace ?? "";
    try {
      resource = await mapper.kindFor({ apiVersion: target.apiVersion ?? "v1", kind: target.kind });
      present = await client.getScale(resource, { namespace, name: target.name });
    } catch (error) {
      const text = error instanceof Error ? error.message : "";
      say("Warning", "FailedGetScale", text);
      tell(
        "AbleToScale",
        "False",
        "FailedGetScale",
        `the HPA controller was unable to get the target's current scale: ${text}`,
      );
      return write({});
    }
    tell("AbleToScale", "True", "SucceededGetScale", "the HPA controller was able to get the target's current scale");
    const current = present.spec?.replicas ?? 0;
    const [least, most] = [spec.minReplicas ?? 1, spec.maxReplicas];
    let desired = current;
    let reason = "";
    let currentMetrics: readonly MetricStatus[] | undefined = autoscaler.status?.currentMetrics;
    if (current === 0 && least !== 0) {
      tell(
        "ScalingActive",
        "False",
        "ScalingDisabled",
        "scaling is disabled since the replica count of the target is zero",
      );
    } else if (current > most) {
      [desired, reason] = [most, "Current number of replicas above Spec.MaxReplicas"];
    } else if (current < least) {
      [desired, reason] = [least, "Current number of replicas below Spec.MinReplicas"];
    } else {
      let proposals: readonly Proposal[];
      try {
        proposals = propose(autoscaler, present, current);
      } catch (error) {
        if (!(error instanceof NoMetric)) throw error;
        say("Warning", error.reason, error.message);
        say(
          "Warning",
          "FailedComputeMetricsReplicas",
          `invalid metrics (1 invalid out of ${spec.metrics?.length ?? 0}), first error is: ${error.message}`,
        );
        tell(
          "ScalingActive",
          "False",
          error.reason,
          `the HPA was unable to compute the replica count: ${error.message}`,
        );
        return write({ currentReplicas: current, desiredReplicas: current });
      }
      const best = proposals.toSorted((left, right) => right.replicas - left.replicas)[0];
      if (best === undefined) return write({});
      currentMetrics = proposals.map(({ status }) => status);
      tell(
        "ScalingActive",
        "True",
        "ValidMetricFound",
        `the HPA was able to successfully calculate a replica count from ${best.name}`,
      );
      const bounded = Math.max(least, Math.min(most, best.replicas));
      const history = (recommendations.get(id) ?? []).filter(({ at }) => at > now - historyMs);
      const pace = paced(autoscaler, {
        current,
        wanted: bounded,
        now,
        recommendations: history,
        changes: changes.get(id) ?? [],
      });
      recommendations.set(id, [...history, { at: now, replicas: bounded }]);
      desired = Math.max(least, Math.min(most, pace.replicas));
      reason = desired > current ? `${best.name} above target` : "All metrics below target";
      if (pace.stabilized === "down")
        tell(
          "AbleToScale",
          "True",
          "ScaleDownStabilized",
          "recent recommendations were higher than current one, applying the highest recent recommendation",
        );
      else if (pace.stabilized === "up")
        tell(
          "AbleToScale",
          "True",
          "ScaleUpStabilized",
          "recent recommendations were lower than current one, applying the lowest recent recommendation",
        );
      else tell("AbleToScale", "True", "ReadyForNewScale", "recommended size matches current size");
      if (best.replicas > most)
        tell(
          "ScalingLimited",
          "True",
          "TooManyReplicas",
          "the desired replica count is more than the maximum replica count",
        );
      else if (best.replicas < least)
        tell(
          "ScalingLimited",
          "True",
          "TooFewReplicas",
          "the desired replica count is less than the minimum replica count",
        );
      else if (pace.limited !== undefined) {
        const rate = pace.limited === "ScaleUpLimit" ? "increasing" : "decreasing";
        tell(
          "ScalingLimited",
          "True",
          pace.limited,
          `the desired replica count is ${rate} faster than the maximum scale rate`,
        );
      } else tell("ScalingLimited", "False", "DesiredWithinRange", "the desired count is within the acceptable range");
    }
    let lastScaleTime = autoscaler.status?.lastScaleTime;
    if (desired !== current) {
      await client.updateScale(resource, { namespace, name: target.name }, { ...present, spec: { replicas: desired } });
      tell(
        "AbleToScale",
        "True",
        "SucceededRescale",
        `the HPA controller was able to update the target scale to ${desired}`,
      );
      say("Normal", "SuccessfulRescale", `New size: ${desired}; reason: ${reason}`);
      lastScaleTime = timeText(now);
      changes.set(id, [
        ...(changes.get(id) ?? []).filter(({ at }) => at > now - historyMs),
        { at: now, replicas: desired - current },
      ]);
    }
    await write({
      currentReplicas: current,
      desiredReplicas: desired,
      observedGeneration: autoscaler.metadata.generation ?? 1,
      ...(lastScaleTime === undefined ? {} : { lastScaleTime }),
      ...(currentMetrics === undefined ? {} : { currentMetrics }),
    });
  }

  function propose(autoscaler: HorizontalPodAutoscaler, present: Scale, current: number): readonly Proposal[] {
    const selector = parseLabelSelector(present.status?.selector ?? "");
    const selected = pods
      .list(autoscaler.metadata.namespace)
      .filter((pod) => matchesLabels(selector, pod.metadata.labels) && !isFinished(pod) && !isTerminating(pod));
    return (autoscaler.spec?.metrics ?? []).map((metric) => proposal(autoscaler, metric, selected, current));
  }

  function proposal(
    autoscaler: HorizontalPodAutoscaler,
    metric: MetricSpec,
    selected: readonly Pod[],
    current: number,
  ): Proposal {
    const source = metric.resource ?? metric.containerResource;
    if (source !== undefined) {
      const usage = usageOf(selected, source.name);
      if (usage === undefined) {
        const what = source.target.type === "Utilization" ? `${source.name} utilization` : `${source.name} usage`;
        throw new NoMetric(
          "FailedGetResourceMetric",
          `failed to get ${what}: unable to get metrics for resource ${source.name}: unable to fetch metrics from resource metrics API: the server could not find the requested resource (get pods.metrics.k8s.io)`,
        );
      }
      if (source.target.averageUtilization !== undefined) {
        const requests = selected.reduce((sum, pod) => sum + requestOf(pod, source.name), 0);
        const measured = selected.filter((pod) => metrics.ofPod(pod, source.name) !== undefined).length;
        const utilization =
          requests === 0 ? 0 : Math.floor((usage.total * 100) / ((requests * measured) / selected.length));
        const replicas = sized(utilization / source.target.averageUtilization, current, usage.ready);
        const status: MetricStatus = {
          type: "Resource",
          resource: {
            name: source.name,
            current: { averageUtilization: utilization, averageValue: text(usage.total / measured) },
          },
        };
        return { replicas, status, name: `${source.name} resource utilization (percentage of request)` };
      }
      const wanted = amount(source.target.averageValue);
      const average = usage.total / usage.count;
      const status: MetricStatus = {
        type: "Resource",
        resource: { name: source.name, current: { averageValue: text(average) } },
      };
      return { replicas: sized(average / wanted, current, usage.ready), status, name: `${source.name} resource` };
    }
    if (metric.pods !== undefined) {
      const usage = usageOf(selected, metric.pods.metric.name);
      if (usage === undefined)
        throw new NoMetric(
          "FailedGetPodsMetric",
          `unable to get metric ${metric.pods.metric.name}: unable to fetch metrics from custom metrics API: the server could not find the metric`,
        );
      const average = usage.total / usage.count;
      const status: MetricStatus = {
        type: "Pods",
        pods: { metric: metric.pods.metric, current: { averageValue: text(average) } },
      };
      return {
        replicas: sized(average / amount(metric.pods.target.averageValue), current, usage.ready),
        status,
        name: `pods metric ${metric.pods.metric.name}`,
      };
    }
    const other = metric.object ?? metric.external;
    const metricName = other?.metric.name ?? "";
    const value = metrics.ofObject(autoscaler, metricName);
    const isObject = metric.object !== undefined;
    if (other === undefined || value === undefined) {
      throw new NoMetric(
        isObject ? "FailedGetObjectMetric" : "FailedGetExternalMetric",
        `unable to get ${isObject ? "" : "external "}metric ${metricName}: no metrics API answers`,
      );
    }
    const perPod = other.target.averageValue !== undefined;
    const ratio = perPod ? value / current / amount(other.target.averageValue) : value / amount(other.target.value);
    const measured = perPod ? { averageValue: text(value / current) } : { value: text(value) };
    const status: MetricStatus =
      metric.object === undefined
        ? { type: "External", external: { metric: other.metric, current: measured } }
        : {
            type: "Object",
            object: { metric: other.metric, describedObject: metric.object.describedObject, current: measured },
          };
    return {
      replicas: sized(ratio, current, current),
      status,
      name: `${isObject ? "" : "external "}metric ${metricName}`,
    };
  }

  function usageOf(
    selected: readonly Pod[],
    metricName: string,
  ): { readonly total: number; readonly count: number; readonly ready: number } | undefined {
    let [total, count, ready] = [0, 0, 0];
    for (const pod of selected) {
      const value = metrics.ofPod(pod, metricName);
      if (value === undefined) continue;
      total += value;
      count += 1;
      if (isReady(pod)) ready += 1;
    }
    return count === 0 ? undefined : { total, count, ready: Math.max(1, ready) };
  }

  return createController({
    name: "horizontalpodautoscaler",
    reconciler: retryConflicts(reconcile),
    sources: [
      watch(autoscalers, {
        predicates: [
          {
            updated: (before, after) =>
              before.metadata.generation !== after.metadata.generation ||
              !sameValue(before.metadata.annotations, after.metadata.annotations),
          },
        ],
      }),
    ],
    concurrency: 5,
    clock,
    logger,
  });
}

/** Within the tolerance, nothing changes. */
const sized = (ratio: number, current: number, ready: number): number =>
  Math.abs(ratio - 1) <= tolerance ? current : Math.ceil(ratio * ready);

const amount = (value: string | number | undefined): number =>
  Math.round(parseQuantity(String(value ?? 1)).toNumber() * 1000);

const text = (thousandths: number): string =>
  thousandths % 1000 === 0 ? String(thousandths / 1000) : `${Math.round(thousandths)}m`;

function requestOf(pod: Pod, resource: string): number {
  let total = 0;
  for (const { resources } of pod.spec?.containers ?? []) {
    const request = resources?.requests?.[resource];
    if (request !== undefined) total += amount(String(request));
  }
  return total;
}
