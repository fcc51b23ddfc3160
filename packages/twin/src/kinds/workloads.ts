import type { Conversion, Strategy } from "../machinery/kind.ts";
import { controllerRevisionStrategy, daemonSetStrategy, deploymentStrategy, replicaSetStrategy } from "./apps.ts";
import { statefulSetStrategy } from "./apps-stateful-set.ts";
import { autoscalerConversion } from "./autoscaling-conversion.ts";
import { autoscalerStrategy, autoscalerV1Strategy } from "./autoscaling.ts";
import { cronJobStrategy, jobStrategy } from "./batch.ts";
import { podStrategy } from "./core-pod.ts";
import { podTemplateStrategy, replicationControllerStrategy } from "./core-pod-template.ts";
import { podDisruptionBudgetStrategy } from "./policy.ts";

/** The rules of pods and what runs them, by `group/Kind`; a version that differs by `group/version/Kind`. */
export const workloadStrategies: Readonly<Record<string, Strategy>> = {
  "/Pod": podStrategy,
  "/PodTemplate": podTemplateStrategy,
  "/ReplicationController": replicationControllerStrategy,
  "apps/ControllerRevision": controllerRevisionStrategy,
  "apps/DaemonSet": daemonSetStrategy,
  "apps/Deployment": deploymentStrategy,
  "apps/ReplicaSet": replicaSetStrategy,
  "apps/StatefulSet": statefulSetStrategy,
  "autoscaling/HorizontalPodAutoscaler": autoscalerStrategy,
  "autoscaling/v1/HorizontalPodAutoscaler": autoscalerV1Strategy,
  "batch/CronJob": cronJobStrategy,
  "batch/Job": jobStrategy,
  "policy/PodDisruptionBudget": podDisruptionBudgetStrategy,
};

/** Versions that are not stored as they are, by `group/version/Kind`. */
export const workloadConversions: Readonly<
  Record<string, { readonly storageVersion: string; readonly conversion: Conversion }>
> = {
  "autoscaling/v1/HorizontalPodAutoscaler": { storageVersion: "v2", conversion: autoscalerConversion },
};
