import {
  parseQuantity,
  type AutoscalingHorizontalPodAutoscaler,
  type HorizontalPodAutoscaler,
} from "@fleetwright/kube";
import { copyJson, isDraft, typed, untyped, type Draft, type DraftValue } from "../machinery/draft.ts";
import type { Conversion } from "../machinery/kind.ts";

/**
 * autoscaling/v1 to v2 and back (pkg/apis/autoscaling/v1/conversion.go): v1 has a field for CPU only, everything else
 * goes through annotations.
 */
const annotationOf = {
  metrics: "autoscaling.alpha.kubernetes.io/metrics",
  current: "autoscaling.alpha.kubernetes.io/current-metrics",
  conditions: "autoscaling.alpha.kubernetes.io/conditions",
  behavior: "autoscaling.alpha.kubernetes.io/behavior",
} as const;

const draftOf = (value: DraftValue): Draft => (isDraft(value) ? value : {});
const listOf = (value: DraftValue): Draft[] => (Array.isArray(value) ? value.filter(isDraft) : []);

/** Without what is not set, as Go writes optional fields. */
const compact = (value: Draft): Draft =>
  Object.fromEntries(Object.entries(value).filter(([, part]) => part !== undefined && part !== null));

/** Scaling rules with Go's names, every one of them, as the annotation has them. */
function rulesToV1(rules: DraftValue): DraftValue {
  if (!isDraft(rules)) return null;
  return {
    StabilizationWindowSeconds: rules["stabilizationWindowSeconds"] ?? null,
    SelectPolicy: rules["selectPolicy"] ?? null,
    Policies: Array.isArray(rules["policies"])
      ? listOf(rules["policies"]).map((policy) => ({
          Type: policy["type"],
          Value: policy["value"],
          PeriodSeconds: policy["periodSeconds"],
        }))
      : null,
    Tolerance: rules["tolerance"] ?? null,
  };
}

function rulesFromV1(rules: DraftValue): DraftValue {
  if (!isDraft(rules)) return undefined;
  return compact({
    stabilizationWindowSeconds: rules["StabilizationWindowSeconds"],
    selectPolicy: rules["SelectPolicy"],
    policies: Array.isArray(rules["Policies"])
      ? listOf(rules["Policies"]).map((policy) => ({
          type: policy["Type"],
          value: policy["Value"],
          periodSeconds: policy["PeriodSeconds"],
        }))
      : undefined,
    tolerance: rules["Tolerance"],
  });
}

function metricToV1(metric: Draft): Draft {
  const out: Draft = { type: metric["type"] };
  for (const source of ["object", "pods", "resource", "containerResource", "external"]) {
    const part = metric[source];
    if (!isDraft(part)) continue;
    const [target, identifier] = [draftOf(part["target"]), draftOf(part["metric"])];
    if (source === "object") {
      out[source] = compact({
        target: part["describedObject"],
        metricName: identifier["name"],
        targetValue: target["value"] ?? "0",
        selector: identifier["selector"],
        averageValue: target["averageValue"],
      });
    } else if (source === "pods") {
      out[source] = compact({
        metricName: identifier["name"],
        targetAverageValue: target["averageValue"] ?? "0",
        selector: identifier["selector"],
      });
    } else if (source === "external") {
      out[source] = compact({
        metricName: identifier["name"],
        metricSelector: identifier["selector"],
        targetValue: target["value"],
        targetAverageValue: target["averageValue"],
      });
    } else {
      out[source] = compact({
        name: part["name"],
        targetAverageUtilization: target["averageUtilization"],
        targetAverageValue: target["averageValue"],
        container: part["container"],
      });
    }
  }
  return out;
}

const isZero = (value: DraftValue): boolean =>
  (typeof value !== "string" && typeof value !== "number") || parseQuantity(String(value)).sign === 0;

