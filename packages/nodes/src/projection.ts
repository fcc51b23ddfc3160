import type { Container, KubeObject, Node, ObjectMeta, Pod, PodSpec } from "@fleetwright/kube";
import { faultAnnotation } from "./node-fault.ts";

/** Only what is read: tens of thousands of pods are kept. */
export function projectPod(pod: Pod): Pod {
  return {
    ...typeOf(pod),
    metadata: projectMetadata(pod.metadata),
    ...(pod.spec && { spec: projectSpec(pod.spec) }),
    ...(pod.status && { status: pod.status }),
  };
}

function projectSpec(spec: PodSpec): PodSpec {
  const { nodeName, restartPolicy, hostNetwork, activeDeadlineSeconds, readinessGates } = spec;
  return {
    ...(nodeName !== undefined && { nodeName }),
    ...(restartPolicy !== undefined && { restartPolicy }),
    ...(hostNetwork !== undefined && { hostNetwork }),
    ...(activeDeadlineSeconds !== undefined && { activeDeadlineSeconds }),
    ...(readinessGates !== undefined && { readinessGates }),
    ...(spec.initContainers && { initContainers: spec.initContainers.map(projectContainer) }),
    containers: spec.containers.map(projectContainer),
  };
}

const typeOf = ({ apiVersion, kind }: KubeObject): Partial<KubeObject> => ({
  ...(apiVersion !== undefined && { apiVersion }),
  ...(kind !== undefined && { kind }),
});

export function projectNode(node: Node): Node {
  const { name, uid, resourceVersion } = node.metadata;
  return {
    ...typeOf(node),
    metadata: {
      ...(name !== undefined && { name }),
      ...(node.metadata.annotations?.[faultAnnotation] !== undefined && {
        annotations: { [faultAnnotation]: node.metadata.annotations[faultAnnotation] },
      }),
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
