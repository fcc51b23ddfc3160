import type {
  AutoscalingHorizontalPodAutoscaler,
  ControllerRevision,
  CronJob,
  DaemonSet,
  Deployment,
  HorizontalPodAutoscaler,
  Job,
  LabelSelector,
  PodDisruptionBudget,
  PodTemplate,
  ReplicaSet,
  ReplicationController,
  StatefulSet,
} from "@fleetwright/kube";
import { controllerOf } from "@fleetwright/kube";
import type { TableColumn } from "../machinery/kind.ts";
import { labelsText, quantityText, selectorText, since } from "./cells.ts";
import { ageColumn, boolean, integer, nameColumn, selectorColumn, templateColumns, text } from "./column.ts";
import { humanDuration } from "./human-duration.ts";

const jobCondition = (job: Job, type: string): boolean =>
  job.status?.conditions?.find((condition) => condition.type === type)?.status === "True";

function jobStatus(job: Job): string {
  if (jobCondition(job, "Complete")) return "Complete";
  if (jobCondition(job, "Failed")) return "Failed";
  if (job.metadata.deletionTimestamp !== undefined) return "Terminating";
  for (const type of ["Suspended", "FailureTarget", "SuccessCriteriaMet"]) if (jobCondition(job, type)) return type;
  return "Running";
}

function completions({ spec, status }: Job): string {
  const succeeded = status?.succeeded ?? 0;
  if (spec?.completions !== undefined && spec.completions !== null) return `${succeeded}/${spec.completions}`;
  const parallelism = spec?.parallelism ?? 0;
  return parallelism > 1 ? `${succeeded}/1 of ${parallelism}` : `${succeeded}/1`;
}

function jobDuration({ status }: Job, nowMs: number): string {
  if (status?.startTime === undefined) return "";
  const end = status.completionTime === undefined ? nowMs : Date.parse(status.completionTime);
  return humanDuration(end - Date.parse(status.startTime));
}

/** Unlike elsewhere, a Deployment's selector that selects everything is empty text. */
const deploymentSelector = (selector: LabelSelector | undefined): string => {
  const shown = selectorText(selector);
  return shown === "<none>" ? "" : shown === "<error>" ? "<invalid>" : shown;
};

type Metric = NonNullable<NonNullable<HorizontalPodAutoscaler["spec"]>["metrics"]>[number];
type MetricStatus = NonNullable<NonNullable<HorizontalPodAutoscaler["status"]>["currentMetrics"]>[number];

const percent = (value: number | undefined, otherwise: string): string =>
  value === undefined ? otherwise : `${value}%`;
const amount = (text: string | undefined): string => (text === undefined ? "<unknown>" : quantityText(text));

function metricText(metric: Metric, status: MetricStatus | undefined): string {
  switch (metric.type) {
    case "External":
    case "Object": {
      const [target, current] =
        metric.type === "External"
          ? [metric.external?.target, status?.external?.current]
          : [metric.object?.target, status?.object?.current];
      return target?.averageValue === undefined
        ? `${amount(current?.value)}/${quantityText(target?.value)}`
        : `${amount(current?.averageValue)}/${quantityText(target.averageValue)} (avg)`;
    }
    case "Pods":
      return `${amount(status?.pods?.current.averageValue)}/${quantityText(metric.pods?.target.averageValue)}`;
    case "Resource":
    case "ContainerResource": {
      const [source, current] =
        metric.type === "Resource"
          ? [metric.resource, status?.resource?.current]
          : [metric.containerResource, status?.containerResource?.current];
      const target = source?.target;
      const values =
        target?.averageValue === undefined
          ? `${percent(current?.averageUtilization, "<unknown>")}/${percent(target?.averageUtilization, "<auto>")}`
          : `${amount(current?.averageValue)}/${quantityText(target.averageValue)}`;
      return `${source?.name ?? ""}: ${values}`;
    }
    default:
      return "<unknown type>";
  }
}

function metricsText(metrics: readonly Metric[], statuses: readonly MetricStatus[]): string {
  if (metrics.length === 0) return "<none>";
  const shown = metrics.slice(0, 2).map((metric, index) => metricText(metric, statuses[index]));
  return metrics.length > 2 ? `${shown.join(", ")} + ${metrics.length - 2} more...` : shown.join(", ");
}

