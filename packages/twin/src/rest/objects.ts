import type { KubeObject, Resource } from "@fleetwright/kube";
import type { Objects } from "../machinery/request.ts";
import type { Store, Version } from "../storage/store.ts";
import type { KindRegistry } from "./registry.ts";

/** The server's own reads. An object is parsed once for as long as its bytes are held. */
export function createObjects(store: Store, registry: Pick<KindRegistry, "collectionOf">): Objects {
  const parsed = new WeakMap<Buffer, KubeObject>();

  function parse(version: Version): KubeObject {
    let object = parsed.get(version.bytes);
    if (object === undefined) {
      object = JSON.parse(version.bytes.toString()) as KubeObject;
      parsed.set(version.bytes, object);
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
