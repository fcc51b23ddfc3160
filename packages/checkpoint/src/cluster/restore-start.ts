import { restoredByAnnotation, restoreReasons } from "@fleetwright/api";
import { isAlreadyExists, Pods, type Client, type Pod } from "@fleetwright/kube";
import { neededObjects, restoredPod, type SavedTemplate } from "../core/restore/pod-template.ts";
import { Refused } from "./refused.ts";
import type { CheckpointObject, RestoreObject } from "./resources.ts";
import { missingObjects } from "./restore-verdicts.ts";

/** What a Checkpoint keeps of its pod; undefined when it keeps nothing. */
export function templateOf({ status }: CheckpointObject): SavedTemplate | undefined {
  const saved = status?.template as
    | { readonly metadata: Omit<SavedTemplate, "spec">; readonly spec: SavedTemplate["spec"] }
    | undefined;
  return saved && { ...saved.metadata, spec: saved.spec };
}

/** A restore in place: the pod's containers get their checkpoints for images, if they have not. @param images by container */
export async function putImages(
  client: Client,
  pod: Pod,
  restore: RestoreObject,
  images: ReadonlyMap<string, string>,
  signal: AbortSignal,
): Promise<Pod> {
  const { namespace = "", name = "", uid } = pod.metadata;
  if (!pod.spec?.containers.some((each) => images.has(each.name) && images.get(each.name) !== each.image)) return pod;
  const patch = {
    metadata: {
      ...(uid && { uid }),
      annotations: { [restoredByAnnotation]: restore.metadata.uid ?? "" },
    },
    spec: { containers: [...images].map(([container, image]) => ({ name: container, image })) },
  };
  return client.patch(Pods, { namespace, name }, { type: "strategic", patch }, { signal });
}

/**
 * The new pod of a restore.
 *
 * @param images by container
 * @throws {Refused} when the name is taken
 */
export async function createRestored(
  client: Client,
  { metadata, spec, status }: RestoreObject,
  checkpoint: CheckpointObject,
  images: ReadonlyMap<string, string>,
  signal: AbortSignal,
): Promise<Pod> {
  const { namespace = "", uid = "" } = metadata;
  const template = templateOf(checkpoint);
  if (template === undefined) throw new Refused(restoreReasons.checkpointNotReady, "the Checkpoint's template is gone");
  const empty =
    spec.volumes === "Scratch"
      ? neededObjects(template.spec).filter(({ kind }) => kind === "PersistentVolumeClaim")
      : spec.volumes === "Empty"
        ? await missingObjects(client, namespace, template.spec, signal)
        : [];
  const wanted = restoredPod(template, {
    name: spec.podName,
    namespace,
    nodeName: status?.nodeName ?? "",
    images,
    annotations: { [restoredByAnnotation]: uid },
    emptyVolumes: new Set(empty.map(({ volume }) => volume)),
    ...(spec.labels && { labels: spec.labels }),
    ...(spec.isolated && { isolated: true }),
    ...(spec.serviceAccountName && { serviceAccountName: spec.serviceAccountName }),
  });
  try {
    return await client.create(Pods, wanted, { signal });
  } catch (error) {
    if (!isAlreadyExists(error)) throw error;
    throw new Refused(restoreReasons.failed, `there is a pod "${spec.podName}" already; choose another spec.podName`);
  }
}
