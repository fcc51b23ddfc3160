import {
  jsonEqual,
  PriorityClasses,
  RuntimeClasses,
  type Json,
  type Node,
  type Pod,
  type PriorityClass,
  type RuntimeClass,
} from "@fleetwright/kube";
import type { AdmissionAttributes, AdmissionPlugin } from "../machinery/admission.ts";
import { typed, type Mutable } from "../machinery/draft.ts";
import type { ServerAccess } from "../machinery/request.ts";
import { amountsOf } from "./pod-resources.ts";
import { isObjectOf, refusal } from "./refusal.ts";

const writes = (operation: AdmissionAttributes["operation"]): boolean =>
  operation === "CREATE" || operation === "UPDATE";

type PodSpec = NonNullable<Mutable<Pod>["spec"]>;
type Toleration = NonNullable<PodSpec["tolerations"]>[number];

/** A pod's priority is that of its class (plugin/pkg/admission/priority). */
export function priority({ objects }: Pick<ServerAccess, "objects">): AdmissionPlugin {
  function defaultClass(): PriorityClass | undefined {
    let lowest: PriorityClass | undefined;
    for (const candidate of objects.list(PriorityClasses)) {
      if (candidate.globalDefault !== true) continue;
      if (lowest === undefined || (lowest.value ?? 0) > (candidate.value ?? 0)) lowest = candidate;
    }
    return lowest;
  }

  function admitNew(attributes: AdmissionAttributes, spec: PodSpec): void {
    const name = spec.priorityClassName ?? "";
    const found = name === "" ? defaultClass() : objects.get(PriorityClasses, { name });
    if (name !== "" && found === undefined) throw refusal(attributes, `no PriorityClass with name ${name} was found`);
    const value = found?.value ?? 0;
    const policy = found === undefined ? "PreemptLowerPriority" : found.preemptionPolicy;
    if (found?.metadata.name !== undefined) spec.priorityClassName = found.metadata.name;
    if (spec.priority !== undefined && spec.priority !== value) {
      throw refusal(
        attributes,
        `the integer value of priority (${spec.priority}) must not be provided in pod spec; priority admission controller computed ${value} from the given PriorityClass name`,
      );
    }
    spec.priority = value;
    if (policy === undefined) return;
    if (spec.preemptionPolicy !== undefined && spec.preemptionPolicy !== policy) {
      throw refusal(
        attributes,
        `the string value of PreemptionPolicy (${spec.preemptionPolicy}) must not be provided in pod spec; priority admission controller computed ${policy} from the given PriorityClass name`,
      );
    }
    spec.preemptionPolicy = policy;
  }

  return {
    name: "Priority",
    handles: writes,
    admit(attributes) {
      if (!isObjectOf(attributes, "pods") || attributes.object === undefined) return;
      const { spec } = typed<Pod>(attributes.object);
      if (spec === undefined) return;
      if (attributes.operation === "CREATE") {
        admitNew(attributes, spec);
        return;
      }
      const old = (attributes.oldObject as unknown as Pod | undefined)?.spec;
      if (spec.priority === undefined && old?.priority !== undefined) spec.priority = old.priority;
      if (spec.preemptionPolicy === undefined && old?.preemptionPolicy !== undefined) {
        spec.preemptionPolicy = old.preemptionPolicy;
      }
    },
    validate(attributes) {
      const { object, operation } = attributes;
      if (!isObjectOf(attributes, "priorityclasses.scheduling.k8s.io") || object === undefined) return;
      const { globalDefault, metadata } = typed<PriorityClass>(object);
      if (globalDefault !== true) return;
      const other = defaultClass();
      if (other === undefined || (operation === "UPDATE" && other.metadata.name === metadata.name)) return;
      throw refusal(
        attributes,
        `PriorityClass ${other.metadata.name} is already marked as default. Only one default can exist`,
      );
    },
  };
}

/** Pods stay five minutes on a node that is lost (plugin/pkg/admission/defaulttolerationseconds). */
export const defaultTolerationSeconds: AdmissionPlugin = {
  name: "DefaultTolerationSeconds",
  handles: writes,
  admit(attributes) {
    if (!isObjectOf(attributes, "pods") || attributes.object === undefined) return;
    const { spec } = typed<Pod>(attributes.object);
    if (spec === undefined) return;
    const before = spec.tolerations ?? [];
    const missing = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"].filter(
      (taint) =>
        !before.some(
          ({ key = "", effect = "" }) => (key === taint || key === "") && (effect === "NoExecute" || effect === ""),
        ),
    );
    if (missing.length === 0) return;
    spec.tolerations = [
      ...before,
      ...missing.map((key) => ({ key, operator: "Exists", effect: "NoExecute", tolerationSeconds: 300 }) as Toleration),
    ];
  },
};

