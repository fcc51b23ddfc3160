import { isNotFound, keyOf, keyString, Nodes, parseKey, Pods, timeText } from "@fleetwright/kube";
import type { Node, Pod, Taint, Timer } from "@fleetwright/kube";
import { tolerates } from "../../scheduler/plugins/taint-toleration.ts";
import type { ControllerContext, Controllers, Part } from "../context.ts";
import { sameValue } from "../same-value.ts";
import { byNode, nodeIndex } from "./pods-by-node.ts";

const name = "node-controller";

/** Deletes pods that do not tolerate a node's NoExecute taints, or no longer (pkg/controller/tainteviction). */
export const taintEvictionController: Controllers = (context) => [start(context)];

/** When a pod must go, in milliseconds from now; `undefined`: it may stay. */
function evictionDelay(pod: Pod, taints: readonly Taint[]): number | undefined {
  let least = Number.POSITIVE_INFINITY;
  for (const taint of taints) {
    const matching = (pod.spec?.tolerations ?? []).filter((toleration) => tolerates(toleration, taint));
    if (matching.length === 0) return 0;
    for (const { tolerationSeconds } of matching)
      if (tolerationSeconds !== undefined) least = Math.min(least, Math.max(0, tolerationSeconds) * 1000);
  }
  return Number.isFinite(least) ? least : undefined;
}

function start(context: ControllerContext): Part {
  const { cache, clock, logger } = context;
  const nodes = cache.informer(Nodes);
  const pods = cache.informer(Pods, { indexes: { [nodeIndex]: byNode } });
  const client = context.clientOf(name);
  const events = context.eventsOf("taint-eviction-controller", name);
  const due = new Map<string, { readonly timer: Timer; readonly at: number }>();
  let stopped = false;

  const executing = (node: Node | undefined): readonly Taint[] =>
    (node?.spec?.taints ?? []).filter(({ effect }) => effect === "NoExecute");

  function look(pod: Pod, taints: readonly Taint[]): void {
    const key = keyString(keyOf(pod));
    const delay =
      pod.metadata.deletionTimestamp === undefined && taints.length > 0 ? evictionDelay(pod, taints) : undefined;
    const known = due.get(key);
    if (delay === undefined) {
      if (known === undefined) return;
      known.timer.cancel();
      due.delete(key);
      if (pod.metadata.deletionTimestamp === undefined) {
        events.event({
          about: pod,
          type: "Normal",
          reason: "TaintManagerEviction",
          message: `Cancelling deletion of Pod ${key}`,
        });
      }
      return;
    }
    const at = clock.now() + delay;
    // It counts from the taint, not from what happened since.
    if (known !== undefined && delay > 0) return;
    known?.timer.cancel();
    due.set(key, { at, timer: clock.setTimer(delay, () => evict(key)) });
  }

  function evict(key: string): void {
    due.delete(key);
    const pod = pods.get(parseKey(key));
    if (pod === undefined || stopped) return;
    events.event({
      about: pod,
      type: "Normal",
      reason: "TaintManagerEviction",
      message: `Marking for deletion Pod ${key}`,
    });
    void remove(pod).catch((error: unknown) => {
      if (stopped) return;
      logger.warn({ pod: key, error }, "a pod could not be evicted; it is tried again");
      due.set(key, { at: clock.now(), timer: clock.setTimer(1_000, () => evict(key)) });
    });
  }

  async function remove(pod: Pod): Promise<void> {
    const condition = {
      type: "DisruptionTarget",
      status: "True",
      reason: "DeletionByTaintManager",
      message: "Taint manager: deleting due to NoExecute taint",
      observedGeneration: pod.metadata.generation,
      lastTransitionTime: timeText(clock.now()),
    };
    try {
      const patch = { metadata: { uid: pod.metadata.uid }, status: { conditions: [condition] } };
      await client.patch(Pods, keyOf(pod), { type: "strategic", patch }, { subresource: "status" });
      await client.delete(Pods, keyOf(pod));
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  return {
    name: "taint eviction",
    async start(signal) {
      const lookAtNode = (node: Node): void => {
        const taints = executing(node);
        for (const pod of pods.byIndex(nodeIndex, node.metadata.name ?? "")) look(pod, taints);
      };
      const lookAtPod = (pod: Pod): void => {
        const nodeName = pod.spec?.nodeName;
        if (nodeName === undefined || nodeName === "") return;
        const taints = executing(nodes.get({ name: nodeName }));
        if (taints.length > 0 || due.has(keyString(keyOf(pod)))) look(pod, taints);
      };
      const removers = [
        nodes.addHandler({
          added: lookAtNode,
          updated: (before, after) => {
            if (!sameValue(executing(before), executing(after))) lookAtNode(after);
          },
        }),
        pods.addHandler({
          added: lookAtPod,
          updated: (_, pod) => lookAtPod(pod),
          deleted(pod) {
            const key = keyString(keyOf(pod));
            due.get(key)?.timer.cancel();
            due.delete(key);
          },
        }),
      ];
      if (!signal.aborted)
        await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
      stopped = true;
      for (const remove of removers) remove();
      for (const { timer } of due.values()) timer.cancel();
    },
  };
}
