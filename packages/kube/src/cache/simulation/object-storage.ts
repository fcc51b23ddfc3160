import type { KubeObject } from "../../core/object.ts";

/** One write, as watches see it. */
export interface Write {
  readonly revision: number;
  readonly collection: string;
  readonly before: KubeObject | undefined;
  readonly after: KubeObject | undefined;
}

/** A small model of etcd behind an API server: objects, one global revision, a history that is compacted. */
export class ObjectStorage {
  revision = 100;
  /** Writes at or before this revision are forgotten. */
  compacted = 0;
  history: Write[] = [];
  readonly #collections = new Map<string, Map<string, KubeObject>>();
  readonly #onWrite = new Set<(write: Write) => void>();
  #uids = 0;

  /** In the order of their keys, as etcd ranges. */
  list(collection: string): readonly KubeObject[] {
    const objects = [...(this.#collections.get(collection)?.entries() ?? [])];
    return objects.toSorted(([left], [right]) => (left < right ? -1 : 1)).map(([, object]) => object);
  }

  get(collection: string, key: string): KubeObject | undefined {
    return this.#collections.get(collection)?.get(key);
  }

  /** Creates or replaces; metadata that belongs to the server is the server's. */
  put(collection: string, key: string, object: KubeObject): KubeObject {
    const before = this.get(collection, key);
    this.revision += 1;
    const after = {
      ...object,
      metadata: {
        ...object.metadata,
        uid: before?.metadata.uid ?? `uid-${++this.#uids}`,
        resourceVersion: String(this.revision),
        managedFields: [{ manager: "simulation", operation: "Update" as const }],
      },
    };
    let objects = this.#collections.get(collection);
    if (objects === undefined) this.#collections.set(collection, (objects = new Map()));
    objects.set(key, after);
    this.#record({ revision: this.revision, collection, before, after });
    return after;
  }

  delete(collection: string, key: string): KubeObject | undefined {
    const before = this.get(collection, key);
    if (before === undefined) return undefined;
    this.revision += 1;
    this.#collections.get(collection)?.delete(key);
    this.#record({ revision: this.revision, collection, before, after: undefined });
    return before;
  }

  compact(): void {
    this.compacted = this.revision;
    this.history = [];
  }

  onWrite(listener: (write: Write) => void): () => void {
    this.#onWrite.add(listener);
    return () => this.#onWrite.delete(listener);
  }

  #record(write: Write): void {
    this.history.push(write);
    for (const listener of this.#onWrite) listener(write);
  }
}
