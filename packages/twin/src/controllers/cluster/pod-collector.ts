import { isNotFound, keyOf, keyString, Nodes, Pods, timeText } from "@fleetwright/kube";
import type { ObjectKey, Pod } from "@fleetwright/kube";
import type { ControllerContext, Controllers, Part } from "../context.ts";
import { isFinished, isTerminating } from "../pods/pod-state.ts";
import { byNode, nodeIndex } from "./pods-by-node.ts";

const name = "pod-garbage-collector";
const intervalMs = 20_000;
/** A node that is gone is believed gone after this (`quarantineTime`). */
const quarantineMs = 40_000;
/** `--terminated-pod-gc-threshold` */
const maxTerminated = 12_500;
const outOfService = "node.kubernetes.io/out-of-service";

/** Removes pods that nobody else will (pkg/controller/podgc). */
export const podCollector: Controllers = (context) => [start(context)];

function start(context: ControllerContext): Part {
  const { cache, clock, logger } = context;
  const pods = cache.informer(Pods, { indexes: { [nodeIndex]: byNode } });
  const nodes = cache.informer(Nodes);
  const client = context.clientOf(name);
  /** Nodes that pods name and that are not there, since when. */
  const missing = new Map<string, number>();
  /** How many pods are on each node, and which are going: looking at all of them every time would be the cluster's main work. */
  const homes = new Map<string, number>();
  const going = new Map<string, ObjectKey>();
  let terminated = 0;
  const count = (pod: Pod, by: 1 | -1): void => {
    if (isFinished(pod)) terminated += by;
    const home = homeOf(pod);
    const there = (homes.get(home) ?? 0) + by;
    if (there === 0 || home === "") homes.delete(home);
    else homes.set(home, there);
    if (!isTerminating(pod)) return;
    const key = keyOf(pod);
    if (by > 0) going.set(keyString(key), key);
    else going.delete(keyString(key));
  };

  async function collect(): Promise<void> {
    const now = clock.now();
    for (const home of homes.keys()) {
      if (nodes.get({ name: home }) !== undefined) missing.delete(home);
      else if (!missing.has(home)) missing.set(home, now);
    }
    for (const home of missing.keys()) if (!homes.has(home)) missing.delete(home);
    for (const [home, since] of missing) {
      if (now - since < quarantineMs) continue;
      for (const pod of pods.byIndex(nodeIndex, home))
        await remove(pod, { reason: "DeletionByPodGC", message: "PodGC: node no longer exists" });
    }
    for (const key of going.values()) {
      const pod = pods.get(key);
      if (pod === undefined) continue;
      const home = homeOf(pod);
      if (home === "") await remove(pod);
      else if (nodes.get({ name: home })?.spec?.taints?.some(({ key }) => key === outOfService) === true) {
        await remove(pod, { reason: "DeletionByPodGC", message: "PodGC: node is out-of-service" });
      }
    }
    if (terminated <= maxTerminated) return;
    const finished = pods
      .list()
      .filter((pod) => isFinished(pod) && !isTerminating(pod))
      .toSorted(byCreation);
    for (const pod of finished.slice(0, Math.max(0, finished.length - maxTerminated))) await remove(pod);
  }

  async function remove(pod: Pod, why?: { readonly reason: string; readonly message: string }): Promise<void> {
    try {
      if (why !== undefined && !isFinished(pod)) {
        const condition = {
          type: "DisruptionTarget",
          status: "True",
          ...why,
          observedGeneration: pod.metadata.generation,
          lastTransitionTime: timeText(clock.now()),
        };
        const patch = { metadata: { uid: pod.metadata.uid }, status: { phase: "Failed", conditions: [condition] } };
        await client.patch(Pods, keyOf(pod), { type: "strategic", patch }, { subresource: "status" });
      }
      await client.delete(Pods, keyOf(pod), { gracePeriodSeconds: 0 });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  return {
    name: "pod garbage collector",
    async start(signal) {
      const removeHandler = pods.addHandler({
        added: (pod) => count(pod, 1),
        updated(before, after) {
          count(before, -1);
          count(after, 1);
        },
        deleted: (pod) => count(pod, -1),
      });
      await new Promise<void>((resolve) => {
        let timer = clock.setTimer(intervalMs, tick);
        let stopped = false;
        function tick(): void {
          void collect()
            .catch((error: unknown) => logger.warn({ error }, "pods could not all be collected; they are tried again"))
            .finally(() => {
              if (!stopped) timer = clock.setTimer(intervalMs, tick);
            });
        }
        const stop = (): void => {
          stopped = true;
          timer.cancel();
          resolve();
        };
        if (signal.aborted) stop();
        else signal.addEventListener("abort", stop, { once: true });
      });
      removeHandler();
    },
  };
}

const homeOf = ({ spec }: Pod): string => spec?.nodeName ?? "";

const byCreation = (left: Pod, right: Pod): number =>
  (left.metadata.creationTimestamp ?? "") < (right.metadata.creationTimestamp ?? "") ? -1 : 1;
