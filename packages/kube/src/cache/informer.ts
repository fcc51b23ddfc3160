import type { KubeObject, ObjectKey } from "../core/object.ts";
import type { Resource } from "../core/resource.ts";

export interface InformerHandler<T extends KubeObject> {
  added?(object: T, initial: boolean): void;
  updated?(before: T, after: T): void;
  /** The last state that was seen; after a relist it may be older than the object's last. */
  deleted?(object: T): void;
}

export interface InformerOptions<T extends KubeObject> {
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  /** Runs once per received object, before it is stored. @default drops `metadata.managedFields` */
  readonly transform?: (object: T) => T;
  /** Named indexes: the values under which an object is found. */
  readonly indexes?: Readonly<Record<string, (object: T) => readonly string[]>>;
}

/** A kind's objects, kept equal to the server's by list and watch. What is read must not be changed. */
export interface Informer<T extends KubeObject> {
  readonly resource: Resource<T>;
  get(key: ObjectKey): T | undefined;
  list(namespace?: string): readonly T[];
  byIndex(index: string, value: string): readonly T[];
  readonly size: number;
  /** The first list is in. Stays true through relists. */
  synced(): boolean;
  /** The newest resource version known to be reflected here (list, event or bookmark); `""` before the first list. */
  readonly resourceVersion: string;
  /** Handlers run in the order of events, synchronously, after the store changed; those already present are replayed as initial. Returns a remover. */
  addHandler(handler: InformerHandler<T>): () => void;
}

/** One informer per kind and options, shared by all who ask. */
export interface Cache {
  informer<T extends KubeObject>(resource: Resource<T>, options?: InformerOptions<T>): Informer<T>;
  /** Starts all informers, those asked for later too; resolves when the signal aborts and all have stopped. */
  run(signal: AbortSignal): Promise<void>;
  /** Resolves when every informer asked for so far has synced; rejects with the signal's reason. */
  waitForSync(signal?: AbortSignal): Promise<void>;
}
