import type { ObjectMeta } from "@fleetwright/kube";
import type { Container, Node, Pod } from "./kinds.ts";

/** Only what is read: tens of thousands of pods are kept. */
export function projectPod(pod: Pod): Pod {
  const { nodeName, restartPolicy, hostNetwork, activeDeadlineSeconds, readinessGates } = pod.spec;
  return {
    metadata: projectMetadata(pod.metadata),
    spec: {
      ...(nodeName !== undefined && { nodeName }),
      ...(restartPolicy !== undefined && { restartPolicy }),
      ...(hostNetwork !== undefined && { hostNetwork }),
      ...(activeDeadlineSeconds !== undefined && { activeDeadlineSeconds }),
      ...(readinessGates !== undefined && { readinessGates }),
      ...(pod.spec.initContainers && { initContainers: pod.spec.initContainers.map(projectContainer) }),
      containers: pod.spec.containers.map(projectContainer),
    },
    ...(pod.status && { status: pod.status }),
  };
}

export function projectNode(node: Node): Node {
  const { name, uid, resourceVersion } = node.metadata;
  return {
    metadata: {
      ...(name !== undefined && { name }),
      ...(uid !== undefined && { uid }),
      ...(resourceVersion !== undefined && { resourceVersion }),
    },
    ...(node.status?.conditions && { status: { conditions: node.status.conditions } }),
  };
}

function projectMetadata(metadata: ObjectMeta): ObjectMeta {
  const { managedFields: _managedFields, labels: _labels, ...rest } = metadata;
  return rest;
}

const projectContainer = ({ name, image, restartPolicy }: Container): Container => ({
  name,
  ...(image !== undefined && { image }),
  ...(restartPolicy !== undefined && { restartPolicy }),
});