/** `autoscaling/v1` knows the CPU only. */
function targets(object: HorizontalPodAutoscaler | AutoscalingHorizontalPodAutoscaler): string {
  const { spec, status } = object;
  if (spec !== undefined && "targetCPUUtilizationPercentage" in spec) {
    const current =
      status !== undefined && "currentCPUUtilizationPercentage" in status
        ? status.currentCPUUtilizationPercentage
        : undefined;
    return `cpu: ${percent(current, "<unknown>")}/${percent(spec.targetCPUUtilizationPercentage, "<auto>")}`;
  }
  const { spec: spec2, status: status2 } = object as HorizontalPodAutoscaler;
  return metricsText(spec2?.metrics ?? [], status2?.currentMetrics ?? []);
}

const boundText = (bound: number | string | null | undefined): string =>
  bound === undefined || bound === null ? "N/A" : String(bound);

function revisionController(revision: ControllerRevision): string {
  const owner = controllerOf(revision);
  if (owner === undefined) return "<none>";
  const slash = owner.apiVersion.indexOf("/");
  const group = slash < 0 ? "" : `.${owner.apiVersion.slice(0, slash)}`;
  return `${owner.kind}${group}`.toLowerCase() + `/${owner.name}`;
}

const desired = "How many pods are wanted.";
const current = "How many pods there are.";
const readyPods = "How many pods are ready.";

