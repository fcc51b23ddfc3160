import type { Draft } from "../machinery/draft.ts";
import type { Version } from "./version.ts";

export interface StoreEvent {
  readonly type: "ADDED" | "MODIFIED" | "DELETED";
  readonly revision: number;
  /** DELETED: the last state, with the deletion's revision in it. */
  readonly object: Version;
  /** What was there before; absent when ADDED. */
  readonly previous: Version | undefined;
}

export interface WriteRequest {
  readonly collection: string;
  readonly key: string;
  /** What must be there now: a revision, or nothing (0). Otherwise `WriteConflict`. */
  readonly expected: number;
  /**
   * The object at the revision that the write gets; of a deletion, the last state as watchers get it. It is the store's from then on: nobody changes
   * it any more. Must not write.
   */
  make(revision: number): { readonly object: Draft; readonly index?: string };
  /** @default false */
  readonly delete?: boolean;
  /** Gone by itself after so long, as a deletion that watchers see. */
  readonly ttlSeconds?: number;
}

/** Somebody wrote first. */
export class WriteConflict extends Error {
  override readonly name = "WriteConflict";
  readonly current: Version | undefined;
  constructor(key: string, current: Version | undefined) {
    super(`${key} is at revision ${current?.revision ?? "none"}`);
    this.current = current;
  }
}

/** The revision is older than the window of history: 410. */
export class Compacted extends Error {
  override readonly name = "Compacted";
  readonly oldest: number;
  constructor(asked: number, oldest: number) {
    super(`revision ${asked} has been compacted: the oldest is ${oldest}`);
    this.oldest = oldest;
  }
}

/** Which events of a collection a watch gets: of one namespace, one key, or those whose index is or was a value. */
export interface WatchScope {
  readonly namespace?: string;
  readonly key?: string;
  readonly index?: string;
}

/** Events in revision order, the same for everybody. */
export interface StoreWatch {
  /**
   * Waits for events and returns what there is, at least one and at most a thousand, or none once `wake` has been called
   * or the watch was closed meanwhile. Watches of the same scope share the array.
   * Rejects with `Compacted` when this watch fell out of the window, and with the signal's reason when aborted.
   */
  next(signal?: AbortSignal): Promise<readonly StoreEvent[]>;
  /** Every event of the store up to this revision has been returned by `next`: what a bookmark may say. */
  readonly position: number;
  /** Lets a waiting `next` return nothing: for bookmarks and ends. */
  wake(): void;
  close(): void;
}

/** A watch whose backlog can be taken at once. */
export interface BacklogWatch extends StoreWatch {
  /** All that is there now and that `next` has not returned, without waiting. */
  rest(): readonly StoreEvent[];
}

/**
 * The objects of the server: every one at its newest version and, for the length of the window, older ones.
 * One revision counts all writes, as etcd's does. Everything but durability is synchronous, so that reading,
 * checking and writing need no locks.
 */
export interface Store {
  /** Of the newest write; the first is 2 (a fresh etcd is at 1). */
  readonly revision: number;
  /** The oldest revision that lists and watches may ask for. */
  readonly oldestRevision: number;
  get(collection: string, key: string): Version | undefined;
  /** Of the collection's newest write; 0 when it was never written. */
  revisionOf(collection: string): number;
  /**
   * In key order. `after` is a key that is left out with all before it. `atRevision` lists what was there then; throws
   * `Compacted`. `remaining` counts what `limit` left out.
   */
  list(
    collection: string,
    options?: {
      readonly namespace?: string;
      readonly after?: string;
      readonly limit?: number;
      readonly atRevision?: number;
    },
  ): { readonly items: readonly Version[]; readonly revision: number; readonly remaining: number };
  /** Writes and tells watchers (after the write is durable). Throws `WriteConflict`. */
  write(request: WriteRequest): Version;
  /**
   * Resolves when all up to the revision is as safe as this store makes it: at once in memory, after the
   * synchronised commit with a state directory. Answers (reads too) wait for it, so nothing that was seen can be lost.
   */
  durable(revision: number): Promise<void> | undefined;
  /** Events after the revision. Throws `Compacted`; a revision of the future waits for it. */
  watch(collection: string, after: number, scope?: WatchScope): BacklogWatch;
  /** Forgets history before the revision (default: by the clock, what is older than the window). */
  compact(revision?: number): void;
  /** Bytes and counts, for metrics and tests; bytes are estimated where objects are kept. */
  stats(): {
    readonly objects: number;
    readonly bytes: number;
    readonly historyEvents: number;
    readonly historyBytes: number;
  };
  close(): Promise<void>;
}
