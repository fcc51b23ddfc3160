import { jsonEqual, Nodes, Pods, type Json, type KubeObject, type Node, type Pod } from "@fleetwright/kube";
import type { AdmissionAttributes, AdmissionPlugin } from "../machinery/admission.ts";
import { typed } from "../machinery/draft.ts";
import type { ServerAccess } from "../machinery/request.ts";
import { refusals } from "../machinery/status-error.ts";
import { nodeOf } from "../auth/user.ts";
import { groupResource, refusal } from "./refusal.ts";

const mirrorAnnotation = "kubernetes.io/config.mirror";

/** Labels of Kubernetes' own that kubelets may set (k8s.io/kubelet/pkg/apis). */
const kubeletLabels: ReadonlySet<string> = new Set([
  "kubernetes.io/hostname",
  "topology.kubernetes.io/zone",
  "topology.kubernetes.io/region",
  "failure-domain.beta.kubernetes.io/zone",
  "failure-domain.beta.kubernetes.io/region",
  "node.kubernetes.io/instance-type",
  "beta.kubernetes.io/instance-type",
  "kubernetes.io/os",
  "kubernetes.io/arch",
  "beta.kubernetes.io/os",
  "beta.kubernetes.io/arch",
  "node.kubernetes.io/windows-build",
]);
const kubeletNamespaces = ["kubelet.kubernetes.io", "node.kubernetes.io"];

const within = (namespace: string, domain: string): boolean => namespace === domain || namespace.endsWith(`.${domain}`);

function isForbiddenLabel(label: string): boolean {
  const namespace = label.includes("/") ? label.slice(0, label.indexOf("/")) : "";
  if (within(namespace, "node-restriction.kubernetes.io")) return true;
  if (!within(namespace, "kubernetes.io") && !within(namespace, "k8s.io")) return false;
  return !kubeletLabels.has(label) && !kubeletNamespaces.some((domain) => within(namespace, domain));
}

/** Labels that were added, changed or taken away and that a kubelet has no say in. */
function forbiddenLabels(now: KubeObject, old: KubeObject | undefined): string[] {
  const labels = now.metadata.labels ?? {};
  const before = old?.metadata.labels ?? {};
  return [...new Set([...Object.keys(labels), ...Object.keys(before)])]
    .filter((label) => labels[label] !== before[label] && isForbiddenLabel(label))
    .toSorted();
}

const same = (left: unknown, right: unknown): boolean => jsonEqual((left ?? null) as Json, (right ?? null) as Json);