function metricFromV1(metric: Draft): Draft {
  const out: Draft = { type: metric["type"] };
  for (const source of ["object", "pods", "resource", "containerResource", "external"]) {
    const part = metric[source];
    if (!isDraft(part)) continue;
    if (source === "object") {
      const average = part["averageValue"];
      const value = part["targetValue"] ?? "0";
      out[source] = {
        describedObject: part["target"] ?? {},
        target: compact({
          type: average === undefined ? "Value" : "AverageValue",
          value: average === undefined || !isZero(value) ? value : undefined,
          averageValue: average,
        }),
        metric: compact({ name: part["metricName"] ?? "", selector: part["selector"] }),
      };
    } else if (source === "pods") {
      out[source] = {
        metric: compact({ name: part["metricName"] ?? "", selector: part["selector"] }),
        target: { type: "AverageValue", averageValue: part["targetAverageValue"] ?? "0" },
      };
    } else if (source === "external") {
      const value = part["targetValue"];
      out[source] = {
        metric: compact({ name: part["metricName"] ?? "", selector: part["metricSelector"] }),
        target: compact({
          type: value === undefined ? "AverageValue" : "Value",
          value,
          averageValue: part["targetAverageValue"],
        }),
      };
    } else {
      const utilization = part["targetAverageUtilization"];
      out[source] = compact({
        name: part["name"] ?? "",
        target: compact({
          type: utilization === undefined ? "AverageValue" : "Utilization",
          averageValue: part["targetAverageValue"],
          averageUtilization: utilization,
        }),
        container: part["container"],
      });
    }
  }
  return out;
}

function currentToV1(metric: Draft): Draft {
  const out: Draft = { type: metric["type"] };
  for (const source of ["object", "pods", "resource", "containerResource", "external"]) {
    const part = metric[source];
    if (!isDraft(part)) continue;
    const [current, identifier] = [draftOf(part["current"]), draftOf(part["metric"])];
    const average = current["averageValue"];
    if (source === "object") {
      out[source] = compact({
        target: part["describedObject"],
        metricName: identifier["name"],
        currentValue: current["value"] ?? "0",
        selector: identifier["selector"],
        averageValue: average,
      });
    } else if (source === "pods") {
      out[source] = compact({
        metricName: identifier["name"],
        currentAverageValue: average ?? "0",
        selector: identifier["selector"],
      });
    } else if (source === "external") {
      out[source] = compact({
        metricName: identifier["name"],
        metricSelector: identifier["selector"],
        currentValue: current["value"] ?? "0",
        currentAverageValue: average,
      });
    } else {
      out[source] = compact({
        name: part["name"],
        currentAverageUtilization: current["averageUtilization"],
        currentAverageValue: average ?? "0",
        container: part["container"],
      });
    }
  }
  return out;
}

function currentFromV1(metric: Draft): Draft {
  const out: Draft = { type: metric["type"] };
  for (const source of ["object", "pods", "resource", "containerResource", "external"]) {
    const part = metric[source];
    if (!isDraft(part)) continue;
    const average = part["averageValue"] ?? part["currentAverageValue"];
    const identified = source === "object" || source === "pods" || source === "external";
    out[source] = compact({
      metric: identified
        ? compact({ name: part["metricName"] ?? "", selector: part["selector"] ?? part["metricSelector"] })
        : undefined,
      current: compact({
        value: part["currentValue"],
        averageValue: average,
        averageUtilization: part["currentAverageUtilization"],
      }),
      describedObject: source === "object" ? part["target"] : undefined,
      name: part["name"],
      container: part["container"],
    });
  }
  return out;
}

const isCpu = (metric: Draft): boolean => {
  const resource = draftOf(metric["resource"]);
  return (
    metric["type"] === "Resource" &&
    resource["name"] === "cpu" &&
    draftOf(resource["target"])["averageUtilization"] !== undefined
  );
};

function parsed(text: DraftValue): DraftValue {
  if (typeof text !== "string") return undefined;
  try {
    return JSON.parse(text) as DraftValue;
  } catch {
    return undefined;
  }
}

