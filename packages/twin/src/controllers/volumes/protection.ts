import {
  createController,
  hasFinalizer,
  isBeingDeleted,
  isNotFound,
  PersistentVolumeClaims,
  PersistentVolumes,
  Pods,
  watch,
} from "@fleetwright/kube";
import type { Client, KubeObject, Pod, Resource } from "@fleetwright/kube";
import { batched } from "../batched.ts";
import type { ControllerContext, Controllers, Part } from "../context.ts";
import { isFinished, isTerminating } from "../pods/pod-state.ts";
import { retryConflicts } from "../retry-conflicts.ts";
import { byClaim, claimIndex, claimText, holdsClaim } from "./claim-use.ts";

const claimFinalizer = "kubernetes.io/pvc-protection";
const volumeFinalizer = "kubernetes.io/pv-protection";
const unsettledIndex = "unsettled-protection";

/** Keeps deleted claims while pods use them (pkg/controller/volume/pvcprotection). */
export const claimProtectionController: Controllers = (context) => [protectClaims(context)];

/** Keeps deleted volumes while they are bound (pkg/controller/volume/pvprotection). */
export const volumeProtectionController: Controllers = (context) => [protectVolumes(context)];

/** It goes and waits for us, or it stays and lacks the finalizer. */
const isUnsettled = (object: KubeObject, finalizer: string): boolean =>
  isBeingDeleted(object) === hasFinalizer(object, finalizer);

/** A namespace at a time: its pods are listed once for all claims that go together. */
function protectClaims({ cache, clientOf, clock, logger }: ControllerContext): Part {
  const claims = cache.informer(PersistentVolumeClaims, {
    indexes: {
      [unsettledIndex]: (claim) => (isUnsettled(claim, claimFinalizer) ? [claim.metadata.namespace ?? ""] : []),
    },
  });
  const pods = cache.informer(Pods, { indexes: { [claimIndex]: byClaim } });
  const client = clientOf("pvc-protection-controller");

  async function reconcile({ name: namespace }: { readonly name: string }): Promise<undefined> {
    let live: readonly Pod[] | undefined;
    for (const claim of claims.byIndex(unsettledIndex, namespace)) {
      const known = pods.byIndex(claimIndex, claimText(namespace, claim.metadata.name));
      if (isBeingDeleted(claim)) {
        if (known.some((pod) => holdsClaim(pod, claim))) continue;
        // The cache may not know the newest pod yet, and what is let go does not come back.
        live ??= (await client.list(Pods, { namespace })).items;
        if (live.some((pod) => holdsClaim(pod, claim))) continue;
      }
      await toggle(client, PersistentVolumeClaims, claim, claimFinalizer);
    }
    return undefined;
  }

  return createController({
    name: "pvc-protection",
    reconciler: retryConflicts(reconcile),
    sources: [
      batched(
        watch(claims, {
          map: (claim) => (isUnsettled(claim, claimFinalizer) ? [{ name: claim.metadata.namespace ?? "" }] : []),
          predicates: [{ deleted: () => false }],
        }),
      ),
      batched(
        watch(pods, {
          map: ({ metadata }) => [{ name: metadata.namespace ?? "" }],
          predicates: [{ added: mayFree, updated: (_, pod) => mayFree(pod), deleted: namesClaims }],
        }),
      ),
    ],
    clock,
    logger,
  });
}

const namesClaims = (pod: Pod): boolean => byClaim(pod).length > 0;

/** A pod that runs holds its claims; nothing is to be learned from it. */
const mayFree = (pod: Pod): boolean =>
  (isFinished(pod) || isTerminating(pod) || (pod.spec?.nodeName ?? "") === "") && namesClaims(pod);

function protectVolumes({ cache, clientOf, clock, logger }: ControllerContext): Part {
  const volumes = cache.informer(PersistentVolumes);
  const client = clientOf("pv-protection-controller");
  return createController({
    name: "pv-protection",
    reconciler: retryConflicts(async (key) => {
      const volume = volumes.get(key);
      if (volume === undefined || !isUnsettled(volume, volumeFinalizer)) return;
      if (isBeingDeleted(volume) && volume.status?.phase === "Bound") return;
      await toggle(client, PersistentVolumes, volume, volumeFinalizer);
    }),
    sources: [watch(volumes)],
    clock,
    logger,
  });
}

/** By an update, since that is all that their roles allow. */
async function toggle<T extends KubeObject>(
  client: Client,
  resource: Resource<T>,
  object: T,
  finalizer: string,
): Promise<void> {
  const { finalizers = [] } = object.metadata;
  const changed = finalizers.includes(finalizer)
    ? finalizers.filter((each) => each !== finalizer)
    : [...finalizers, finalizer];
  try {
    await client.update(resource, { ...object, metadata: { ...object.metadata, finalizers: changed } });
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}