/** `apps`, `batch`, `autoscaling`, `policy`, and pod templates of the core. */
export const workloadColumns: Readonly<Record<string, readonly TableColumn[]>> = {
  "apps/Deployment": [
    nameColumn,
    text<Deployment>(
      "Ready",
      "Ready pods of those wanted.",
      ({ spec, status }) => `${status?.readyReplicas ?? 0}/${spec?.replicas ?? 0}`,
    ),
    text<Deployment>("Up-to-date", "Pods of the newest template.", ({ status }) => status?.updatedReplicas ?? 0),
    text<Deployment>(
      "Available",
      "Pods that have been ready for long enough.",
      ({ status }) => status?.availableReplicas ?? 0,
    ),
    ageColumn,
    ...templateColumns<Deployment>(({ spec }) => spec?.template.spec?.containers),
    selectorColumn<Deployment>(({ spec }) => spec?.selector, deploymentSelector),
  ],
  "apps/ReplicaSet": [
    nameColumn,
    integer<ReplicaSet>("Desired", desired, ({ spec }) => spec?.replicas ?? 0),
    integer<ReplicaSet>("Current", current, ({ status }) => status?.replicas ?? 0),
    integer<ReplicaSet>("Ready", readyPods, ({ status }) => status?.readyReplicas ?? 0),
    ageColumn,
    ...templateColumns<ReplicaSet>(({ spec }) => spec?.template?.spec?.containers),
    selectorColumn<ReplicaSet>(({ spec }) => spec?.selector, selectorText),
  ],
  "/ReplicationController": [
    nameColumn,
    integer<ReplicationController>("Desired", desired, ({ spec }) => spec?.replicas ?? 0),
    integer<ReplicationController>("Current", current, ({ status }) => status?.replicas ?? 0),
    integer<ReplicationController>("Ready", readyPods, ({ status }) => status?.readyReplicas ?? 0),
    ageColumn,
    ...templateColumns<ReplicationController>(({ spec }) => spec?.template?.spec?.containers),
    selectorColumn<ReplicationController>(
      ({ spec }) => ({ matchLabels: spec?.selector ?? {} }),
      (selector) => labelsText(selector?.matchLabels),
    ),
  ],
  "apps/StatefulSet": [
    nameColumn,
    text<StatefulSet>(
      "Ready",
      "Ready pods of those wanted.",
      ({ spec, status }) => `${status?.readyReplicas ?? 0}/${spec?.replicas ?? 0}`,
    ),
    ageColumn,
    ...templateColumns<StatefulSet>(({ spec }) => spec?.template.spec?.containers),
  ],
  "apps/DaemonSet": [
    nameColumn,
    integer<DaemonSet>(
      "Desired",
      "How many nodes should run the pod.",
      ({ status }) => status?.desiredNumberScheduled ?? 0,
    ),
    integer<DaemonSet>("Current", "How many of them do.", ({ status }) => status?.currentNumberScheduled ?? 0),
    integer<DaemonSet>("Ready", "How many of these pods are ready.", ({ status }) => status?.numberReady ?? 0),
    integer<DaemonSet>(
      "Up-to-date",
      "How many are of the newest template.",
      ({ status }) => status?.updatedNumberScheduled ?? 0,
    ),
    integer<DaemonSet>(
      "Available",
      "How many have been ready for long enough.",
      ({ status }) => status?.numberAvailable ?? 0,
    ),
    text<DaemonSet>("Node Selector", "Labels of the nodes that should run it.", ({ spec }) =>
      labelsText(spec?.template.spec?.nodeSelector),
    ),
    ageColumn,
    ...templateColumns<DaemonSet>(({ spec }) => spec?.template.spec?.containers),
    selectorColumn<DaemonSet>(({ spec }) => spec?.selector, selectorText),
  ],
  "apps/ControllerRevision": [
    nameColumn,
    text<ControllerRevision>("Controller", "Object that the revision belongs to.", revisionController),
    text<ControllerRevision>("Revision", "Number of the revision.", ({ revision }) => revision),
    ageColumn,
  ],
  "batch/Job": [
    nameColumn,
    text<Job>("Status", "How far the job is.", jobStatus),
    text<Job>("Completions", "Pods that succeeded of those needed.", completions),
    text<Job>("Duration", "How long the job took, or has been running.", jobDuration),
    ageColumn,
    ...templateColumns<Job>(({ spec }) => spec?.template.spec?.containers),
    selectorColumn<Job>(({ spec }) => spec?.selector, selectorText),
  ],
  "batch/CronJob": [
    nameColumn,
    text<CronJob>("Schedule", "When jobs are started, in cron's format.", ({ spec }) => spec?.schedule ?? ""),
    text<CronJob>("Timezone", "Time zone of the schedule.", ({ spec }) => spec?.timeZone ?? "<none>"),
    boolean<CronJob>("Suspend", "Whether no jobs are started.", ({ spec }) =>
      spec?.suspend === undefined || spec.suspend === null ? "<unset>" : spec.suspend ? "True" : "False",
    ),
    integer<CronJob>("Active", "How many jobs are running.", ({ status }) => status?.active?.length ?? 0),
    text<CronJob>("Last Schedule", "Time since a job was last started.", ({ status }, nowMs) =>
      status?.lastScheduleTime === undefined ? "<none>" : since(status.lastScheduleTime, nowMs),
    ),
    ageColumn,
    ...templateColumns<CronJob>(({ spec }) => spec?.jobTemplate.spec?.template.spec?.containers),
    selectorColumn<CronJob>(({ spec }) => spec?.jobTemplate.spec?.selector, selectorText),
  ],
  "autoscaling/HorizontalPodAutoscaler": [
    nameColumn,
    text<HorizontalPodAutoscaler>(
      "Reference",
      "What is scaled.",
      ({ spec }) => `${spec?.scaleTargetRef.kind ?? ""}/${spec?.scaleTargetRef.name ?? ""}`,
    ),
    text<HorizontalPodAutoscaler>("Targets", "Current and wanted values of the metrics.", targets),
    text<HorizontalPodAutoscaler>("MinPods", "Fewest pods.", ({ spec }) =>
      spec?.minReplicas === undefined ? "<unset>" : String(spec.minReplicas),
    ),
    text<HorizontalPodAutoscaler>("MaxPods", "Most pods.", ({ spec }) => spec?.maxReplicas ?? 0),
    text<HorizontalPodAutoscaler>("Replicas", "How many pods there are.", ({ status }) => status?.currentReplicas ?? 0),
    ageColumn,
  ],
  "policy/PodDisruptionBudget": [
    nameColumn,
    text<PodDisruptionBudget>("Min Available", "Fewest pods that must stay.", ({ spec }) =>
      boundText(spec?.minAvailable),
    ),
    text<PodDisruptionBudget>("Max Unavailable", "Most pods that may be away.", ({ spec }) =>
      boundText(spec?.maxUnavailable),
    ),
    integer<PodDisruptionBudget>(
      "Allowed Disruptions",
      "How many pods may be evicted now.",
      ({ status }) => status?.disruptionsAllowed ?? 0,
    ),
    ageColumn,
  ],
  "/PodTemplate": [
    nameColumn,
    text<PodTemplate>("Containers", "Names of the template's containers.", ({ template }) =>
      (template?.spec?.containers ?? []).map(({ name }) => name).join(","),
    ),
    text<PodTemplate>("Images", "Images of the template's containers.", ({ template }) =>
      (template?.spec?.containers ?? []).map(({ image }) => image ?? "").join(","),
    ),
    text<PodTemplate>("Pod Labels", "Labels of the template.", ({ template }) =>
      labelsText(template?.metadata?.labels),
    ),
  ],
};