/** New nodes take no pods until they are known to be ready (plugin/pkg/admission/nodetaint). */
export const taintNodesByCondition: AdmissionPlugin = {
  name: "TaintNodesByCondition",
  handles: (operation) => operation === "CREATE",
  admit(attributes) {
    if (!isObjectOf(attributes, "nodes") || attributes.object === undefined) return;
    const spec = (typed<Node>(attributes.object).spec ??= {});
    const key = "node.kubernetes.io/not-ready";
    if ((spec.taints ?? []).some((taint) => taint.key === key && taint.effect === "NoSchedule")) return;
    spec.taints = [...(spec.taints ?? []), { key, effect: "NoSchedule" }];
  },
};

/** Whether `wide` tolerates all that `narrow` does (pkg/util/tolerations). */
function isSuperset(wide: Toleration, narrow: Toleration): boolean {
  if (jsonEqual(wide as Json, narrow as Json)) return true;
  const wideOperator = wide.operator ?? "Equal";
  if ((wide.key ?? "") !== (narrow.key ?? "") && ((wide.key ?? "") !== "" || wideOperator !== "Exists")) return false;
  if ((wide.effect ?? "") !== (narrow.effect ?? "") && (wide.effect ?? "") !== "") return false;
  if (wide.effect === "NoExecute" && wide.tolerationSeconds !== undefined) {
    if (narrow.tolerationSeconds === undefined || wide.tolerationSeconds < narrow.tolerationSeconds) return false;
  }
  if (wideOperator === "Exists") return true;
  return (narrow.operator ?? "Equal") === "Equal" && (wide.value ?? "") === (narrow.value ?? "");
}

function mergedTolerations(first: readonly Toleration[], second: readonly Toleration[]): Toleration[] {
  const all = [...first, ...second];
  const merged: Toleration[] = [];
  for (const [index, toleration] of all.entries()) {
    const redundant =
      merged.some((other) => isSuperset(other, toleration)) ||
      all
        .slice(index + 1)
        .some((other) => !jsonEqual(other as Json, toleration as Json) && isSuperset(other, toleration));
    if (!redundant) merged.push(toleration);
  }
  return merged;
}

/** Overhead and placement of a pod's RuntimeClass (plugin/pkg/admission/runtimeclass). */
export function runtimeClass({ objects }: Pick<ServerAccess, "objects">): AdmissionPlugin {
  const sameAmounts = (
    left: Readonly<Record<string, string>> | undefined,
    right: Readonly<Record<string, string>> | undefined,
  ): boolean => {
    const [one, other] = [amountsOf(left), amountsOf(right)];
    return one.size === other.size && [...one].every(([name, amount]) => other.get(name)?.equals(amount) === true);
  };

  function classOf(attributes: AdmissionAttributes, spec: PodSpec): RuntimeClass | undefined {
    if (spec.runtimeClassName === undefined) return undefined;
    const found = objects.get(RuntimeClasses, { name: spec.runtimeClassName });
    if (found !== undefined) return found;
    throw refusal(attributes, `pod rejected: RuntimeClass ${JSON.stringify(spec.runtimeClassName)} not found`);
  }

  const mismatch = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead";

  return {
    name: "RuntimeClass",
    handles: (operation) => operation === "CREATE",
    admit(attributes) {
      if (!isObjectOf(attributes, "pods") || attributes.object === undefined) return;
      const { spec } = typed<Pod>(attributes.object);
      if (spec === undefined) return;
      const found = classOf(attributes, spec);
      if (found?.overhead !== undefined) {
        const given = spec.overhead ?? {};
        if (Object.keys(given).length > 0 && !sameAmounts(given, found.overhead.podFixed)) {
          throw refusal(attributes, mismatch);
        }
        if (found.overhead.podFixed !== undefined) spec.overhead = { ...found.overhead.podFixed };
      }
      if (found?.scheduling === undefined) return;
      const { nodeSelector = {}, tolerations = [] } = found.scheduling;
      for (const [key, value] of Object.entries(nodeSelector)) {
        const given = spec.nodeSelector?.[key];
        if (given !== undefined && given !== value) {
          throw refusal(
            attributes,
            `conflict: runtimeClass.scheduling.nodeSelector[${key}] = ${value}; pod.spec.nodeSelector[${key}] = ${given}`,
          );
        }
      }
      if (Object.keys(nodeSelector).length > 0) spec.nodeSelector = { ...spec.nodeSelector, ...nodeSelector };
      const merged = mergedTolerations(spec.tolerations ?? [], tolerations as readonly Toleration[]);
      if (merged.length > 0) spec.tolerations = merged;
    },
    validate(attributes) {
      if (!isObjectOf(attributes, "pods") || attributes.object === undefined) return;
      const { spec } = typed<Pod>(attributes.object);
      if (spec === undefined) return;
      const found = classOf(attributes, spec);
      if (found?.overhead !== undefined) {
        if (!sameAmounts(spec.overhead, found.overhead.podFixed)) throw refusal(attributes, mismatch);
      } else if (Object.keys(spec.overhead ?? {}).length > 0) {
        throw refusal(attributes, "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead");
      }
    },
  };
}
