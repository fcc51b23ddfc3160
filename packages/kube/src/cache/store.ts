import { FleetwrightError } from "../core/errors.ts";
import type { KubeObject } from "../core/object.ts";

/** The values under which an object is found in an index. */
export type IndexFunction<T> = (object: T) => readonly string[];

interface Index<T> {
  readonly valuesOf: IndexFunction<T>;
  readonly buckets: Map<string, Map<string, Slot<T>>>;
}

/** An object's place here and in the indexes: most changes leave it where it was. */
interface Slot<T> {
  object: T;
}

const objectOf = <T>({ object }: Slot<T>): T => object;

/** Objects by key, with indexes that are kept as objects change. Namespaces are an index of their own. */
export class ObjectStore<T extends KubeObject> {
  readonly #slots = new Map<string, Slot<T>>();
  readonly #indexes = new Map<string, Index<T>>();
  readonly #namespaces: Index<T> = { valuesOf: (object) => [object.metadata.namespace ?? ""], buckets: new Map() };
  readonly #onError: (error: unknown) => void;

  /** @param onError told when an index function throws; the object is then in no bucket of that index */
  constructor(onError: (error: unknown) => void) {
    this.#onError = onError;
  }

  get size(): number {
    return this.#slots.size;
  }

  get(key: string): T | undefined {
    return this.#slots.get(key)?.object;
  }

  keys(): IterableIterator<string> {
    return this.#slots.keys();
  }

  list(namespace?: string): readonly T[] {
    if (namespace === undefined || namespace === "") return Array.from(this.#slots.values(), objectOf);
    return Array.from(this.#namespaces.buckets.get(namespace)?.values() ?? [], objectOf);
  }

  /** @throws FleetwrightError `FW_CACHE_INDEX` when no index has this name */
  byIndex(name: string, value: string): readonly T[] {
    const index = this.#indexes.get(name);
    if (index === undefined) {
      const known = [...this.#indexes.keys()].join(", ") || "none";
      throw new FleetwrightError("FW_CACHE_INDEX", `no index ${JSON.stringify(name)}; this informer has: ${known}`);
    }
    return Array.from(index.buckets.get(value)?.values() ?? [], objectOf);
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
    for (const [key, slot] of this.#slots) this.#insert(index, key, slot, this.#valuesOf(index, slot.object));
  }

  set(key: string, object: T): void {
    const slot = this.#slots.get(key);
    if (slot === undefined) {
      const made: Slot<T> = { object };
      this.#slots.set(key, made);
      for (const index of this.#all()) this.#insert(index, key, made, this.#valuesOf(index, object));
      return;
    }
    const before = slot.object;
    slot.object = object;
    for (const index of this.#all()) {
      const old = this.#valuesOf(index, before);
      const values = this.#valuesOf(index, object);
      if (values.length === old.length && values.every((value, at) => value === old[at])) continue;
      this.#remove(index, key, old);
      this.#insert(index, key, slot, values);
    }
  }

  delete(key: string): void {
    const slot = this.#slots.get(key);
    if (slot === undefined) return;
    this.#slots.delete(key);
    for (const index of this.#all()) this.#remove(index, key, this.#valuesOf(index, slot.object));
  }

  #all(): readonly Index<T>[] {
    return [this.#namespaces, ...this.#indexes.values()];
  }

  #insert(index: Index<T>, key: string, slot: Slot<T>, values: readonly string[]): void {
    for (const value of values) {
      const bucket = index.buckets.get(value);
      if (bucket === undefined) index.buckets.set(value, new Map([[key, slot]]));
      else bucket.set(key, slot);
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
