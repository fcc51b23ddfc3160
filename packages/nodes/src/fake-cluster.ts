import { ApiError, keyOf, keyString } from "@fleetwright/kube";
import type { Cache, Client, Informer, InformerHandler, KubeObject, ObjectKey, Resource } from "@fleetwright/kube";

/** A call that the simulated nodes made. */
interface FakeCall {
  readonly verb: "get" | "create" | "update" | "patch" | "delete";
  readonly plural: string;
  readonly key: string;
  readonly at: number;
}

/** What a test needs of an API server, in memory: stores of objects, and informers that see each change at once or late. */
export interface FakeCluster {
  readonly client: Client;
  readonly cache: Cache;
  readonly calls: readonly FakeCall[];
  put(resource: Resource, object: KubeObject): void;
  find(resource: Resource, key: ObjectKey): KubeObject | undefined;
  remove(resource: Resource, key: ObjectKey): void;
  /** The next calls that match fail like this. */
  failNext(verb: FakeCall["verb"], plural: string, error: Error, times?: number): void;
  /** While held, changes do not reach the informers. */
  holdEvents(): () => void;
}

export function createFakeCluster(now: () => number): FakeCluster {
  const stores = new Map<string, FakeStore>();
  const calls: FakeCall[] = [];
  const failures: { verb: string; plural: string; error: Error; left: number }[] = [];
  let held: (() => void)[] | undefined;
  let version = 0;

  const storeOf = (resource: Resource): FakeStore => {
    const store =
      stores.get(resource.plural) ?? new FakeStore(resource, (notify) => (held ? held.push(notify) : notify()));
    stores.set(resource.plural, store);
    return store;
  };
  const begin = async (verb: FakeCall["verb"], resource: Resource, key: ObjectKey): Promise<FakeStore> => {
    calls.push({ verb, plural: resource.plural, key: keyString(key), at: now() });
    await Promise.resolve();
    const failure = failures.find((it) => it.verb === verb && it.plural === resource.plural && it.left > 0);
    if (failure) {
      failure.left--;
      throw failure.error;
    }
    return storeOf(resource);
  };
  const stamped = (object: KubeObject, uid: string | undefined): KubeObject => {
    version++;
    return {
      ...object,
      metadata: { ...object.metadata, uid: uid ?? `uid-${version}`, resourceVersion: String(version) },
    };
  };
  const present = (store: FakeStore, key: ObjectKey): KubeObject => {
    const object = store.objects.get(keyString(key));
    if (object === undefined) throw refusal(404, "NotFound");
    return object;
  };

  const client = {
    async get(resource: Resource, key: ObjectKey) {
      return present(await begin("get", resource, key), key);
    },
    async create(resource: Resource, object: KubeObject) {
      const store = await begin("create", resource, keyOf(object));
      if (store.objects.has(keyString(keyOf(object)))) throw refusal(409, "AlreadyExists");
      return store.set(stamped(object, undefined));
    },
    async update(resource: Resource, object: KubeObject) {
      const store = await begin("update", resource, keyOf(object));
      const before = present(store, keyOf(object));
      if (before.metadata.resourceVersion !== object.metadata.resourceVersion) throw refusal(409, "Conflict");
      return store.set(stamped(object, before.metadata.uid));
    },
    async patch(resource: Resource, key: ObjectKey, body: { readonly patch: { metadata?: { uid?: string } } }) {
      const store = await begin("patch", resource, key);
      const before = present(store, key);
      const { metadata, ...rest } = body.patch;
      if (metadata?.uid !== undefined && metadata.uid !== before.metadata.uid) throw refusal(409, "Conflict");
      return store.set(stamped(mergeFake(before, rest) as KubeObject, before.metadata.uid));
    },
    async delete(resource: Resource, key: ObjectKey, options: { preconditions?: { uid?: string } } = {}) {
      const store = await begin("delete", resource, key);
      const before = present(store, key);
      const uid = options.preconditions?.uid;
      if (uid !== undefined && uid !== before.metadata.uid) throw refusal(409, "Conflict");
      store.delete(key);
    },
  } as unknown as Client;
  const cache: Cache = {
    informer: <T extends KubeObject>(resource: Resource<T>) => storeOf(resource) as unknown as Informer<T>,
    run: () => Promise.resolve(),
    waitForSync: () => Promise.resolve(),
  };
  return {
    client,
    cache,
    calls,
    put: (resource, object) => void storeOf(resource).set(stamped(object, object.metadata.uid)),
    find: (resource, key) => storeOf(resource).objects.get(keyString(key)),
    remove: (resource, key) => storeOf(resource).delete(key),
    failNext: (verb, plural, error, times = 1) => void failures.push({ verb, plural, error, left: times }),
    holdEvents() {
      const waiting: (() => void)[] = [];
      held = waiting;
      return () => {
        held = undefined;
        for (const notify of waiting) notify();
      };
    },
  };
}

/** A kind's objects, and the informer of them. */
class FakeStore implements Informer<KubeObject> {
  readonly resource: Resource;
  readonly objects = new Map<string, KubeObject>();
  readonly #seen = new Map<string, KubeObject>();
  readonly #handlers = new Set<InformerHandler<KubeObject>>();
  readonly #publish: (notify: () => void) => void;
  readonly resourceVersion = "";

  constructor(resource: Resource, publish: (notify: () => void) => void) {
    this.resource = resource;
    this.#publish = publish;
  }
  get size(): number {
    return this.#seen.size;
  }
  get(key: ObjectKey): KubeObject | undefined {
    return this.#seen.get(keyString(key));
  }
  list(): readonly KubeObject[] {
    return [...this.#seen.values()];
  }
  byIndex(): readonly KubeObject[] {
    return [];
  }
  synced(): boolean {
    return true;
  }
  addHandler(handler: InformerHandler<KubeObject>): () => void {
    this.#handlers.add(handler);
    for (const object of this.#seen.values()) handler.added?.(object, true);
    return () => this.#handlers.delete(handler);
  }
  set(object: KubeObject): KubeObject {
    const key = keyString(keyOf(object));
    this.objects.set(key, object);
    this.#publish(() => {
      const before = this.#seen.get(key);
      this.#seen.set(key, object);
      for (const handler of this.#handlers)
        if (before) handler.updated?.(before, object);
        else handler.added?.(object, false);
    });
    return object;
  }
  delete(key: ObjectKey): void {
    this.objects.delete(keyString(key));
    this.#publish(() => {
      const before = this.#seen.get(keyString(key));
      this.#seen.delete(keyString(key));
      if (before) for (const handler of this.#handlers) handler.deleted?.(before);
    });
  }
}

const refusal = (code: number, reason: string): ApiError => new ApiError(code, { code, reason, message: reason });

/** Merges maps; conditions by type; everything else is replaced, and null taken away. */
function mergeFake(before: unknown, patch: unknown): unknown {
  if (
    Array.isArray(patch) &&
    Array.isArray(before) &&
    patch.every((item) => typeof item === "object" && "type" in item)
  ) {
    const merged = new Map<unknown, unknown>(before.map((item: { type: unknown }) => [item.type, item]));
    for (const item of patch as { type: unknown }[])
      merged.set(item.type, mergeFake(merged.get(item.type) ?? {}, item));
    return [...merged.values()];
  }
  if (typeof patch !== "object" || patch === null || Array.isArray(patch)) return patch;
  const merged: Record<string, unknown> = { ...(before as object) };
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete merged[name];
    else merged[name] = mergeFake(merged[name], value);
  }
  return merged;
}