function toV2(object: Draft): Draft {
  const out = copyJson(object);
  out["apiVersion"] = "autoscaling/v2";
  const [metadata, spec, status] = [draftOf(out["metadata"]), draftOf(out["spec"]), draftOf(out["status"])];
  const annotations = draftOf(metadata["annotations"]);
  const utilization = spec["targetCPUUtilizationPercentage"];
  delete spec["targetCPUUtilizationPercentage"];
  const metrics = listOf(parsed(annotations[annotationOf.metrics])).map(metricFromV1);
  if (utilization !== undefined || metrics.length === 0) {
    metrics.push({
      type: "Resource",
      resource: { name: "cpu", target: { type: "Utilization", averageUtilization: utilization ?? 80 } },
    });
  }
  spec["metrics"] = metrics;
  const behavior = parsed(annotations[annotationOf.behavior]);
  if (isDraft(behavior) && (isDraft(behavior["ScaleUp"]) || isDraft(behavior["ScaleDown"]))) {
    spec["behavior"] = compact({
      scaleUp: rulesFromV1(behavior["ScaleUp"]),
      scaleDown: rulesFromV1(behavior["ScaleDown"]),
    });
  }
  if (status["currentReplicas"] === 0) delete status["currentReplicas"];
  const cpu = status["currentCPUUtilizationPercentage"];
  delete status["currentCPUUtilizationPercentage"];
  const current = parsed(annotations[annotationOf.current]);
  if (Array.isArray(current)) status["currentMetrics"] = listOf(current).map(currentFromV1);
  else if (cpu === undefined) status["currentMetrics"] = null;
  else {
    status["currentMetrics"] = [{ type: "Resource", resource: { name: "cpu", current: { averageUtilization: cpu } } }];
  }
  const conditions = parsed(annotations[annotationOf.conditions]);
  if (Array.isArray(conditions)) status["conditions"] = conditions;
  out["status"] = status;
  for (const key of Object.values(annotationOf)) delete annotations[key];
  if (metadata["annotations"] !== undefined && Object.keys(annotations).length === 0) delete metadata["annotations"];
  return out;
}

function toV1(object: Draft): Draft {
  const out = copyJson(object);
  out["apiVersion"] = "autoscaling/v1";
  const [metadata, spec, status] = [draftOf(out["metadata"]), draftOf(out["spec"]), draftOf(out["status"])];
  const annotations = draftOf(metadata["annotations"]);
  for (const key of Object.values(annotationOf)) delete annotations[key];
  const metrics = listOf(spec["metrics"]);
  const cpu = metrics.find(isCpu);
  const others = metrics.filter((metric) => !isCpu(metric));
  delete spec["metrics"];
  if (cpu) {
    spec["targetCPUUtilizationPercentage"] = draftOf(draftOf(cpu["resource"])["target"])["averageUtilization"];
  }
  if (others.length > 0) annotations[annotationOf.metrics] = JSON.stringify(others.map(metricToV1));
  const current = listOf(status["currentMetrics"]);
  if (current.length > 0) annotations[annotationOf.current] = JSON.stringify(current.map(currentToV1));
  delete status["currentMetrics"];
  const used = current.find((metric) => metric["type"] === "Resource" && draftOf(metric["resource"])["name"] === "cpu");
  const percentage = used && draftOf(draftOf(used["resource"])["current"])["averageUtilization"];
  if (percentage !== undefined && percentage !== null) status["currentCPUUtilizationPercentage"] = percentage;
  const behavior = spec["behavior"];
  if (isDraft(behavior)) {
    annotations[annotationOf.behavior] = JSON.stringify({
      ScaleUp: rulesToV1(behavior["scaleUp"]),
      ScaleDown: rulesToV1(behavior["scaleDown"]),
    });
  }
  delete spec["behavior"];
  if (listOf(status["conditions"]).length > 0) {
    annotations[annotationOf.conditions] = JSON.stringify(status["conditions"]);
  }
  delete status["conditions"];
  status["currentReplicas"] ??= 0;
  status["desiredReplicas"] ??= 0;
  out["status"] = status;
  if (Object.keys(annotations).length > 0) metadata["annotations"] = annotations;
  else delete metadata["annotations"];
  return out;
}

/** A v1 autoscaler as what is stored of it. */
export const autoscalerFromV1 = (autoscaler: AutoscalingHorizontalPodAutoscaler): HorizontalPodAutoscaler =>
  typed<HorizontalPodAutoscaler>(toV2(untyped(autoscaler)));

/** What autoscaling/v1 is stored as: v2. */
export const autoscalerConversion: Conversion = {
  toStorage: (objects) => objects.map(toV2),
  fromStorage: (objects) => objects.map(toV1),
};