/** Kubelets touch what is theirs and nothing else (plugin/pkg/admission/noderestriction). */
export function nodeRestriction({ objects }: Pick<ServerAccess, "objects">): AdmissionPlugin {
  function admitPodCreate(node: string, attributes: AdmissionAttributes): void {
    const quoted = JSON.stringify(node);
    const pod = typed<Pod>(attributes.object ?? {});
    if (pod.metadata.annotations?.[mirrorAnnotation] === undefined) {
      throw refusal(
        attributes,
        `pod does not have ${JSON.stringify(mirrorAnnotation)} annotation, node ${quoted} can only create mirror pods`,
      );
    }
    if (pod.spec?.nodeName !== node) {
      throw refusal(attributes, `node ${quoted} can only create pods with spec.nodeName set to itself`);
    }
    const [owner, ...others] = pod.metadata.ownerReferences ?? [];
    if (others.length > 0) {
      throw refusal(attributes, `node ${quoted} can only create pods with a single owner reference set to itself`);
    }
    if (owner?.apiVersion !== "v1" || owner.kind !== "Node" || owner.name !== node) {
      throw refusal(attributes, `node ${quoted} can only create pods with an owner reference set to itself`);
    }
    if (owner.controller !== true) {
      throw refusal(attributes, `node ${quoted} can only create pods with a controller owner reference set to itself`);
    }
    if (owner.blockOwnerDeletion === true) {
      throw refusal(attributes, `node ${quoted} must not set blockOwnerDeletion on an owner reference`);
    }
    const found = objects.get(Nodes, { name: node });
    if (found === undefined) throw refusals.notFound({ group: "", resource: "nodes" }, node);
    if (owner.uid !== found.metadata.uid) {
      throw refusal(attributes, `node ${node} UID mismatch: expected ${owner.uid} got ${found.metadata.uid}`);
    }
    const { serviceAccountName = "", volumes = [] } = pod.spec ?? {};
    if (serviceAccountName !== "") {
      throw refusal(attributes, `node ${quoted} can not create pods that reference serviceaccounts`);
    }
    for (const [resource, is] of [
      ["secrets", (volume: (typeof volumes)[number]) => volume.secret !== undefined],
      ["configmaps", (volume: (typeof volumes)[number]) => volume.configMap !== undefined],
      ["persistentvolumeclaims", (volume: (typeof volumes)[number]) => volume.persistentVolumeClaim !== undefined],
    ] as const) {
      if (volumes.some(is)) throw refusal(attributes, `node ${quoted} can not create pods that reference ${resource}`);
    }
  }

  function boundPod(attributes: AdmissionAttributes): Pod {
    const { namespace, name } = attributes;
    const pod = objects.get(Pods, { namespace, name });
    if (pod === undefined) throw refusals.notFound({ group: "", resource: "pods" }, name);
    return pod;
  }

  function admitPod(node: string, attributes: AdmissionAttributes): void {
    const { operation, subresource } = attributes;
    const quoted = JSON.stringify(node);
    switch (subresource) {
      case "":
        if (operation === "CREATE") admitPodCreate(node, attributes);
        else if (operation !== "DELETE") {
          throw refusal(
            attributes,
            `unexpected operation ${JSON.stringify(operation)}, node ${quoted} can only create and delete mirror pods`,
          );
        } else if (boundPod(attributes).spec?.nodeName !== node) {
          throw refusal(attributes, `node ${quoted} can only delete pods with spec.nodeName set to itself`);
        }
        return;
      case "status": {
        const old = attributes.oldObject as unknown as Pod | undefined;
        const now = attributes.object as unknown as Pod | undefined;
        if (old?.spec?.nodeName !== node) {
          throw refusal(
            attributes,
            `node ${quoted} can only update pod status for pods with spec.nodeName set to itself`,
          );
        }
        if (!same(old.metadata.labels ?? {}, now?.metadata.labels ?? {})) {
          throw refusal(attributes, `node ${quoted} cannot update labels through pod status`);
        }
        if (!same(old.status?.resourceClaimStatuses, now?.status?.resourceClaimStatuses)) {
          throw refusal(attributes, `node ${quoted} cannot update resource claim statues`);
        }
        return;
      }
      case "eviction":
        if (boundPod(attributes).spec?.nodeName !== node) {
          throw refusal(attributes, `node ${node} can only evict pods with spec.nodeName set to itself`);
        }
        return;
      default:
        throw refusal(
          attributes,
          `unexpected pod subresource ${JSON.stringify(subresource)}, only 'status' and 'eviction' are allowed`,
        );
    }
  }

  function admitNode(node: string, attributes: AdmissionAttributes): void {
    const quoted = JSON.stringify(node);
    const { operation, object, oldObject } = attributes;
    const now = object as unknown as Node | undefined;
    const old = oldObject as unknown as Node | undefined;
    const name = attributes.name === "" ? (now?.metadata.name ?? "") : attributes.name;
    if (name !== node) {
      throw refusal(attributes, `node ${quoted} is not allowed to modify node ${JSON.stringify(name)}`);
    }
    if (now === undefined) return;
    const labels = forbiddenLabels(now, old);
    if (operation === "CREATE") {
      if (labels.length > 0) {
        throw refusal(attributes, `node ${quoted} is not allowed to set the following labels: ${labels.join(", ")}`);
      }
      return;
    }
    if (!same(now.spec?.taints, old?.spec?.taints)) {
      throw refusal(attributes, `node ${quoted} is not allowed to modify taints`);
    }
    if (!same(now.metadata.ownerReferences, old?.metadata.ownerReferences)) {
      throw refusal(attributes, `node ${quoted} is not allowed to modify ownerReferences`);
    }
    if (labels.length > 0) throw refusal(attributes, `is not allowed to modify labels: ${labels.join(", ")}`);
  }

  function admitToken(node: string, attributes: AdmissionAttributes): void {
    if (attributes.operation !== "CREATE" || attributes.subresource !== "token") return;
    const { spec } = (attributes.object ?? {}) as {
      spec?: { boundObjectRef?: { apiVersion?: string; kind?: string; name?: string; uid?: string } | null };
    };
    const reference = spec?.boundObjectRef ?? {};
    const { name = "", uid = "" } = reference;
    if (reference.apiVersion !== "v1" || reference.kind !== "Pod" || name === "") {
      throw refusal(attributes, "node requested token not bound to a pod");
    }
    if (uid === "") throw refusal(attributes, "node requested token with a pod binding without a uid");
    const pod = objects.get(Pods, { namespace: attributes.namespace, name });
    if (pod === undefined) throw refusals.notFound({ group: "", resource: "pods" }, name);
    if (uid !== pod.metadata.uid) {
      throw refusal(
        attributes,
        `the UID in the bound object reference (${uid}) does not match the UID in record. The object might have been deleted and then recreated`,
      );
    }
    if (pod.spec?.nodeName !== node) {
      throw refusal(attributes, "node requested token bound to a pod scheduled on a different node");
    }
  }

  function admitNamed(node: string, attributes: AdmissionAttributes, what: string): void {
    const created = (attributes.object?.["metadata"] as { name?: string } | undefined)?.name ?? "";
    const name = attributes.operation === "CREATE" ? created : attributes.name;
    if (name !== node) throw refusal(attributes, `can only access ${what} with the same name as the requesting node`);
  }

  return {
    name: "NodeRestriction",
    handles: (operation) => operation !== "CONNECT",
    admit(attributes) {
      const node = nodeOf(attributes.user);
      if (node === undefined) return;
      if (node === "") {
        throw refusal(attributes, `could not determine node from user ${JSON.stringify(attributes.user.username)}`);
      }
      switch (groupResource(attributes)) {
        case "pods":
          admitPod(node, attributes);
          break;
        case "nodes":
          admitNode(node, attributes);
          break;
        case "persistentvolumeclaims":
          if (attributes.subresource !== "status") throw refusal(attributes, "may only update PVC status");
          break;
        case "serviceaccounts":
          admitToken(node, attributes);
          break;
        case "leases.coordination.k8s.io":
          if (attributes.namespace !== "kube-node-lease") {
            throw refusal(attributes, 'can only access leases in the "kube-node-lease" system namespace');
          }
          admitNamed(node, attributes, "node lease");
          break;
        case "csinodes.storage.k8s.io":
          admitNamed(node, attributes, "CSINode");
          break;
        case "resourceslices.resource.k8s.io": {
          const slice = (attributes.object ?? attributes.oldObject) as { spec?: { nodeName?: string } } | undefined;
          if (slice?.spec?.nodeName !== node) {
            throw refusal(
              attributes,
              attributes.operation === "CREATE"
                ? "can only create ResourceSlice with the same NodeName as the requesting node"
                : "can only delete ResourceSlice with the same NodeName as the requesting node",
            );
          }
          break;
        }
        default:
      }
    },
  };
}
