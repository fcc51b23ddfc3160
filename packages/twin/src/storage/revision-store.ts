import type { Clock } from "@fleetwright/kube";
import { isDraft } from "../machinery/draft.ts";
import type { Draft } from "../machinery/draft.ts";
import { encodeObject } from "../schema/encode.ts";
import { Expiry } from "./expiry.ts";
import { KeyIndex } from "./key-index.ts";
import { RevisionLog } from "./revision-log.ts";
import { sortKeyOf } from "./sort-key.ts";
import { SharedParts } from "./shared-parts.ts";
import { Compacted, WriteConflict, type Store, type StoreEvent, type WriteRequest } from "./store.ts";
import { Version } from "./version.ts";
import { inScope, WatchHub } from "./watch-hub.ts";

/** What a write left, in the form in which a journal keeps it. */
export interface StoredVersion {
  readonly collection: string;
  readonly version: Version;
  readonly deleted: boolean;
  /** Milliseconds since the epoch at which it goes by itself; 0 for never. */
  readonly expiresMs: number;
}

/** Where writes go to be safe. Without one a write is published at once. */
export interface Journal {
  /** Throws when nothing can be written any more. */
  check(): void;
  append(stored: StoredVersion): void;
  /** These revisions' versions are not needed any more. */
  drop(revision: number): void;
  /** History before this revision is gone. */
  compacted(oldest: number): void;
  durable(revision: number): Promise<void> | undefined;
  close(): Promise<void>;
}

export interface RevisionStoreOptions {
  readonly clock: Clock;
  readonly windowMs: number;
  /** History (older versions and deleted objects) may take so much memory; then the window gets shorter. */
  readonly historyLimitBytes: number;
  readonly firstRevision: number;
  /** As bytes, which go out as they are, or as objects, which who is in this process gets as they are. */
  readonly keeps: "bytes" | "objects";
  readonly freezes?: boolean;
  readonly journal?: Journal;
}

interface Collection {
  readonly name: string;
  readonly entries: Map<string, Entry>;
  readonly index: KeyIndex<Entry>;
  readonly log: RevisionLog<State>;
  readonly watches: WatchHub;
  revision: number;
  /** Of objects that are not kept as bytes: one of many is measured. */
  sizeEstimate: number;
  writesUntilMeasured: number;
}

interface Entry {
  readonly collection: Collection;
  readonly key: string;
  readonly sortKey: string;
  state: State | undefined;
}

/** What a key was from one revision on. */
interface State {
  readonly revision: number;
  readonly entry: Entry;
  /** Absent when the key was deleted. */
  readonly version: Version | undefined;
  older: State | undefined;
  /** Until it is compacted. */
  event: StoreEvent | undefined;
}

/** After each write so many compacted versions are let go: more than a write adds, so that the rest shrinks. */
const trimPerWrite = 16;
const writesBetweenMeasures = 256;

const live = (entry: Entry | undefined): Version | undefined => entry?.state?.version;

/** An object's last state says the revision of its deletion; only expiry has nobody to write it. */
function withRevision(object: Readonly<Draft>, revision: number): Draft {
  const metadata = isDraft(object["metadata"]) ? object["metadata"] : {};
  return { ...object, metadata: { ...metadata, resourceVersion: String(revision) } };
}

/**
 * The store's state in memory: for each key a chain of versions, newest first, and one log of all writes. Compaction is
 * kube-apiserver's (k8s.io/apiserver/pkg/storage/etcd3/compact.go): once in a window it forgets what was old a window
 * before. It is driven by use, not by a timer, so a server at rest rests.
 */
export class RevisionStore implements Store {
  readonly #options: RevisionStoreOptions;
  readonly #collections = new Map<string, Collection>();
  readonly #log = new RevisionLog<State>();
  readonly #expiry: Expiry<Entry>;
  readonly #unpublished: State[] = [];
  readonly #parts: SharedParts | undefined;
  #revision: number;
  #published: number;
  #oldest: number;
  #seen: number;
  #nextCompactionMs: number;
  #objects = 0;
  #bytes = 0;
  #historyBytes = 0;
  #writing = false;
  #closed = false;

