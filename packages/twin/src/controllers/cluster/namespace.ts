import { createController, groupResourceOf, isNotFound, Namespaces, timeText, watch } from "@fleetwright/kube";
import type { Client, DiscoveredResource, KubeObject, Namespace, NamespaceCondition } from "@fleetwright/kube";
import type { ControllerContext, Controllers, Part } from "../context.ts";
import { sameValue } from "../same-value.ts";
import { servedKinds } from "./served-kinds.ts";

const finalizer = "kubernetes";
const name = "namespace-controller";

/** Empties namespaces that are going, then lets them go (pkg/controller/namespace). */
export const namespaceController: Controllers = (context) => [start(context)];

/** What is left in a namespace. */
interface Left {
  readonly kinds: ReadonlyMap<string, number>;
  readonly finalizers: ReadonlyMap<string, number>;
  readonly problems: readonly string[];
  /** How long to give what is there, in seconds. */
  readonly estimate: number;
}

function start({ cache, clientOf, clock, logger }: ControllerContext): Part {
  const namespaces = cache.informer(Namespaces);
  const client = clientOf(name);
  return createController({
    name: "namespace",
    reconciler: {
      async reconcile(request, signal) {
        const namespace = namespaces.get(request);
        if (namespace === undefined || namespace.metadata.deletionTimestamp === undefined) return;
        if (!(namespace.spec?.finalizers ?? []).includes(finalizer)) return;
        let current: Namespace = namespace;
        if (current.status?.phase !== "Terminating") {
          current = await client.updateStatus(Namespaces, {
            ...current,
            status: { ...current.status, phase: "Terminating" },
          });
        }
        const left = await empty(client, request.name, signal);
        const conditions = conditionsOf(current.status?.conditions ?? [], left, clock.now());
        if (!sameValue(conditions, current.status?.conditions ?? [])) {
          current = await client.updateStatus(Namespaces, {
            ...current,
            status: { ...current.status, phase: "Terminating", conditions },
          });
        }
        if (left.problems.length > 0) throw new Error(left.problems.join("; "));
        if (left.kinds.size > 0) return { requeueAfterMs: Math.max(1, Math.floor(left.estimate / 2) + 1) * 1000 };
        const finalizers = (current.spec?.finalizers ?? []).filter((each) => each !== finalizer);
        await client.update(Namespaces, { ...current, spec: { finalizers } }, { subresource: "finalize" });
        return;
      },
    },
    // Upstream waits five seconds, so that caches of others see the deletion.
    sources: [
      {
        start: (enqueue) =>
          watch(namespaces, { predicates: [{ deleted: () => false, updated: isGoing, added: isGoingNow }] }).start(
            (request) => enqueue(request, { afterMs: graceMs }),
          ),
      },
    ],
    concurrency: 10,
    clock,
    logger,
  });
}

const graceMs = 5_000;
const isGoingNow = ({ metadata }: Namespace): boolean => metadata.deletionTimestamp !== undefined;
const isGoing = (before: Namespace, after: Namespace): boolean =>
  isGoingNow(after) &&
  !sameValue([before.metadata.deletionTimestamp, before.spec], [after.metadata.deletionTimestamp, after.spec]);

/** Deletes what there is, pods first and alone (KEP-5080, ordered namespace deletion). */
async function empty(client: Client, namespace: string, signal: AbortSignal): Promise<Left> {
  const kinds = (await servedKinds(client, ["delete"], signal)).filter(
    ({ namespaced, verbs }) => namespaced && verbs.includes("list"),
  );
  const left = {
    kinds: new Map<string, number>(),
    finalizers: new Map<string, number>(),
    problems: [] as string[],
    estimate: 0,
  };
  const pods = kinds.filter((kind) => groupResourceOf(kind) === "pods");
  for (const kind of pods) await emptyKind(client, namespace, kind, left);
  if (left.kinds.size > 0) return left;
  for (const kind of kinds) if (!pods.includes(kind)) await emptyKind(client, namespace, kind, left);
  return left;
}

