import {
  ClusterRoles,
  parseFieldSelector,
  PersistentVolumeClaims,
  Pods,
  ResourceClaims,
  ResourceSlices,
  VolumeAttachments,
  type PersistentVolumeClaim,
  type Pod,
  type UserInfo,
} from "@fleetwright/kube";
import type { Decision } from "../machinery/authorizer.ts";
import type { RequestInfo, ServerAccess } from "../machinery/request.ts";
import { ruleAllows } from "./rules.ts";
import { nodeOf } from "./user.ts";

const leaseNamespace = "kube-node-lease";
const allow: Decision = { allowed: true, reason: "" };
const no = (reason: string): Decision => ({ allowed: false, reason });

type Access = Pick<ServerAccess, "objects">;

function podMentions(pod: Pod, kind: "configmaps" | "secrets", name: string): boolean {
  const { spec } = pod;
  if (spec === undefined) return false;
  if (kind === "secrets" && (spec.imagePullSecrets ?? []).some((reference) => reference.name === name)) return true;
  const containers = [...(spec.containers ?? []), ...(spec.initContainers ?? []), ...(spec.ephemeralContainers ?? [])];
  const inContainers = containers.some(
    ({ env = [], envFrom = [] }) =>
      env.some(({ valueFrom }) => {
        const reference = kind === "secrets" ? valueFrom?.secretKeyRef : valueFrom?.configMapKeyRef;
        return reference?.name === name;
      }) || envFrom.some((source) => (kind === "secrets" ? source.secretRef : source.configMapRef)?.name === name),
  );
  if (inContainers) return true;
  return (spec.volumes ?? []).some((volume) => {
    const projected = volume.projected?.sources ?? [];
    if (kind === "configmaps") {
      return volume.configMap?.name === name || projected.some(({ configMap }) => configMap?.name === name);
    }
    const references = [
      volume.secret?.secretName,
      volume.csi?.nodePublishSecretRef?.name,
      volume.azureFile?.secretName,
      volume.cephfs?.secretRef?.name,
      volume.cinder?.secretRef?.name,
      volume.flexVolume?.secretRef?.name,
      volume.iscsi?.secretRef?.name,
      volume.rbd?.secretRef?.name,
      volume.scaleIO?.secretRef?.name,
      volume.storageos?.secretRef?.name,
    ];
    return references.includes(name) || projected.some(({ secret }) => secret?.name === name);
  });
}

/** Claims of a pod, those made from its ephemeral volumes included. */
const claimNames = (pod: Pod): readonly string[] =>
  (pod.spec?.volumes ?? []).flatMap((volume) =>
    volume.persistentVolumeClaim !== undefined
      ? [volume.persistentVolumeClaim.claimName]
      : volume.ephemeral !== undefined
        ? [`${pod.metadata.name ?? ""}-${volume.name}`]
        : [],
  );

const resourceClaimNames = (pod: Pod): readonly (string | undefined)[] => [
  ...(pod.spec?.resourceClaims ?? []).map(({ resourceClaimName }) => resourceClaimName),
  ...(pod.status?.resourceClaimStatuses ?? []).map(({ resourceClaimName }) => resourceClaimName),
  pod.status?.extendedResourceClaimStatus?.resourceClaimName,
];

const isMirror = (pod: Pod): boolean => pod.metadata.annotations?.["kubernetes.io/config.mirror"] !== undefined;

/**
 * What kubelets may do: plugin/pkg/auth/authorizer/node. Upstream keeps a graph of pods and what they mention; here the
 * pods of the object's namespace are walked, which says the same. Answers `undefined` for callers that are no nodes.
 */
