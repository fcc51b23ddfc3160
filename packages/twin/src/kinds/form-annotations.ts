import { isDraft, type Draft, type DraftValue } from "../machinery/draft.ts";

/**
 * Annotations that a version's form writes for what it has no field for (conversion.go of pkg/apis/apps and
 * pkg/apis/autoscaling): the object itself does not have them.
 */
const formAnnotations: ReadonlyMap<string, readonly string[]> = new Map([
  ["apps/v1/DaemonSet", ["deprecated.daemonset.template.generation"]],
  [
    "autoscaling/v1/HorizontalPodAutoscaler",
    ["metrics", "current-metrics", "conditions", "behavior"].map((name) => `autoscaling.alpha.kubernetes.io/${name}`),
  ],
]);

/** An object's metadata as it is when nothing else of the object is asked for. */
export function metadataAlone(object: Readonly<Draft>): DraftValue {
  const metadata = object["metadata"];
  const { apiVersion, kind } = object;
  const written =
    typeof apiVersion === "string" && typeof kind === "string"
      ? formAnnotations.get(`${apiVersion}/${kind}`)
      : undefined;
  if (written === undefined || !isDraft(metadata) || !isDraft(metadata["annotations"])) return metadata;
  const rest = Object.entries(metadata["annotations"]).filter(([name]) => !written.includes(name));
  const { annotations: _, ...others } = metadata;
  return rest.length === 0 ? others : { ...metadata, annotations: Object.fromEntries(rest) };
}
