import { FleetwrightError } from "../core/errors.ts";
import type { KubeObject } from "../core/object.ts";

/** The values under which an object is found in an index. */
export type IndexFunction<T> = (object: T) => readonly string[];

interface Index<T> {
  readonly valuesOf: IndexFunction<T>;
  readonly buckets: Map<string, Map<string, T>>;
}

/** Objects by key, with indexes that are kept as objects change. Namespaces are an index of their own. */
export class ObjectStore<T extends KubeObject> {
  readonly #objects = new Map<string, T>();
  readonly #indexes = new Map<string, Index<T>>();
  readonly #namespaces: Index<T> = { valuesOf: (object) => [object.metadata.namespace ?? ""], buckets: new Map() };
  readonly #onError: (error: unknown) => void;

  /** @param onError told when an index function throws; the object is then in no bucket of that index */
  constructor(onError: (error: unknown) => void) {
    this.#onError = onError;
  }

  get size(): number {
    return this.#objects.size;
  }

  get(key: string): T | undefined {
    return this.#objects.get(key);
  }

  keys(): IterableIterator<string> {
    return this.#objects.keys();
  }

  list(namespace?: string): readonly T[] {
    if (namespace === undefined || namespace === "") return Array.from(this.#objects.values());
    return Array.from(this.#namespaces.buckets.get(namespace)?.values() ?? []);
  }

  /** @throws FleetwrightError `FW_CACHE_INDEX` when no index has this name */
  byIndex(name: string, value: string): readonly T[] {
    const index = this.#indexes.get(name);
    if (index === undefined) {
      const known = [...this.#indexes.keys()].join(", ") || "none";
      throw new FleetwrightError("FW_CACHE_INDEX", `no index ${JSON.stringify(name)}; this informer has: ${known}`);
    }
    return Array.from(index.buckets.get(value)?.values() ?? []);
  }

  /**
   * Adds an index over what is there already. The same function under the same name is no change.
   *
   * @throws FleetwrightError `FW_CACHE_INDEX` when another function has the name
   */
  addIndex(name: string, valuesOf: IndexFunction<T>): void {
    const present = this.#indexes.get(name);
    if (present?.valuesOf === valuesOf) return;
    if (present !== undefined) {
      throw new FleetwrightError(
        "FW_CACHE_INDEX",
        `index ${JSON.stringify(name)} exists with another function; define the function once and pass the same one, or take another name`,
      );
    }
    const index: Index<T> = { valuesOf, buckets: new Map() };
    this.#indexes.set(name, index);
    for (const [key, object] of this.#objects) this.#insert(index, key, object, this.#valuesOf(index, object));
  }

  set(key: string, object: T): void {
    const before = this.#objects.get(key);
    this.#objects.set(key, object);
    this.#reindex(this.#namespaces, key, before, object);
    for (const index of this.#indexes.values()) this.#reindex(index, key, before, object);
  }

  /** Most changes leave an object where it was. */
  #reindex(index: Index<T>, key: string, before: T | undefined, object: T): void {
    const values = this.#valuesOf(index, object);
    const old = before === undefined ? [] : this.#valuesOf(index, before);
    const stays = values.length === old.length && values.every((value, at) => value === old[at]);
    if (!stays) this.#remove(index, key, old);
    this.#insert(index, key, object, values);
  }

  delete(key: string): void {
    const before = this.#objects.get(key);
    if (before === undefined) return;
    this.#objects.delete(key);
    this.#remove(this.#namespaces, key, this.#valuesOf(this.#namespaces, before));
    for (const index of this.#indexes.values()) this.#remove(index, key, this.#valuesOf(index, before));
  }

  #insert(index: Index<T>, key: string, object: T, values: readonly string[]): void {
    for (const value of values) {
      const bucket = index.buckets.get(value);
      if (bucket === undefined) index.buckets.set(value, new Map([[key, object]]));
      else bucket.set(key, object);
    }
  }

  #remove(index: Index<T>, key: string, values: readonly string[]): void {
    for (const value of values) {
      const bucket = index.buckets.get(value);
      bucket?.delete(key);
      // Values come and go (node names, owners' uids): empty buckets would pile up.
      if (bucket?.size === 0) index.buckets.delete(value);
    }
  }

  #valuesOf(index: Index<T>, object: T): readonly string[] {
    try {
      return index.valuesOf(object);
    } catch (error) {
      this.#onError(error);
      return [];
    }
  }
}
