import { isControlledBy } from "@fleetwright/kube";
import type { PersistentVolumeClaim, Pod, Volume } from "@fleetwright/kube";
import { isTerminating } from "../pods/pod-state.ts";

/** The index of pods by the claims that they name, `namespace/name` (pkg/controller/volume/common). */
export const claimIndex = "claim";

const none: readonly string[] = [];

export const claimText = (namespace = "", name = ""): string => `${namespace}/${name}`;

export function byClaim({ metadata, spec }: Pod): readonly string[] {
  let keys: string[] | undefined;
  for (const volume of spec?.volumes ?? []) {
    const claim = claimNameOf(volume, metadata.name);
    if (claim !== undefined) (keys ??= []).push(claimText(metadata.namespace, claim));
  }
  return keys ?? none;
}

/** An ephemeral volume's claim has a name made of the pod's and its own. */
function claimNameOf(volume: Volume, podName = ""): string | undefined {
  if (volume.persistentVolumeClaim !== undefined) return volume.persistentVolumeClaim.claimName;
  return volume.ephemeral === undefined ? undefined : `${podName}-${volume.name}`;
}

/** The kubelet is done with it, or it was deleted by force: what is left are finalizers, which may wait for the claim. */
const isShutDown = (pod: Pod): boolean => isTerminating(pod) && pod.metadata.deletionGracePeriodSeconds === 0;

/**
 * Whether a deleted claim must stay for this pod (`podUsesPVCForDeletion`). A pod without a node does not count, since no kubelet starts a pod
 * on a claim that is going; a finished one does.
 */
export function holdsClaim(pod: Pod, claim: PersistentVolumeClaim): boolean {
  if ((pod.spec?.nodeName ?? "") === "") return false;
  return (pod.spec?.volumes ?? []).some((volume) => {
    if (claimNameOf(volume, pod.metadata.name) !== claim.metadata.name) return false;
    return volume.persistentVolumeClaim !== undefined || (!isShutDown(pod) && isControlledBy(claim, pod));
  });
}
