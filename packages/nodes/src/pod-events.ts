import type { CoreEventInput, ContainerStatus, Pod, PodStatus } from "@fleetwright/kube";

/** What a kubelet says of a change that it writes (pkg/kubelet/events, kuberuntime). */
export function eventsOf(pod: Pod, next: PodStatus): readonly CoreEventInput[] {
  const events: CoreEventInput[] = [];
  const lists = [
    { now: next.initContainerStatuses, before: pod.status?.initContainerStatuses, field: "initContainers" },
    { now: next.containerStatuses, before: pod.status?.containerStatuses, field: "containers" },
  ];
  for (const { now = [], before = [], field } of lists) {
    for (const status of now) {
      const say = (type: "Normal" | "Warning", reason: string, message: string): void =>
        void events.push({ about: pod, fieldPath: `spec.${field}{${status.name}}`, type, reason, message });
      const old = before.find(({ name }) => name === status.name);
      if (startedAgain(old, status)) {
        say("Normal", "Pulled", `Container image "${status.image}" already present on machine`);
        say("Normal", "Created", `Container created`);
        say("Normal", "Started", `Container started`);
      }
      const waiting = status.state?.waiting;
      if (waiting?.reason === "CrashLoopBackOff" && old?.state?.waiting?.reason !== "CrashLoopBackOff") {
        say(
          "Warning",
          "BackOff",
          `Back-off restarting failed container ${status.name} in pod ${pod.metadata.name}_${pod.metadata.namespace}(${pod.metadata.uid})`,
        );
      }
      if (
        old?.state?.running !== undefined &&
        status.ready === false &&
        old.ready &&
        status.state?.running?.startedAt === old.state.running.startedAt
      ) {
        say("Warning", "Unhealthy", "Readiness probe failed");
      }
    }
  }
  return events;
}

const runOf = (status: ContainerStatus | undefined): string | undefined =>
  status?.state?.running?.startedAt === undefined
    ? undefined
    : `${status.restartCount} ${status.state.running.startedAt}`;

const startedAgain = (before: ContainerStatus | undefined, after: ContainerStatus): boolean =>
  runOf(after) !== undefined && runOf(before) !== runOf(after);

/** A pod that is told to go. */
export const killingEvents = (pod: Pod): readonly CoreEventInput[] =>
  (pod.status?.containerStatuses ?? [])
    .filter(({ state }) => state?.running !== undefined)
    .map(({ name }) => ({
      about: pod,
      fieldPath: `spec.containers{${name}}`,
      type: "Normal",
      reason: "Killing",
      message: `Stopping container ${name}`,
    }));
