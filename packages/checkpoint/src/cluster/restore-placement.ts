import { restoredByAnnotation, restoreReasons } from "@fleetwright/api";
import type { Informer, Node, Pod } from "@fleetwright/kube";
import { verdictCodes, verdictOf } from "../core/verdict/verdict-codes.ts";
import { Refused } from "./refused.ts";
import type { CheckpointObject, RestoreObject } from "./resources.ts";

const takesPods = (node: Node | undefined): boolean =>
  node !== undefined &&
  node.spec?.unschedulable !== true &&
  node.metadata.deletionTimestamp === undefined &&
  node.status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True") === true;

/**
 * The node of a restore in place.
 *
 * @throws {Refused} when the pod cannot take these containers back
 */
export function nodeOfPod(pod: Pod, checkpoint: CheckpointObject): readonly string[] {
  const { name } = pod.metadata;
  const saved = checkpoint.status?.containers ?? [];
  if (pod.status?.phase === "Succeeded" || pod.status?.phase === "Failed")
    throw new Refused(
      restoreReasons.specMismatch,
      `pod "${name}" has ended (${pod.status.phase}): its containers don't start again; restore with mode Create`,
    );
  const containers = pod.spec?.containers ?? [];
  const missing = saved.find((each) => !containers.some((container) => container.name === each.name));
  if (missing)
    throw new Refused(
      restoreReasons.specMismatch,
      `pod "${name}" has no container "${missing.name}", which the checkpoint is of`,
    );
  const never = containers.find(
    (container) => container.imagePullPolicy === "Never" && saved.some((each) => each.name === container.name),
  );
  if (never) {
    const verdict = verdictOf("PullPolicyNever", `container "${never.name}" of pod "${name}"`, never.name);
    throw new Refused(restoreReasons.specMismatch, `${verdict.message}: ${verdictCodes.PullPolicyNever.cause}`, [
      verdict,
    ]);
  }
  return [pod.spec?.nodeName ?? ""];
}

/**
 * Nodes for a new pod, the best first: the one that is asked for, that of the archives, or others like it.
 *
 * @param there the pod that has the name now
 * @throws {Refused} when the name is somebody's
 */
export function nodesForPod(
  there: Pod | undefined,
  restore: RestoreObject,
  checkpoint: CheckpointObject,
  nodes: Informer<Node>,
): readonly string[] {
  const { spec } = restore;
  const isOurs = there?.metadata.annotations?.[restoredByAnnotation] === restore.metadata.uid;
  if (there !== undefined && !isOurs) {
    const isSource =
      there.metadata.name === checkpoint.spec.podName && there.metadata.uid === checkpoint.status?.podUID;
    if (!(isSource && spec.stopSource))
      throw new Refused(
        restoreReasons.failed,
        `there is a pod "${spec.podName}" already${isSource ? ": set spec.stopSource to replace it" : "; choose another spec.podName"}`,
      );
  }
  if (spec.nodeName !== undefined) return [spec.nodeName];
  const home = checkpoint.status?.nodeName ?? "";
  const architecture = nodes.get({ name: home })?.metadata.labels?.["kubernetes.io/arch"];
  const others = nodes
    .list()
    .filter((node) => takesPods(node) && node.metadata.name !== home)
    .filter(({ metadata }) => architecture === undefined || metadata.labels?.["kubernetes.io/arch"] === architecture)
    .map(({ metadata }) => metadata.name ?? "");
  const near = (name: string): number => (checkpoint.status?.copies?.includes(name) ? 0 : 1);
  const ordered = others.toSorted((a, b) => near(a) - near(b) || (a < b ? -1 : 1)).slice(0, 5);
  return takesPods(nodes.get({ name: home })) ? [home, ...ordered] : ordered;
}
