import type { KubeObject, Resource } from "@fleetwright/kube";
import type { Objects } from "../machinery/request.ts";
import type { Store } from "../storage/store.ts";
import type { Version } from "../storage/version.ts";
import type { KindRegistry } from "./registry.ts";

/** The server's own reads. An object is parsed at most once for as long as its version is held. */
export function createObjects(store: Store, registry: Pick<KindRegistry, "collectionOf">): Objects {
  const parsed = new WeakMap<Version, KubeObject>();

  function parse(version: Version): KubeObject {
    if (version.kept !== undefined) return version.kept as unknown as KubeObject;
    let object = parsed.get(version);
    if (object === undefined) {
      object = version.object as unknown as KubeObject;
      parsed.set(version, object);
    }
    return object;
  }
  const collectionOf = (resource: Resource): string => registry.collectionOf(resource.group, resource.plural);

  return {
    get<T extends KubeObject>(resource: Resource<T>, key: { readonly namespace?: string; readonly name: string }) {
      const version = store.get(
        collectionOf(resource),
        resource.namespaced ? `${key.namespace ?? ""}/${key.name}` : key.name,
      );
      return version === undefined ? undefined : (parse(version) as T);
    },
    list<T extends KubeObject>(resource: Resource<T>, namespace?: string) {
      const { items } = store.list(collectionOf(resource), namespace === undefined ? {} : { namespace });
      return items.map((version) => parse(version) as T);
    },
    revisionOf: (resource) => store.revisionOf(collectionOf(resource)),
  };
}
