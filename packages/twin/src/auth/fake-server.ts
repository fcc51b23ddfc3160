import { groupResourceOf, seededRandom, systemClock, type KubeObject, type Resource } from "@fleetwright/kube";
import type { Mutable } from "../machinery/draft.ts";
import type { Objects, ServerAccess } from "../machinery/request.ts";

/** Objects in memory for tests: what `ServerAccess` reads and changes, without a pipeline. */
export interface FakeServer extends Pick<ServerAccess, "clock" | "modify" | "objects" | "random"> {
  put<T extends KubeObject>(resource: Resource<T>, object: T): void;
}

export function createFakeServer(clock: ServerAccess["clock"] = systemClock): FakeServer {
  const collections = new Map<string, Map<string, KubeObject>>();
  const revisions = new Map<string, number>();
  let revision = 1;

  const keyOf = (resource: Resource, key: { readonly namespace?: string; readonly name?: string }): string =>
    resource.namespaced ? `${key.namespace ?? ""}/${key.name ?? ""}` : (key.name ?? "");

  function collectionOf(resource: Resource): Map<string, KubeObject> {
    const name = groupResourceOf(resource);
    const known = collections.get(name);
    if (known !== undefined) return known;
    const fresh = new Map<string, KubeObject>();
    collections.set(name, fresh);
    return fresh;
  }

  function put<T extends KubeObject>(resource: Resource<T>, object: T): void {
    revision += 1;
    revisions.set(groupResourceOf(resource), revision);
    collectionOf(resource).set(keyOf(resource, object.metadata), object);
  }

  const objects: Objects = {
    get: <T extends KubeObject>(resource: Resource<T>, key: { readonly namespace?: string; readonly name: string }) =>
      collectionOf(resource).get(keyOf(resource, key)) as T | undefined,
    list: <T extends KubeObject>(resource: Resource<T>, namespace?: string) =>
      [...collectionOf(resource).values()].filter(
        ({ metadata }) => namespace === undefined || metadata.namespace === namespace,
      ) as T[],
    revisionOf: (resource) => revisions.get(groupResourceOf(resource)) ?? 0,
  };

  return {
    clock,
    objects,
    random: seededRandom(1),
    put,
    async modify<T extends KubeObject>(
      resource: Resource<T>,
      key: { readonly namespace?: string; readonly name: string },
      change: (object: Mutable<T>) => boolean | void,
    ): Promise<T> {
      const found = objects.get(resource, key);
      if (found === undefined) throw new Error(`no ${resource.kind} ${key.name}`);
      const copy = structuredClone(found);
      if (change(copy as unknown as Mutable<T>) === false) return found;
      put(resource, copy);
      return copy;
    },
  };
}
