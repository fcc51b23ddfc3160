import type { Informer } from "../cache/informer.ts";
import { keyOf, type KubeObject } from "../core/object.ts";
import type { Resource } from "../core/resource.ts";
import type { Predicate } from "./predicate.ts";
import type { ReconcileRequest } from "./reconciler.ts";
import { lowPriority, type AddOptions } from "./work-queue.ts";

/** Puts a name before a controller. */
export type Enqueue = (request: ReconcileRequest, options?: AddOptions) => void;

/** Where a controller's requests come from. */
export interface Source {
  /** Begins to enqueue; returns what ends it. */
  start(enqueue: Enqueue): () => void;
}

export interface SourceOptions<T extends KubeObject> {
  /** Whom a change concerns. An update asks for both sides. @default the object itself */
  readonly map?: (object: T) => readonly ReconcileRequest[];
  /** All must let a change through. @default none */
  readonly predicates?: readonly Predicate<T>[];
}

/**
 * An informer's changes. What exists when the controller starts comes at a low priority, so that a restart does not
 * delay what changes now.
 *
 * @example
 * sources: [
 *   watch(deployments, { predicates: [generationChanged] }),
 *   watch(replicaSets, { map: toController(Deployments) }),
 * ]
 */
export function watch<T extends KubeObject>(informer: Informer<T>, options: SourceOptions<T> = {}): Source {
  const { map = itself, predicates = [] } = options;
  return {
    start(enqueue) {
      return informer.addHandler({
        added(object, initial) {
          if (!predicates.every((predicate) => predicate.added?.(object) ?? true)) return;
          const addOptions = initial ? { priority: lowPriority } : {};
          for (const request of map(object)) enqueue(request, addOptions);
        },
        updated(before, after) {
          if (!predicates.every((predicate) => predicate.updated?.(before, after) ?? true)) return;
          for (const request of map(before)) enqueue(request);
          for (const request of map(after)) enqueue(request);
        },
        deleted(object) {
          if (!predicates.every((predicate) => predicate.deleted?.(object) ?? true)) return;
          for (const request of map(object)) enqueue(request);
        },
      });
    },
  };
}

/** Requests that another part makes: a timer, a webhook, a stream. */
export function channel(): Source & { readonly enqueue: Enqueue } {
  const listeners = new Set<Enqueue>();
  return {
    enqueue: (request, options) => listeners.forEach((listener) => listener(request, options)),
    start(enqueue) {
      listeners.add(enqueue);
      return () => void listeners.delete(enqueue);
    },
  };
}

const itself = (object: KubeObject): readonly ReconcileRequest[] => [keyOf(object)];

/** The controller of an object, if it is of this kind: for {@link SourceOptions.map}. */
export function toController(owner: Resource): (object: KubeObject) => readonly ReconcileRequest[] {
  return ownersOf(owner, true);
}

/** All owners of this kind. */
export function toOwners(owner: Resource): (object: KubeObject) => readonly ReconcileRequest[] {
  return ownersOf(owner, false);
}

function ownersOf(owner: Resource, onlyController: boolean): (object: KubeObject) => readonly ReconcileRequest[] {
  return (object) => {
    const requests: ReconcileRequest[] = [];
    for (const reference of object.metadata.ownerReferences ?? []) {
      // Any version of the group: a reference keeps the one under which it was written.
      const slash = reference.apiVersion.indexOf("/");
      const group = slash < 0 ? "" : reference.apiVersion.slice(0, slash);
      if (reference.kind !== owner.kind || group !== owner.group) continue;
      if (onlyController && reference.controller !== true) continue;
      const { namespace } = object.metadata;
      requests.push(owner.namespaced && namespace ? { namespace, name: reference.name } : { name: reference.name });
    }
    return requests;
  };
}
