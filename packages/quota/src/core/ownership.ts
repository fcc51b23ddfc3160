import { groupLabel } from "@fleetwright/api";
import { controllerOf, matchesLabels, selectorOf, type KubeObject, type LabelSelector } from "@fleetwright/kube";
import type { WorkloadKind } from "./workload-kind.ts";

/** An object with the way to read it. */
export interface Workload {
  readonly kind: WorkloadKind;
  readonly object: KubeObject;
}

/** The group that a workload names. */
export function groupOf(object: KubeObject): string | undefined {
  return object.metadata.labels?.[groupLabel] || undefined;
}

/**
 * Whether an object is really owned by a live one: a reference that anyone may write is not enough, the owner must be of a kind that makes such
 * children, be that very object, in the same namespace, and select the child by its labels. Groups are not looked at here.
 */
export function owns(owner: Workload, child: Workload): boolean {
  const reference = controllerOf(child.object);
  const { resource } = owner.kind;
  if (!reference || reference.uid !== owner.object.metadata.uid) return false;
  if (reference.kind !== resource.kind || reference.name !== owner.object.metadata.name) return false;
  if (reference.apiVersion.split("/")[0] !== resource.group) return false;
  if (!child.kind.owners.some(({ group, kind }) => group === resource.group && kind === resource.kind)) return false;
  if (owner.object.metadata.namespace !== child.object.metadata.namespace) return false;
  const selector = owner.kind.selector?.(owner.object);
  return (
    selector === undefined || (!isEmpty(selector) && matchesLabels(selectorOf(selector), child.object.metadata.labels))
  );
}

/** Whoever selects everything owns everything by mistake. */
const isEmpty = (selector: LabelSelector): boolean =>
  Object.keys(selector.matchLabels ?? {}).length + (selector.matchExpressions ?? []).length === 0;

const isDone = ({ kind, object }: Workload): boolean =>
  object.metadata.deletionTimestamp !== undefined || kind.finished?.(object) === true;

const byAge = (left: Workload, right: Workload): number => {
  const [a, b] = [left.object.metadata, right.object.metadata];
  return (
    (a.creationTimestamp ?? "~").localeCompare(b.creationTimestamp ?? "~") || (a.uid ?? "").localeCompare(b.uid ?? "")
  );
};

/**
 * Whether an object is free because a live workload of the same group owns it.
 *
 * @param siblings the owner's other children of the child's kind
 */
export function isCovered(child: Workload, owner: Workload | undefined, siblings: readonly Workload[]): boolean {
  if (!owner || !owns(owner, child) || groupOf(owner.object) !== groupOf(child.object)) return false;
  if (owner.kind.resource.kind !== "CronJob") return true;
  // A CronJob is charged for one Job at a time, and for none while it is suspended or allows many.
  if (owner.kind.chargesChildren?.(owner.object) || owner.kind.replicas(owner.object) === 0) return false;
  if (isDone(child)) return true;
  const first = [child, ...siblings].filter((each) => !isDone(each)).toSorted(byAge)[0];
  return first === child;
}
