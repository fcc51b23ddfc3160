import type { Informer, KubeObject, ObjectKey, OwnerReference, Resource } from "@fleetwright/kube";

/** Where an object is. */
export interface GraphNode {
  readonly uid: string;
  readonly resource: Resource;
  readonly informer: Informer<KubeObject>;
  readonly key: ObjectKey;
}

export const ownersOf = (object: KubeObject): readonly OwnerReference[] => object.metadata.ownerReferences ?? [];

export const orphanFinalizer = "orphan";
export const foregroundFinalizer = "foregroundDeletion";

export const isGoing = ({ metadata }: KubeObject): boolean => metadata.deletionTimestamp !== undefined;
const has = (object: KubeObject, finalizer: string): boolean =>
  object.metadata.finalizers?.includes(finalizer) === true;

/** Being deleted, and waits for its dependents. */
export const awaitsDependents = (object: KubeObject): boolean => isGoing(object) && has(object, foregroundFinalizer);
/** Being deleted, and its dependents are to stay. */
export const leavesOrphans = (object: KubeObject): boolean => isGoing(object) && has(object, orphanFinalizer);

/** Who owns whom, by UID (pkg/controller/garbagecollector/graph_builder.go). */
export class OwnershipGraph {
  readonly #nodes = new Map<string, GraphNode>();
  readonly #dependents = new Map<string, Set<string>>();

  node(uid: string): GraphNode | undefined {
    return this.#nodes.get(uid);
  }

  uids(): readonly string[] {
    return [...this.#nodes.keys()];
  }

  object(uid: string): KubeObject | undefined {
    const node = this.#nodes.get(uid);
    const object = node?.informer.get(node.key);
    return object?.metadata.uid === uid ? object : undefined;
  }

  dependentsOf(uid: string): readonly string[] {
    const dependents = this.#dependents.get(uid);
    return dependents === undefined ? [] : [...dependents];
  }

  put(node: GraphNode, before: KubeObject | undefined, after: KubeObject): void {
    this.#nodes.set(node.uid, node);
    if (before?.metadata.ownerReferences === after.metadata.ownerReferences && before !== undefined) return;
    for (const { uid } of before === undefined ? [] : ownersOf(before)) this.#unlink(uid, node.uid);
    for (const { uid } of ownersOf(after)) {
      const dependents = this.#dependents.get(uid);
      if (dependents === undefined) this.#dependents.set(uid, new Set([node.uid]));
      else dependents.add(node.uid);
    }
  }

  remove(uid: string, object: KubeObject): void {
    this.#nodes.delete(uid);
    for (const owner of ownersOf(object)) this.#unlink(owner.uid, uid);
  }

  #unlink(owner: string, dependent: string): void {
    const dependents = this.#dependents.get(owner);
    dependents?.delete(dependent);
    if (dependents?.size === 0) this.#dependents.delete(owner);
  }
}
