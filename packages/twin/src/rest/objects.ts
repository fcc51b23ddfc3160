import type { KubeObject, Resource } from "@fleetwright/kube";
import { typed } from "../machinery/draft.ts";
import type { Draft } from "../machinery/draft.ts";
import type { Objects } from "../machinery/request.ts";
import type { Store } from "../storage/store.ts";
import type { Version } from "../storage/version.ts";
import type { KindRegistry } from "./registry.ts";

/** The server's own reads. An object is parsed at most once for as long as its version is held. */
export function createObjects(store: Store, registry: Pick<KindRegistry, "collectionOf">): Objects {
  const parsed = new WeakMap<Version, Readonly<Draft>>();

  function read<T extends KubeObject>(version: Version): T {
    let object = version.kept ?? parsed.get(version);
    if (object === undefined) parsed.set(version, (object = version.object));
    return typed<T>(object) as T;
  }
  const collectionOf = (resource: Resource): string => registry.collectionOf(resource.group, resource.plural);

  return {
    get<T extends KubeObject>(resource: Resource<T>, key: { readonly namespace?: string; readonly name: string }) {
      const version = store.get(
        collectionOf(resource),
        resource.namespaced ? `${key.namespace ?? ""}/${key.name}` : key.name,
      );
      return version === undefined ? undefined : read<T>(version);
    },
    list<T extends KubeObject>(resource: Resource<T>, namespace?: string) {
      const { items } = store.list(collectionOf(resource), namespace === undefined ? {} : { namespace });
      return items.map((version) => read<T>(version));
    },
    revisionOf: (resource) => store.revisionOf(collectionOf(resource)),
  };
}
