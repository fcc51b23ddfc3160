import {
  createController,
  isNotFound,
  PersistentVolumeClaims,
  PersistentVolumes,
  Pods,
  StorageClasses,
  watch,
} from "@fleetwright/kube";
import type {
  Clock,
  ObjectKey,
  ObjectReference,
  PersistentVolume,
  PersistentVolumeClaim,
  ReconcileRequest,
  Source,
} from "@fleetwright/kube";
import type { ControllerContext, Controllers, Part } from "../context.ts";
import { isFinished } from "../pods/pod-state.ts";
import { retryConflicts } from "../retry-conflicts.ts";
import { byClaim, claimIndex, claimText } from "./claim-use.ts";
import { LatestObjects } from "./latest-objects.ts";
import { classOf, defaultClass, findVolume, hasClass, isKeptFor, mismatchOf, modesDiffer } from "./volume-match.ts";
import { deletionOf, isRecyclable, provisioningBy } from "./volume-plugins.ts";
import { bindCompleted, boundByController, hasAnnotation, VolumeWriter } from "./volume-writer.ts";

const name = "persistent-volume-binder";
/** `--pvclaimbinder-sync-period` */
const resyncMs = 15_000;
/** Volumes by their class while nobody claims them, by their claim from then on. */
const placeIndex = "place";
const selectedNode = "volume.kubernetes.io/selected-node";
const provisionedBy = "pv.kubernetes.io/provisioned-by";

/**
 * Binds claims and volumes to each other (pkg/controller/volume/persistentvolume). Not here: in-tree volumes that became CSI drivers, and the pod
 * that empties a recycled volume.
 */
export const volumeBinder: Controllers = (context) => [start(context)];

const keyOfRef = ({ namespace = "", name: refName = "" }: ObjectReference): ObjectKey => ({ namespace, name: refName });
const placeOfClass = (className: string): string => `class/${className}`;
const placeOfClaim = ({ namespace = "", name: claimName }: ObjectKey): string => `claim/${namespace}/${claimName}`;
const placesOf = (volume: PersistentVolume): readonly string[] => {
  const { claimRef } = volume.spec ?? {};
  return [claimRef === undefined ? placeOfClass(classOf(volume)) : placeOfClaim(keyOfRef(claimRef))];
};

