import { isDraft, type Draft } from "../machinery/draft.ts";
import type { Subresource } from "../machinery/kind.ts";
import { fieldErrors, refusals } from "../machinery/status-error.ts";
import { scaleSelectorText } from "./workload-checks.ts";

const draftOf = (value: unknown): Draft => (isDraft(value) ? value : {});
const numberOf = (value: unknown): number => (typeof value === "number" ? value : 0);

/** `scale` of what has `spec.replicas`: an autoscaling/v1 Scale. */
const scaleView = (
  selectorText: (selector: Draft) => string,
  apiVersions: readonly string[],
): NonNullable<Subresource["view"]> => ({
  replicasPaths: Object.fromEntries(apiVersions.map((apiVersion) => [apiVersion, ["spec", "replicas"]])),
  read(parent) {
    const { name, namespace, uid, resourceVersion, creationTimestamp } = draftOf(parent["metadata"]);
    const [spec, status] = [draftOf(parent["spec"]), draftOf(parent["status"])];
    const replicas = numberOf(spec["replicas"]);
    const selector = selectorText(draftOf(spec["selector"]));
    return {
      kind: "Scale",
      apiVersion: "autoscaling/v1",
      metadata: { name, namespace, uid, resourceVersion, creationTimestamp },
      spec: replicas === 0 ? {} : { replicas },
      status: { replicas: numberOf(status["replicas"]), ...(selector === "" ? {} : { selector }) },
    };
  },
  write(parent, view) {
    const replicas = numberOf(draftOf(view["spec"])["replicas"]);
    const name = draftOf(parent["metadata"])["name"];
    if (replicas < 0) {
      throw refusals.invalid({ group: "autoscaling", resource: "Scale" }, typeof name === "string" ? name : "", [
        fieldErrors.invalid("spec.replicas", replicas, "must be greater than or equal to 0"),
      ]);
    }
    const spec = draftOf(parent["spec"]);
    spec["replicas"] = replicas;
    parent["spec"] = spec;
  },
});

/** A label selector's text. */
export const selectorScale = scaleView(
  (selector) => scaleSelectorText(selector),
  ["apps/v1", "apps/v1beta2", "apps/v1beta1"],
);

/** A ReplicationController's selector is a map. */
export const labelsScale = scaleView(
  (labels) =>
    Object.entries(labels)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, value]) => `${key}=${typeof value === "string" ? value : ""}`)
      .join(","),
  ["v1"],
);