  constructor(options: RevisionStoreOptions) {
    this.#options = options;
    this.#parts = options.keeps === "objects" ? new SharedParts(options.freezes) : undefined;
    this.#revision = options.firstRevision - 1;
    this.#published = this.#revision;
    this.#oldest = this.#revision;
    this.#seen = this.#revision;
    this.#nextCompactionMs = options.clock.now() + options.windowMs;
    this.#expiry = new Expiry(options.clock, (entry) => this.#expire(entry));
  }

  get revision(): number {
    return this.#revision;
  }

  get oldestRevision(): number {
    this.#compactByClock();
    return this.#oldest;
  }

  get(collection: string, key: string): Version | undefined {
    return live(this.#collections.get(collection)?.entries.get(key));
  }

  revisionOf(collection: string): number {
    return this.#collections.get(collection)?.revision ?? 0;
  }

  list(
    collection: string,
    options: {
      readonly namespace?: string;
      readonly after?: string;
      readonly limit?: number;
      readonly atRevision?: number;
    } = {},
  ): { readonly items: readonly Version[]; readonly revision: number; readonly remaining: number } {
    const { namespace, after, limit = 0, atRevision = this.#revision } = options;
    if (atRevision < this.oldestRevision) throw new Compacted(atRevision, this.#oldest);
    const prefix = namespace === undefined ? "" : sortKeyOf(`${namespace}/`);
    const from = after === undefined ? "" : sortKeyOf(after);
    const items: Version[] = [];
    let remaining = 0;
    this.#collections.get(collection)?.index.scan(from > prefix ? from : prefix, after !== undefined, (entry) => {
      if (!entry.sortKey.startsWith(prefix)) return false;
      let state = entry.state;
      while (state !== undefined && state.revision > atRevision) state = state.older;
      if (state?.version === undefined) return true;
      if (limit > 0 && items.length >= limit) remaining++;
      else items.push(state.version);
      return true;
    });
    return { items, revision: Math.min(atRevision, this.#revision), remaining };
  }

  write(request: WriteRequest): Version {
    if (this.#closed) throw new Error("the store is closed");
    if (this.#writing) throw new Error(`${request.collection} ${request.key}: a write within a write`);
    this.#options.journal?.check();
    this.#compactByClock();
    const collection = this.#collection(request.collection);
    const entry = collection.entries.get(request.key);
    const previous = live(entry);
    if ((previous?.revision ?? 0) !== request.expected || (request.delete === true && previous === undefined)) {
      throw new WriteConflict(request.key, previous);
    }
    const revision = this.#revision + 1;
    this.#writing = true;
    let made: ReturnType<WriteRequest["make"]>;
    try {
      made = request.make(revision);
    } finally {
      this.#writing = false;
    }
    const deleted = request.delete === true;
    const index = made.index ?? (deleted ? (previous?.index ?? "") : "");
    const version = this.#versionOf(collection, { key: request.key, revision, index }, made.object, previous);
    const expiresMs =
      request.ttlSeconds === undefined || deleted ? 0 : this.#options.clock.now() + request.ttlSeconds * 1000;
    const stored: StoredVersion = { collection: request.collection, version, deleted, expiresMs };
    const state = this.#apply(stored);
    this.#options.journal?.append(stored);
    this.#unpublished.push(state);
    if (this.#options.journal === undefined) this.publish(revision);
    this.#trim(trimPerWrite);
    if (this.#historyBytes > this.#options.historyLimitBytes) this.#shorten();
    return version;
  }

  durable(revision: number): Promise<void> | undefined {
    return this.#options.journal?.durable(revision);
  }

  watch(collectionName: string, after: number, scope: Parameters<Store["watch"]>[2] = {}): ReturnType<Store["watch"]> {
    if (after < this.oldestRevision) throw new Compacted(after, this.#oldest);
    const collection = this.#collection(collectionName);
    const history: StoreEvent[] = [];
    const published = this.#published;
    collection.log.scan(after, ({ revision, event }) => {
      if (revision > published) return false;
      if (event !== undefined && inScope(scope, event)) history.push(event);
      return true;
    });
    return collection.watches.open(after, scope, history, () => this.#published);
  }

  compact(revision?: number): void {
    if (revision === undefined) this.#compactByClock();
    else this.#compactTo(revision);
    this.#trim(Number.POSITIVE_INFINITY);
  }

  stats(): ReturnType<Store["stats"]> {
    return {
      objects: this.#objects,
      bytes: this.#bytes,
      historyEvents: this.#log.length,
      historyBytes: this.#historyBytes,
    };
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#expiry.stop();
    await this.#options.journal?.close();
    for (const { watches } of this.#collections.values()) watches.fail(new Error("the store is closed"));
  }

  /** Takes back what a journal kept; in revision order, before anything else is done. */
  restore(stored: StoredVersion): void {
    this.#apply(stored);
  }

  /** Ends the restoring: the revision goes on from here, history begins at `oldest`. */
  restored(revision: number, oldest: number): void {
    this.#revision = Math.max(this.#revision, revision);
    this.#published = this.#revision;
    this.#seen = this.#revision;
    this.#oldest = Math.min(oldest, this.#revision);
    this.#trim(Number.POSITIVE_INFINITY);
  }

  /** Tells watchers of all writes up to the revision. */
  publish(revision: number): void {
    let count = 0;
    for (const state of this.#unpublished) {
      if (state.revision > revision) break;
      count++;
      if (state.event !== undefined) state.entry.collection.watches.publish(state.event);
    }
    this.#unpublished.splice(0, count);
    this.#published = Math.max(this.#published, Math.min(revision, this.#revision));
  }

  /** Takes back writes after the revision, which could not be made durable and that nobody has been told of. */
  rollBack(revision: number): void {
    while ((this.#log.last?.revision ?? 0) > revision) {
      const state = this.#log.pop();
      if (state === undefined) break;
      const { entry, older } = state;
      entry.collection.log.pop();
      const after = state.version?.size ?? 0;
      const before = older?.version?.size ?? 0;
      this.#bytes += before - after;
      this.#objects += (older?.version === undefined ? 0 : 1) - (state.version === undefined ? 0 : 1);
      this.#historyBytes -= before + (state.version === undefined ? (state.event?.object.size ?? 0) : 0);
      entry.state = older;
      if (older === undefined) this.#remove(entry);
    }
    this.#unpublished.length = 0;
    this.#revision = Math.min(this.#revision, revision);
    // Nothing can be written any more.
    this.#expiry.stop();
  }

  #collection(name: string): Collection {
    let collection = this.#collections.get(name);
    if (collection === undefined) {
      collection = {
        name,
        entries: new Map(),
        index: new KeyIndex(),
        log: new RevisionLog(),
        watches: new WatchHub((deliver) => void setImmediate(deliver)),
        revision: 0,
        sizeEstimate: 0,
        writesUntilMeasured: 0,
      };
      this.#collections.set(name, collection);
    }
    return collection;
  }

  #versionOf(
    collection: Collection,
    place: ConstructorParameters<typeof Version>[0],
    object: Draft,
    previous: Version | undefined,
  ): Version {
    if (this.#parts === undefined) return new Version(place, { bytes: encodeObject(object) });
    const settled = this.#parts.settle(object, previous?.kept);
    const version = new Version(place, { object: settled }, collection.sizeEstimate || undefined);
    if (collection.writesUntilMeasured-- === 0 || collection.sizeEstimate === 0) {
      collection.sizeEstimate = version.bytes.length;
      collection.writesUntilMeasured = writesBetweenMeasures;
    }
    return version;
  }

  #apply({ collection: name, version, deleted, expiresMs }: StoredVersion): State {
    const collection = this.#collection(name);
    let entry = collection.entries.get(version.key);
    if (entry === undefined) {
      entry = { collection, key: version.key, sortKey: sortKeyOf(version.key), state: undefined };
      collection.entries.set(version.key, entry);
      collection.index.insert(entry);
    }
    const older = entry.state;
    const previous = older?.version;
    const type = deleted ? "DELETED" : previous === undefined ? "ADDED" : "MODIFIED";
    const state: State = {
      revision: version.revision,
      entry,
      version: deleted ? undefined : version,
      older,
      event: { type, revision: version.revision, object: version, previous },
    };
    entry.state = state;
    collection.log.append(state);
    collection.revision = version.revision;
    this.#log.append(state);
    this.#revision = version.revision;
    this.#objects += (deleted ? 0 : 1) - (previous === undefined ? 0 : 1);
    this.#bytes += (deleted ? 0 : version.size) - (previous?.size ?? 0);
    this.#historyBytes += (previous?.size ?? 0) + (deleted ? version.size : 0);
    if (expiresMs > 0) this.#expiry.set(entry, expiresMs);
    else this.#expiry.clear(entry);
    return state;
  }

  #expire(entry: Entry): void {
    const version = live(entry);
    if (version === undefined || this.#closed) return;
    this.write({
      collection: entry.collection.name,
      key: entry.key,
      expected: version.revision,
      delete: true,
      make: (revision) => ({ object: withRevision(version.object, revision) }),
    });
  }

  #compactByClock(): void {
    const { clock, windowMs } = this.#options;
    const now = clock.now();
    if (now < this.#nextCompactionMs) return;
    const windows = Math.floor((now - this.#nextCompactionMs) / windowMs) + 1;
    this.#nextCompactionMs += windows * windowMs;
    // At rest for more than a window: the second of the missed compactions would have come as far as the newest write.
    const target = windows > 1 ? this.#revision : this.#seen;
    this.#seen = this.#revision;
    this.#compactTo(target);
  }

  #compactTo(revision: number): void {
    const oldest = Math.min(revision, this.#published);
    if (oldest <= this.#oldest) return;
    this.#oldest = oldest;
    for (const { watches } of this.#collections.values()) watches.compact(oldest);
    this.#options.journal?.compacted(oldest);
  }

  /** Lets go of versions that nobody may ask for any more. */
  #trim(limit: number): void {
    for (let count = 0; count < limit; count++) {
      const state = this.#log.first;
      if (state === undefined || state.revision > this.#oldest) return;
      this.#log.shift();
      const { entry, older } = state;
      entry.collection.log.shift();
      if (older !== undefined) {
        this.#historyBytes -= older.version?.size ?? 0;
        this.#options.journal?.drop(older.revision);
        state.older = undefined;
      }
      if (state.version === undefined) this.#historyBytes -= state.event?.object.size ?? 0;
      state.event = undefined;
      if (state.version === undefined && entry.state === state) {
        this.#options.journal?.drop(state.revision);
        this.#remove(entry);
      }
    }
  }

  /** History has outgrown its memory: forgets a twentieth of it. */
  #shorten(): void {
    const target = this.#options.historyLimitBytes * 0.95;
    while (this.#historyBytes > target) {
      const first = this.#log.first;
      if (first === undefined || first.revision > this.#published) return;
      this.#oldest = Math.max(this.#oldest, first.revision);
      this.#trim(1);
    }
    for (const { watches } of this.#collections.values()) watches.compact(this.#oldest);
    this.#options.journal?.compacted(this.#oldest);
  }

  #remove(entry: Entry): void {
    entry.collection.entries.delete(entry.key);
    entry.collection.index.remove(entry);
  }
}
