import { compareResourceVersions, keyOf, keyString } from "@fleetwright/kube";
import type { Informer, KubeObject, ObjectKey } from "@fleetwright/kube";

/**
 * The objects of an informer, as new as the binder itself has written them: a binding is four writes, and each of their events would otherwise be
 * taken for a reason to begin it anew (`storeObjectUpdate`).
 */
export class LatestObjects<T extends KubeObject> {
  readonly #informer: Informer<T>;
  readonly #written = new Map<string, T>();

  constructor(informer: Informer<T>) {
    this.#informer = informer;
  }

  get(key: ObjectKey): T | undefined {
    const seen = this.#informer.get(key);
    return seen === undefined ? this.#forget(key) : this.newest(seen);
  }

  /** Of what the informer shows, what is known of it now. */
  newest(seen: T): T {
    if (this.#written.size === 0) return seen;
    const key = keyString(keyOf(seen));
    const written = this.#written.get(key);
    if (written === undefined) return seen;
    // Another one of the same name has a newer version too.
    if (compareResourceVersions(written.metadata.resourceVersion ?? "0", seen.metadata.resourceVersion ?? "0") > 0)
      return written;
    this.#written.delete(key);
    return seen;
  }

  /** @returns the object, for the next write */
  note(object: T): T {
    this.#written.set(keyString(keyOf(object)), object);
    return object;
  }

  #forget(key: ObjectKey): undefined {
    this.#written.delete(keyString(key));
    return undefined;
  }
}