export function createNodeAuthorizer({ objects }: Access): (user: UserInfo, info: RequestInfo) => Decision | undefined {
  const podsOn = (node: string, namespace: string | undefined): readonly Pod[] =>
    // A mirror pod is the kubelet's own word: it gives no rights.
    objects.list(Pods, namespace).filter((pod) => pod.spec?.nodeName === node && !isMirror(pod));

  const claimsOf = (node: string): readonly (PersistentVolumeClaim | undefined)[] =>
    podsOn(node, undefined).flatMap((pod) =>
      claimNames(pod).map((name) =>
        objects.get(PersistentVolumeClaims, { namespace: pod.metadata.namespace ?? "", name }),
      ),
    );

  function isRelated(node: string, { resource, namespace, name }: RequestInfo): boolean {
    switch (resource) {
      case "configmaps":
      case "secrets":
        return podsOn(node, namespace).some((pod) => podMentions(pod, resource, name));
      case "serviceaccounts":
        return podsOn(node, namespace).some((pod) => pod.spec?.serviceAccountName === name);
      case "pods":
        return objects.get(Pods, { namespace, name })?.spec?.nodeName === node;
      case "persistentvolumeclaims":
        return podsOn(node, namespace).some((pod) => claimNames(pod).includes(name));
      case "persistentvolumes":
        return claimsOf(node).some((claim) => claim?.spec?.volumeName === name);
      case "volumeattachments":
        return objects.get(VolumeAttachments, { name })?.spec.nodeName === node;
      case "resourceclaims":
        return (
          objects.get(ResourceClaims, { namespace, name }) !== undefined &&
          podsOn(node, namespace).some((pod) => resourceClaimNames(pod).includes(name))
        );
      case "resourceslices":
        return objects.get(ResourceSlices, { name })?.spec.nodeName === node;
      default:
        return false;
    }
  }

  function related(node: string, info: RequestInfo): Decision {
    if (info.name === "") return no("No Object name found");
    return isRelated(node, info) ? allow : no(`no relationship found between node '${node}' and this object`);
  }

  function onlyGet(node: string, info: RequestInfo): Decision {
    if (info.verb !== "get") return no("can only get individual resources of this type");
    return info.subresource === "" ? related(node, info) : no("cannot get subresource");
  }

  function read(node: string, info: RequestInfo): Decision {
    if (!["get", "list", "watch"].includes(info.verb)) return no("can only read resources of this type");
    if (info.subresource !== "") return no("cannot read subresource");
    return info.namespace === "" ? no("can only read namespaced object of this type") : related(node, info);
  }

  const selects = (info: RequestInfo, field: string, node: string): boolean => {
    try {
      return parseFieldSelector(info.fieldSelector ?? "").some(
        (requirement) => requirement.field === field && requirement.operator !== "!=" && requirement.value === node,
      );
    } catch {
      return false;
    }
  };

  function own(node: string, info: RequestInfo, what: string): Decision {
    if (!["get", "create", "update", "patch", "delete"].includes(info.verb)) {
      return no(`can only get, create, update, patch, or delete a ${what}`);
    }
    return info.verb === "create" || info.name === node
      ? allow
      : no(`can only access ${what} with the same name as the requesting node`);
  }

  function onNodes(node: string, info: RequestInfo): Decision {
    if (info.subresource === "status") return ["update", "patch"].includes(info.verb) ? allow : no("");
    if (info.subresource !== "") return no("");
    if (["create", "update", "patch"].includes(info.verb)) return allow;
    if (!["get", "list", "watch"].includes(info.verb)) return no("");
    if (info.name === node) return allow;
    return info.name === ""
      ? no(`node '${node}' cannot read all nodes, only its own Node object`)
      : no(`node '${node}' cannot read '${info.name}', only its own Node object`);
  }

  function onPods(node: string, info: RequestInfo): Decision {
    if (info.subresource === "status") return ["update", "patch"].includes(info.verb) ? allow : no("");
    if (info.subresource === "eviction") return info.verb === "create" ? allow : no("");
    if (info.subresource !== "") return no("");
    switch (info.verb) {
      case "get":
        return onlyGet(node, info);
      case "list":
      case "watch":
        if (selects(info, "spec.nodeName", node)) return allow;
        return info.name === ""
          ? no("can only list/watch pods with spec.nodeName field selector")
          : related(node, info);
      case "create":
      case "delete":
        return allow;
      default:
        return no("");
    }
  }

  function onSlices(node: string, info: RequestInfo): Decision {
    if (info.subresource !== "") return no("cannot authorize ResourceSlice subresources");
    switch (info.verb) {
      case "create":
        return allow;
      case "get":
      case "update":
      case "patch":
      case "delete":
        return related(node, info);
      case "watch":
      case "list":
      case "deletecollection":
        return selects(info, "spec.nodeName", node)
          ? allow
          : no("can only list/watch/deletecollection resourceslices with nodeName field selector");
      default:
        return no(
          "only the following verbs are allowed for a ResourceSlice: get, watch, list, create, update, patch, delete, deletecollection",
        );
    }
  }

  function onServiceAccounts(node: string, info: RequestInfo): Decision {
    if (info.verb === "get" && info.subresource === "") return read(node, info);
    if (info.verb !== "create" || info.name === "") return no("can only create tokens for individual service accounts");
    return info.subresource === "token"
      ? related(node, info)
      : no("can only create token subresource of serviceaccount");
  }

  function onLeases(node: string, info: RequestInfo): Decision {
    if (!["get", "create", "update", "patch", "delete"].includes(info.verb)) {
      return no("can only get, create, update, patch, or delete a node lease");
    }
    if (info.namespace !== leaseNamespace) {
      return no(`can only access leases in the ${JSON.stringify(leaseNamespace)} system namespace`);
    }
    return info.verb === "create" || info.name === node
      ? allow
      : no("can only access node lease with the same name as the requesting node");
  }

  function onResource(node: string, info: RequestInfo): Decision | undefined {
    switch (info.group === "" ? info.resource : `${info.resource}.${info.group}`) {
      case "secrets":
      case "configmaps":
        return read(node, info);
      case "persistentvolumeclaims":
        if (info.subresource !== "status") return onlyGet(node, info);
        return ["update", "patch"].includes(info.verb)
          ? related(node, info)
          : no("can only get/update/patch this type");
      case "persistentvolumes":
      case "resourceclaims.resource.k8s.io":
      case "volumeattachments.storage.k8s.io":
        return onlyGet(node, info);
      case "serviceaccounts":
        return onServiceAccounts(node, info);
      case "leases.coordination.k8s.io":
        return onLeases(node, info);
      case "csinodes.storage.k8s.io":
        return info.subresource === "" ? own(node, info, "CSINode") : no("cannot authorize CSINode subresources");
      case "resourceslices.resource.k8s.io":
        return onSlices(node, info);
      case "nodes":
        return onNodes(node, info);
      case "pods":
        return onPods(node, info);
      default:
        return undefined;
    }
  }

  return (user, info) => {
    const node = nodeOf(user);
    if (node === undefined) return undefined;
    if (node === "") return no(`unknown node for user ${JSON.stringify(user.username)}`);
    const decision = info.isResource ? onResource(node, info) : undefined;
    if (decision !== undefined) return decision;
    // What else nodes may do is the same for all: upstream's static rules are those of this role.
    const rules = objects.get(ClusterRoles, { name: "system:node" })?.rules ?? [];
    return rules.some((rule) => ruleAllows(rule, info)) ? allow : no("");
  };
}
