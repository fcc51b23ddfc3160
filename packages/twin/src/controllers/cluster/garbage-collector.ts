import {
  createController,
  createRestMapper,
  CustomResourceDefinitions,
  groupResourceOf,
  isConflict,
  isNotFound,
  keyOf,
} from "@fleetwright/kube";
import type { DeleteOptions, KubeObject, ObjectKey, OwnerReference, Resource } from "@fleetwright/kube";
import { channel } from "@fleetwright/kube";
import type { ControllerContext, Controllers, Part } from "../context.ts";
import {
  awaitsDependents,
  foregroundFinalizer,
  isGoing,
  leavesOrphans,
  orphanFinalizer,
  OwnershipGraph,
  ownersOf,
} from "./ownership-graph.ts";
import { servedKinds } from "./served-kinds.ts";

const name = "generic-garbage-collector";
/** Their owners come and go without them (`DefaultIgnoredResources`). */
const ignoredKinds = new Set(["events", "events.events.k8s.io"]);
const maxAbsent = 500;

/** Deletes what has lost its owners (pkg/controller/garbagecollector). */
export const garbageCollector: Controllers = (context) => [start(context)];

function start(context: ControllerContext): Part {
  const { cache, clock, logger } = context;
  const client = context.clientOf(name);
  const events = context.eventsOf("garbage-collector-controller", name);
  const definitions = cache.informer(CustomResourceDefinitions);
  const graph = new OwnershipGraph();
  const work = channel();
  const mapper = createRestMapper(client, { clock });
  const followed = new Set<string>();
  /** UIDs of owners that the server does not have, the newest last. */
  const absent = new Set<string>();
  let isStarting = true;

  const enqueue = (uid: string): void => work.enqueue({ name: uid });

  function follow(resource: Resource): void {
    const id = groupResourceOf(resource);
    if (followed.has(id) || ignoredKinds.has(id)) return;
    followed.add(id);
    const informer = cache.informer(resource as Resource<KubeObject>);
    informer.addHandler({
      added: (object) => see(undefined, object),
      updated: see,
      deleted(object) {
        const { uid = "" } = object.metadata;
        graph.remove(uid, object);
        for (const dependent of graph.dependentsOf(uid)) enqueue(dependent);
        for (const owner of ownersOf(object)) lookAtOwner(owner);
      },
    });

    function see(before: KubeObject | undefined, after: KubeObject): void {
      const { uid = "" } = after.metadata;
      const isNewToUs = before === undefined;
      graph.put({ uid, resource, informer, key: keyOf(after) }, before, after);
      if (isStarting) return;
      if (isGoing(after) && (leavesOrphans(after) || awaitsDependents(after))) {
        enqueue(uid);
        if (awaitsDependents(after)) for (const dependent of graph.dependentsOf(uid)) enqueue(dependent);
      }
      const owners = ownersOf(after);
      if (owners.length === 0) return;
      const ownersChanged = isNewToUs || before.metadata.ownerReferences !== after.metadata.ownerReferences;
      if (ownersChanged && owners.some((owner) => isDoubtful(owner))) enqueue(uid);
      if (!isNewToUs) {
        for (const owner of ownersOf(before)) if (!owners.includes(owner)) lookAtOwner(owner);
      }
    }
  }

  function isDoubtful({ uid }: OwnerReference): boolean {
    const owner = graph.object(uid);
    return owner === undefined || isGoing(owner);
  }

  /** One that waits for its dependents may now have fewer. */
  function lookAtOwner({ uid }: OwnerReference): void {
    const owner = graph.object(uid);
    if (owner !== undefined && awaitsDependents(owner)) enqueue(uid);
  }

  async function followAll(signal: AbortSignal): Promise<void> {
    for (const resource of await servedKinds(client, ["delete", "list", "watch"], signal)) follow(resource);
  }

  async function reconcile({ name: uid }: { readonly name: string }): Promise<void> {
    const node = graph.node(uid);
    const object = graph.object(uid);
    if (node === undefined || object === undefined) return;
    if (leavesOrphans(object)) return orphanDependents(uid, object, node.resource, node.key);
    if (isGoing(object) && !awaitsDependents(object)) return;
    if (awaitsDependents(object)) return awaitDependents(uid, object, node.resource, node.key);
    if (ownersOf(object).length > 0) await judge(uid, object, node.resource, node.key);
  }

  /** Dependents of an owner that is to leave them lose their reference; then it goes. */
  async function orphanDependents(uid: string, object: KubeObject, resource: Resource, key: ObjectKey): Promise<void> {
    for (const dependent of graph.dependentsOf(uid)) {
      const node = graph.node(dependent);
      const orphan = graph.object(dependent);
      if (node !== undefined && orphan !== undefined)
        await withoutOwners(node.resource, node.key, orphan, new Set([uid]));
    }
    await withoutFinalizer(resource, key, object, orphanFinalizer);
  }

  async function awaitDependents(uid: string, object: KubeObject, resource: Resource, key: ObjectKey): Promise<void> {
    const blocking = graph.dependentsOf(uid).filter((dependent) => {
      const own = graph.object(dependent);
      return own !== undefined && ownersOf(own).some((owner) => owner.uid === uid && owner.blockOwnerDeletion === true);
    });
    if (blocking.length === 0) return withoutFinalizer(resource, key, object, foregroundFinalizer);
    for (const dependent of blocking) {
      const own = graph.object(dependent);
      if (own !== undefined && !awaitsDependents(own)) enqueue(dependent);
    }
  }

  /** Whether an object is to go, by how its owners are (`attemptToDeleteItem`). */
  async function judge(uid: string, object: KubeObject, resource: Resource, key: ObjectKey): Promise<void> {
    const [solid, dangling, waiting]: [OwnerReference[], OwnerReference[], OwnerReference[]] = [[], [], []];
    for (const owner of ownersOf(object)) {
      const state = await stateOf(owner, object, resource.namespaced);
      if (state === "unknown") return;
      (state === "absent" ? dangling : state === "waiting" ? waiting : solid).push(owner);
    }
    if (solid.length > 0) {
      const gone = [...dangling, ...waiting];
      if (gone.length > 0) await withoutOwners(resource, key, object, new Set(gone.map((owner) => owner.uid)));
      return;
    }
    const preconditions = { uid, resourceVersion: object.metadata.resourceVersion ?? "" };
    const dependents = graph.dependentsOf(uid);
    if (waiting.length > 0 && dependents.length > 0) {
      // Two that wait for each other would wait for ever.
      const isCircle = dependents.some((dependent) => {
        const own = graph.object(dependent);
        return own !== undefined && awaitsDependents(own);
      });
      if (isCircle) await unblock(resource, key, object);
      return remove(resource, key, { preconditions: { uid }, propagationPolicy: "Foreground" });
    }
    const { finalizers = [] } = object.metadata;
    const propagationPolicy = finalizers.includes(orphanFinalizer)
      ? "Orphan"
      : finalizers.includes(foregroundFinalizer)
        ? "Foreground"
        : "Background";
    await remove(resource, key, { preconditions, propagationPolicy });
  }

  async function stateOf(
    owner: OwnerReference,
    object: KubeObject,
    isNamespaced: boolean,
  ): Promise<"solid" | "absent" | "waiting" | "unknown"> {
    const known = graph.object(owner.uid);
    if (known !== undefined) return awaitsDependents(known) ? "waiting" : "solid";
    if (absent.has(owner.uid)) return "absent";
    let resource: Resource;
    try {
      resource = await mapper.kindFor({ apiVersion: owner.apiVersion, kind: owner.kind });
    } catch {
      // A kind that is not served (now): nobody knows whether the owner is there.
      return "unknown";
    }
    if (resource.namespaced && !isNamespaced) {
      const message = `ownerRef [${owner.apiVersion}/${owner.kind}, namespace: , name: ${owner.name}, uid: ${owner.uid}] does not exist in namespace ""`;
      events.event({ about: object, type: "Warning", reason: "OwnerRefInvalidNamespace", message });
      return "unknown";
    }
    const namespace = resource.namespaced ? object.metadata.namespace : undefined;
    try {
      const live = await client.get(resource, { name: owner.name, ...(namespace === undefined ? {} : { namespace }) });
      if (live.metadata.uid === owner.uid) return awaitsDependents(live) ? "waiting" : "solid";
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
    absent.add(owner.uid);
    for (const oldest of absent) {
      if (absent.size <= maxAbsent) break;
      absent.delete(oldest);
    }
    return "absent";
  }

  async function remove(resource: Resource, key: ObjectKey, options: DeleteOptions): Promise<void> {
    await client.delete(resource, key, options).catch(ignoreGone);
  }

  async function unblock(resource: Resource, key: ObjectKey, object: KubeObject): Promise<void> {
    const ownerReferences = ownersOf(object).map((owner) => ({ ...owner, blockOwnerDeletion: false }));
    await patch(resource, key, object, { ownerReferences });
  }

  async function withoutOwners(
    resource: Resource,
    key: ObjectKey,
    object: KubeObject,
    uids: ReadonlySet<string>,
  ): Promise<void> {
    const left = ownersOf(object).filter(({ uid }) => !uids.has(uid));
    await patch(resource, key, object, { ownerReferences: left.length === 0 ? null : left });
  }

  async function withoutFinalizer(
    resource: Resource,
    key: ObjectKey,
    object: KubeObject,
    finalizer: string,
  ): Promise<void> {
    const finalizers = (object.metadata.finalizers ?? []).filter((each) => each !== finalizer);
    await patch(resource, key, object, { finalizers: finalizers.length === 0 ? null : finalizers });
  }

  /** Of the very version that was looked at: a conflict means another look. */
  async function patch(resource: Resource, key: ObjectKey, { metadata }: KubeObject, change: object): Promise<void> {
    const { uid, resourceVersion } = metadata;
    await client
      .patch(resource, key, { type: "merge", patch: { metadata: { uid, resourceVersion, ...change } } })
      .catch(ignoreGone);
  }

  const controller = createController({
    name: "garbage-collector",
    reconciler: {
      async reconcile(request) {
        try {
          await reconcile(request);
        } catch (error) {
          // The cache is behind; the event that brings it up to date may not lead here.
          if (isConflict(error)) return { requeueAfterMs: 50 };
          throw error;
        }
        return {};
      },
    },
    sources: [work],
    concurrency: 20,
    clock,
    logger,
  });

  return {
    name: controller.name,
    async start(signal) {
      const working = controller.start(signal);
      // New kinds: what they own is looked up when they come, and followed from then on.
      const remove = definitions.addHandler({
        updated: () => void followAll(signal).catch((error: unknown) => complain(error, signal)),
      });
      try {
        await followAll(signal);
        await cache.waitForSync(signal);
        isStarting = false;
        lookAtAll();
      } catch (error) {
        complain(error, signal);
      }
      await working;
      remove();
    },
  };

  function complain(error: unknown, signal: AbortSignal): void {
    if (!signal.aborted) logger.error({ error }, "the garbage collector could not learn of all kinds");
  }

  /** What went missing while nobody looked. */
  function lookAtAll(): void {
    for (const uid of graph.uids()) {
      const object = graph.object(uid);
      if (object === undefined) continue;
      if (leavesOrphans(object) || awaitsDependents(object) || ownersOf(object).some(isDoubtful)) enqueue(uid);
    }
  }
}

function ignoreGone(error: unknown): void {
  if (!isNotFound(error)) throw error;
}
