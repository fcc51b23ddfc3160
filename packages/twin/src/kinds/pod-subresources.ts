import { Pods, type Pod } from "@fleetwright/kube";
import { copyJson, isDraft, typed, type Draft } from "../machinery/draft.ts";
import type { Subresource, SubresourceCall } from "../machinery/kind.ts";
import { fieldErrors, refusals, statusError } from "../machinery/status-error.ts";
import { setPodCondition } from "./pod-conditions.ts";
import { defaultPod } from "./pod-defaults.ts";
import { evictPod } from "./pod-eviction.ts";
import { askKubelet } from "./pod-kubelet.ts";
import { applyResize, resizeErrors } from "./pod-resize.ts";
import { ephemeralContainersErrors } from "./pod-update-validation.ts";
import { labelsScale, selectorScale } from "./workload-scale.ts";

/** What a subresource does; its kind, structure and verbs come from discovery. */
export type SubresourceHandler = Omit<Subresource, "kind" | "schema" | "verbs">;

const pods = { group: "", resource: "pods" };
const draftOf = (value: unknown): Draft => (isDraft(value) ? value : {});
const textOf = (value: unknown): string => (typeof value === "string" ? value : "");

/** `ValidatePodBinding`; upstream answers 500 with the aggregate. */
function checkBinding(target: Draft): void {
  const problems = [
    ...(target["kind"] === undefined || target["kind"] === "" || target["kind"] === "Node"
      ? []
      : [fieldErrors.notSupported("target.kind", target["kind"], ["Node", "<empty>"])]),
    ...(textOf(target["name"]) === "" ? [fieldErrors.required("target.name")] : []),
  ].map(({ field, message }) => `${field}: ${message}`);
  if (problems.length === 0) return;
  throw statusError(500, "", problems.length === 1 ? (problems[0] ?? "") : `[${problems.join(", ")}]`);
}

function checkPreconditions(pod: Pod, metadata: Draft): void {
  const { name = "", namespace = "", uid, resourceVersion } = pod.metadata;
  for (const [label, wanted, actual] of [
    ["UID", textOf(metadata["uid"]), uid ?? ""],
    ["ResourceVersion", textOf(metadata["resourceVersion"]), resourceVersion ?? ""],
  ] as const) {
    if (wanted === "" || wanted === actual) continue;
    throw refusals.conflict(
      pods,
      name,
      `StorageError: invalid object, Code: 4, Key: /registry/pods/${namespace}/${name}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: ${label} in precondition: ${wanted}, ${label} in object meta: ${actual}`,
    );
  }
}

/** POST `binding`: the scheduler's decision (pkg/registry/core/pod/storage/storage.go). */
async function bindPod(call: SubresourceCall): Promise<Draft> {
  const { body, namespace, name, server, context } = call;
  const metadata = draftOf(body["metadata"]);
  if (textOf(metadata["name"]) !== name) {
    throw refusals.badRequest("name in URL does not match name in Binding object");
  }
  const target = draftOf(body["target"]);
  checkBinding(target);
  const refuse = (reason: string): Error => refusals.conflict({ group: "", resource: "pods/binding" }, name, reason);
  await server.modify(
    Pods,
    { namespace, name },
    (pod) => {
      checkPreconditions(pod, metadata);
      if (pod.metadata.deletionTimestamp !== undefined) {
        throw refuse(`pod ${name} is being deleted, cannot be assigned to a host`);
      }
      if (!pod.spec) return false;
      if (pod.spec.nodeName) {
        throw refuse(`pod ${name} is already assigned to node ${JSON.stringify(pod.spec.nodeName)}`);
      }
      if ((pod.spec.schedulingGates ?? []).length > 0) {
        throw refuse(`pod ${name} has non-empty .spec.schedulingGates`);
      }
      pod.spec.nodeName = textOf(target["name"]);
      if (pod.status) delete pod.status.nominatedNodeName;
      for (const part of ["annotations", "labels"] as const) {
        const added = draftOf(metadata[part]) as Record<string, string>;
        if (Object.keys(added).length > 0) pod.metadata[part] = { ...pod.metadata[part], ...added };
      }
      setPodCondition(pod, { type: "PodScheduled", status: "True" }, server.clock.now());
      return true;
    },
    { dryRun: context.dryRun },
  );
  return { kind: "Status", apiVersion: "v1", metadata: {}, status: "Success", code: 201 };
}

async function proxyPod(call: SubresourceCall): Promise<Draft | string> {
  const { server, namespace, name } = call;
  const pod = server.objects.get(Pods, { namespace, name });
  if (pod === undefined) throw refusals.notFound(pods, name);
  if (!pod.status?.podIP) throw refusals.badRequest("address not allowed");
  throw refusals.internal(
    `this API server runs without a network of pods: ${pod.status.podIP} of pod ${JSON.stringify(`${namespace}/${name}`)} cannot be reached`,
  );
}

const podSubresources: readonly SubresourceHandler[] = [
  { name: "binding", create: bindPod },
  { name: "eviction", create: evictPod },
  {
    name: "resize",
    view: {
      read: (parent) => copyJson(parent),
      write: (parent, view) => applyResize(parent, view),
      validate: (object, old) => resizeErrors(typed<Pod>(object), typed<Pod>(old)),
      defaults: (view) => defaultPod(typed<Pod>(view)),
    },
  },
  {
    name: "ephemeralcontainers",
    view: {
      read: (parent) => copyJson(parent),
      write(parent, view) {
        const added = draftOf(view["spec"])["ephemeralContainers"];
        const spec = draftOf(parent["spec"]);
        if (added === undefined) delete spec["ephemeralContainers"];
        else spec["ephemeralContainers"] = copyJson(added);
      },
      validate: (object, old) => ephemeralContainersErrors(typed<Pod>(object), typed<Pod>(old)),
      defaults: (view) => defaultPod(typed<Pod>(view)),
    },
  },
  ...["log", "exec", "attach", "portforward"].map((name): SubresourceHandler => ({ name, connect: askKubelet })),
  { name: "proxy", connect: proxyPod },
];

const scaled: readonly SubresourceHandler[] = [{ name: "scale", view: selectorScale }];

/** What pods and workloads have below themselves besides `status`, by `group/Kind`. */
export const workloadSubresources: Readonly<Record<string, readonly SubresourceHandler[]>> = {
  "/Pod": podSubresources,
  "/ReplicationController": [{ name: "scale", view: labelsScale }],
  "apps/Deployment": scaled,
  "apps/ReplicaSet": scaled,
  "apps/StatefulSet": scaled,
};