async function emptyKind(
  client: Client,
  namespace: string,
  kind: DiscoveredResource,
  left: { kinds: Map<string, number>; finalizers: Map<string, number>; problems: string[]; estimate: number },
): Promise<void> {
  try {
    const before = await client.list(kind, { namespace });
    if (before.items.length === 0) return;
    if (kind.verbs.includes("deletecollection"))
      await client.deleteCollection(kind, { namespace, propagationPolicy: "Background" });
    else {
      for (const { metadata } of before.items) {
        await client
          .delete(kind, { namespace, name: metadata.name ?? "" }, { propagationPolicy: "Background" })
          .catch(ignoreGone);
      }
    }
    const { items } = await client.list(kind, { namespace });
    if (items.length === 0) return;
    left.kinds.set(groupResourceOf(kind), items.length);
    for (const item of items) {
      for (const each of item.metadata.finalizers ?? [])
        left.finalizers.set(each, (left.finalizers.get(each) ?? 0) + 1);
      left.estimate = Math.max(left.estimate, secondsFor(item, kind));
    }
  } catch (error) {
    // The kind itself has gone meanwhile.
    if (!isNotFound(error)) left.problems.push(error instanceof Error ? error.message : String(error));
  }
}

function ignoreGone(error: unknown): void {
  if (!isNotFound(error)) throw error;
}

/** Pods need their grace period; what waits for finalizers is looked at again soon. */
function secondsFor({ metadata }: KubeObject, kind: DiscoveredResource): number {
  if (kind.plural !== "pods" || kind.group !== "") return 15;
  return (metadata.finalizers?.length ?? 0) > 0 ? 15 : Math.max(1, metadata.deletionGracePeriodSeconds ?? 30);
}

const texts = (counts: ReadonlyMap<string, number>, text: (name: string, count: number) => string): string =>
  [...counts]
    .toSorted(([left], [right]) => (left < right ? -1 : 1))
    .map(([each, count]) => text(each, count))
    .join(", ");

/** `status_condition_utils.go` */
function conditionsOf(before: readonly NamespaceCondition[], left: Left, now: number): readonly NamespaceCondition[] {
  const { kinds, finalizers, problems } = left;
  const wanted = [
    {
      type: "NamespaceDeletionDiscoveryFailure",
      bad: undefined,
      good: "All resources successfully discovered",
      reason: "ResourcesDiscovered",
    },
    {
      type: "NamespaceDeletionGroupVersionParsingFailure",
      bad: undefined,
      good: "All legacy kube types successfully parsed",
      reason: "ParsedGroupVersions",
    },
    {
      type: "NamespaceDeletionContentFailure",
      bad:
        problems.length === 0
          ? undefined
          : {
              reason: "ContentDeletionFailed",
              message: `Failed to delete all resource types, ${problems.length} remaining: ${problems.join(", ")}`,
            },
      good: "All content successfully deleted, may be waiting on finalization",
      reason: "ContentDeleted",
    },
    {
      type: "NamespaceContentRemaining",
      bad:
        kinds.size === 0
          ? undefined
          : {
              reason: "SomeResourcesRemain",
              message: `Some resources are remaining: ${texts(kinds, (kind, count) => `${kind.includes(".") ? kind : `${kind}.`} has ${count} resource instances`)}`,
            },
      good: "All content successfully removed",
      reason: "ContentRemoved",
    },
    {
      type: "NamespaceFinalizersRemaining",
      bad:
        finalizers.size === 0
          ? undefined
          : {
              reason: "SomeFinalizersRemain",
              message: `Some content in the namespace has finalizers remaining: ${texts(finalizers, (each, count) => `${each} in ${count} resource instances`)}`,
            },
      good: "All content-preserving finalizers finished",
      reason: "ContentHasNoFinalizers",
    },
  ];
  return wanted.map(({ type, bad, good, reason }) => {
    const next =
      bad === undefined ? { type, status: "False", reason, message: good } : { type, status: "True", ...bad };
    const known = before.find((condition) => condition.type === type);
    if (
      known !== undefined &&
      known.status === next.status &&
      known.reason === next.reason &&
      known.message === next.message
    )
      return known;
    const since = known?.status === next.status ? known.lastTransitionTime : undefined;
    return { ...next, lastTransitionTime: since ?? timeText(now) };
  });
}