function start({ cache, clientOf, eventsOf, clock, logger }: ControllerContext): Part {
  const volumeInformer = cache.informer(PersistentVolumes, { indexes: { [placeIndex]: placesOf } });
  const claimInformer = cache.informer(PersistentVolumeClaims);
  const classes = cache.informer(StorageClasses);
  const pods = cache.informer(Pods, { indexes: { [claimIndex]: byClaim } });
  const client = clientOf(name);
  const volumes = new LatestObjects(volumeInformer);
  const claims = new LatestObjects(claimInformer);
  const writer = new VolumeWriter(client, eventsOf("persistentvolume-controller", name), claims, volumes);

  async function syncUnboundClaim(claim: PersistentVolumeClaim): Promise<void> {
    const { volumeName = "" } = claim.spec ?? {};
    if (volumeName === "") return chooseVolume(claim);
    const volume = volumes.get({ name: volumeName });
    if (volume === undefined) return void (await writer.claimPhase(claim, "Pending"));
    const isFree = volume.spec?.claimRef === undefined;
    const problem = isFree ? mismatchOf(volume, claim) : undefined;
    if (problem !== undefined) {
      const message = `Cannot bind to requested volume "${volumeName}": ${problem}`;
      writer.say(claim, "Warning", { reason: "VolumeMismatch", message });
      return void (await writer.claimPhase(claim, "Pending"));
    }
    if (isFree || isKeptFor(volume, claim)) return writer.bind(volume, claim);
    const message = `volume "${volumeName}" already bound to a different claim.`;
    writer.say(claim, "Warning", { reason: "FailedBinding", message });
    if (hasAnnotation(claim, boundByController)) throw new Error(message);
    await writer.claimPhase(claim, "Pending");
  }

  async function chooseVolume(claim: PersistentVolumeClaim): Promise<void> {
    const className = classOf(claim);
    const waits = classes.get({ name: className })?.volumeBindingMode === "WaitForFirstConsumer";
    const { namespace = "", name: claimName = "" } = claim.metadata;
    const near = [placeOfClaim({ namespace, name: claimName }), placeOfClass(className)].flatMap((place) =>
      volumeInformer.byIndex(placeIndex, place),
    );
    const found = findVolume(
      claim,
      near.map((volume) => volumes.newest(volume)),
      waits,
    );
    if (found !== undefined) return writer.bind(found, claim);
    const standard = hasClass(claim) ? undefined : defaultClass(classes.list())?.metadata.name;
    if (standard !== undefined)
      return void (await writer.claim({ ...claim, spec: { ...claim.spec, storageClassName: standard } }));
    if (waits && !hasAnnotation(claim, selectedNode)) writer.say(claim, "Normal", whyWaiting(claim));
    else if (className !== "") return provision(claim, className);
    else {
      const message = "no persistent volumes available for this claim and no storage class is set";
      writer.say(claim, "Normal", { reason: "FailedBinding", message });
    }
    await writer.claimPhase(claim, "Pending");
  }

  function whyWaiting({ metadata }: PersistentVolumeClaim): { readonly reason: string; readonly message: string } {
    const waiting = pods
      .byIndex(claimIndex, claimText(metadata.namespace, metadata.name))
      .filter((pod) => !isFinished(pod) && (pod.spec?.nodeName ?? "") === "")
      .map((pod) => pod.metadata.name ?? "");
    if (waiting.length === 0)
      return {
        reason: "WaitForFirstConsumer",
        message: "waiting for first consumer to be created before binding",
      };
    const message = `waiting for pod${waiting.length > 1 ? "s" : ""} ${waiting.join(",")} to be scheduled`;
    return { reason: "WaitForPodScheduled", message };
  }

  async function provision(claim: PersistentVolumeClaim, className: string): Promise<void> {
    const provisioner = classes.get({ name: className })?.provisioner;
    if (provisioner === undefined) {
      const message = `storageclass.storage.k8s.io "${className}" not found`;
      return writer.say(claim, "Warning", { reason: "ProvisioningFailed", message });
    }
    const way = provisioningBy(provisioner);
    if (way.kind === "failed") {
      const begun = way.begins ? await writer.provisionedBy(claim, provisioner) : claim;
      return writer.say(begun, "Warning", { reason: "ProvisioningFailed", message: way.message });
    }
    const message =
      `Waiting for a volume to be created either by the external provisioner '${provisioner}' ` +
      "or manually by the system administrator. If volume creation is delayed, please verify that " +
      "the provisioner is running and correctly registered.";
    writer.say(await writer.provisionedBy(claim, provisioner), "Normal", { reason: "ExternalProvisioning", message });
  }

  async function syncBoundClaim(claim: PersistentVolumeClaim): Promise<void> {
    const { volumeName = "" } = claim.spec ?? {};
    const lost = (what: string) => ({ reason: "ClaimLost", message: `${what}. Data on the volume is lost!` });
    if (volumeName === "") return writer.lose(claim, lost("Bound claim has lost reference to PersistentVolume"));
    const volume = volumes.get({ name: volumeName });
    if (volume === undefined) return writer.lose(claim, lost("Bound claim has lost its PersistentVolume"));
    const { claimRef } = volume.spec ?? {};
    if (claimRef === undefined || claimRef.uid === claim.metadata.uid) return writer.bind(volume, claim);
    const message = "Two claims are bound to the same volume, this one is bound incorrectly";
    await writer.lose(claim, { reason: "ClaimMisbound", message });
  }

  /** @returns the claim to look at next */
  async function syncVolume(volume: PersistentVolume): Promise<ObjectKey | undefined> {
    const { claimRef, persistentVolumeReclaimPolicy: policy } = volume.spec ?? {};
    if (claimRef === undefined || (claimRef.uid ?? "") === "")
      return void (await writer.volumePhase(volume, "Available"));
    const claim = await claimOf(volume, claimRef);
    if (claim === undefined) return release(volume);
    const { volumeName = "" } = claim.spec ?? {};
    if (volumeName === volume.metadata.name) return void (await writer.volumePhase(volume, "Bound"));
    if (volumeName !== "") {
      if (hasAnnotation(volume, provisionedBy) && policy === "Delete") return release(volume);
      await writer.unbind(volume);
      return undefined;
    }
    if (!modesDiffer(claim, volume)) return keyOfRef(claimRef);
    const [to, of] = [`"${claim.metadata.name ?? ""}"`, `"${volume.metadata.name ?? ""}"`];
    const because = "due to incompatible volumeMode.";
    const reason = "VolumeMismatch";
    const toClaim = `Cannot bind PersistentVolume to requested PersistentVolumeClaim ${to} ${because}`;
    writer.say(volume, "Warning", { reason, message: toClaim });
    const ofVolume = `Cannot bind PersistentVolume ${of} to requested PersistentVolumeClaim ${because}`;
    writer.say(claim, "Warning", { reason, message: ofVolume });
    return undefined;
  }

  /** Whose the volume is; before it is taken for nobody's, the server is asked. */
  async function claimOf(
    { status }: PersistentVolume,
    claimRef: ObjectReference,
  ): Promise<PersistentVolumeClaim | undefined> {
    const known = claims.get(keyOfRef(claimRef));
    if (known?.metadata.uid === claimRef.uid) return known;
    const isOver = status?.phase === "Released" || status?.phase === "Failed";
    if (known === undefined && isOver) return undefined;
    try {
      const live = await client.get(PersistentVolumeClaims, keyOfRef(claimRef));
      return live.metadata.uid === claimRef.uid ? live : undefined;
    } catch (error) {
      if (!isNotFound(error)) throw error;
      return undefined;
    }
  }

  async function release(volume: PersistentVolume): Promise<undefined> {
    const { phase } = volume.status ?? {};
    const released = phase === "Failed" ? volume : await writer.volumePhase(volume, "Released");
    const policy = released.spec?.persistentVolumeReclaimPolicy;
    if (policy === "Recycle") {
      if (!isRecyclable(released)) {
        const message = "No recycler plugin found for the volume!";
        await writer.volumePhase(released, "Failed", { reason: "VolumeFailedRecycle", message });
        return;
      }
      writer.say(released, "Normal", { reason: "VolumeRecycled", message: "Volume recycled" });
      await writer.unbind(released);
    }
    if (policy !== "Delete") return;
    const deletion = deletionOf(released);
    if (deletion.kind === "failed")
      await writer.volumePhase(released, "Failed", { reason: "VolumeFailedDelete", message: deletion.message });
    if (deletion.kind !== "delete" || released.metadata.deletionTimestamp !== undefined) return;
    await client.delete(PersistentVolumes, { name: released.metadata.name ?? "" }).catch((error: unknown) => {
      if (!isNotFound(error)) throw error;
    });
  }

  async function syncClaim(claim: PersistentVolumeClaim): Promise<void> {
    await (hasAnnotation(claim, bindCompleted) ? syncBoundClaim(claim) : syncUnboundClaim(claim));
  }

  /** Whether looking again can change something of it. */
  function isSettled(claim: PersistentVolumeClaim): boolean {
    const volume = volumeInformer.get({ name: claim.spec?.volumeName ?? "" });
    return claim.status?.phase === "Bound" && volume?.spec?.claimRef?.uid === claim.metadata.uid;
  }

  const resync = (enqueue: (key: ReconcileRequest) => void): void => {
    for (const claim of claimInformer.list()) {
      const { namespace = "", name: claimName = "" } = claim.metadata;
      if (!isSettled(claim)) enqueue({ namespace, name: claimName });
    }
    for (const { metadata, status } of volumeInformer.list())
      if (status?.phase !== "Bound" && status?.phase !== "Available") enqueue({ name: metadata.name ?? "" });
  };

  const controller: Part & { readonly enqueue: (key: ReconcileRequest) => void } = createController({
    name: "persistent-volume-binder",
    // A key without a namespace is a volume's. One at a time: two claims must not choose the same volume.
    reconciler: retryConflicts(async (key) => {
      if (key.namespace === undefined) {
        const volume = volumes.get(key);
        const next = volume === undefined ? undefined : await syncVolume(volume);
        if (next !== undefined) controller.enqueue(next);
        return;
      }
      const claim = claims.get(key);
      if (claim !== undefined) await syncClaim(claim);
    }),
    sources: [
      watch(claimInformer),
      watch(claimInformer, {
        map: ({ spec }) => ((spec?.volumeName ?? "") === "" ? [] : [{ name: spec?.volumeName ?? "" }]),
        predicates: [onlyDeleted],
      }),
      watch(volumeInformer),
      watch(volumeInformer, {
        map: ({ spec }) => (spec?.claimRef === undefined ? [] : [keyOfRef(spec.claimRef)]),
        predicates: [onlyDeleted],
      }),
      every(resyncMs, clock, resync),
    ],
    clock,
    logger,
  });
  return controller;
}

const onlyDeleted = { added: () => false, updated: () => false };

/** Looks at things again from time to time. */
function every(ms: number, clock: Clock, look: (enqueue: (key: ReconcileRequest) => void) => void): Source {
  return {
    start(enqueue) {
      let timer = clock.setTimer(ms, tick);
      function tick(): void {
        look(enqueue);
        timer = clock.setTimer(ms, tick);
      }
      return () => timer.cancel();
    },
  };
}
