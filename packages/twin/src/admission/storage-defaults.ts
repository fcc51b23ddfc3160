import {
  IngressClasses,
  parseQuantity,
  StorageClasses,
  type Ingress,
  type KubeObject,
  type PersistentVolumeClaim,
} from "@fleetwright/kube";
import type { AdmissionPlugin } from "../machinery/admission.ts";
import { typed } from "../machinery/draft.ts";
import type { ServerAccess } from "../machinery/request.ts";
import { groupResource, isObjectOf, refusal } from "./refusal.ts";

const classAnnotation = "volume.beta.kubernetes.io/storage-class";

const claimClass = (claim: PersistentVolumeClaim): string =>
  claim.metadata.annotations?.[classAnnotation] ?? claim.spec?.storageClassName ?? "";

/** Of several defaults the youngest; of equally old ones the first by name. */
function youngest<T extends KubeObject>(candidates: readonly T[]): T | undefined {
  return candidates.toSorted((left, right) => {
    const [one, other] = [left.metadata.creationTimestamp ?? "", right.metadata.creationTimestamp ?? ""];
    if (one !== other) return one > other ? -1 : 1;
    return (left.metadata.name ?? "") < (right.metadata.name ?? "") ? -1 : 1;
  })[0];
}

/** Claims without a class get the cluster's default (plugin/pkg/admission/storage/storageclass/setdefault). */
export function defaultStorageClass({ objects }: Pick<ServerAccess, "objects">): AdmissionPlugin {
  const annotations = [
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
  ];
  return {
    name: "DefaultStorageClass",
    handles: (operation) => operation === "CREATE",
    admit(attributes) {
      if (!isObjectOf(attributes, "persistentvolumeclaims") || attributes.object === undefined) return;
      const claim = typed<PersistentVolumeClaim>(attributes.object);
      if (claim.metadata.annotations?.[classAnnotation] !== undefined) return;
      if (claim.spec === undefined || claim.spec.storageClassName !== undefined) return;
      const found = youngest(
        objects
          .list(StorageClasses)
          .filter(({ metadata }) => annotations.some((annotation) => metadata.annotations?.[annotation] === "true")),
      );
      if (found?.metadata.name !== undefined) claim.spec.storageClassName = found.metadata.name;
    },
  };
}

/** Ingresses without a class get the cluster's default (plugin/pkg/admission/network/defaultingressclass). */
export function defaultIngressClass({ objects }: Pick<ServerAccess, "objects">): AdmissionPlugin {
  return {
    name: "DefaultIngressClass",
    handles: (operation) => operation === "CREATE",
    admit(attributes) {
      if (!isObjectOf(attributes, "ingresses.networking.k8s.io") || attributes.object === undefined) return;
      const ingress = typed<Ingress>(attributes.object);
      const spec = (ingress.spec ??= {});
      if (spec.ingressClassName !== undefined) return;
      if (ingress.metadata.annotations?.["kubernetes.io/ingress.class"] !== undefined) return;
      const found = youngest(
        objects
          .list(IngressClasses)
          .filter(({ metadata }) => metadata.annotations?.["ingressclass.kubernetes.io/is-default-class"] === "true"),
      );
      if (found?.metadata.name !== undefined) spec.ingressClassName = found.metadata.name;
    },
  };
}

const protections: Readonly<Record<string, string>> = {
  persistentvolumes: "kubernetes.io/pv-protection",
  persistentvolumeclaims: "kubernetes.io/pvc-protection",
  "volumeattributesclasses.storage.k8s.io": "kubernetes.io/vac-protection",
};

/** Volumes and claims stay while they are used (plugin/pkg/admission/storage/storageobjectinuseprotection). */
export const storageObjectInUseProtection: AdmissionPlugin = {
  name: "StorageObjectInUseProtection",
  handles: (operation) => operation === "CREATE",
  admit(attributes) {
    const { object, subresource } = attributes;
    const finalizer = protections[groupResource(attributes)];
    if (finalizer === undefined || object === undefined || subresource !== "") return;
    const { metadata } = typed<KubeObject>(object);
    if (!(metadata.finalizers ?? []).includes(finalizer)) {
      metadata.finalizers = [...(metadata.finalizers ?? []), finalizer];
    }
  },
};

/** Only bound claims of a class that allows it may grow (plugin/pkg/admission/storage/persistentvolume/resize). */
export function persistentVolumeClaimResize({ objects }: Pick<ServerAccess, "objects">): AdmissionPlugin {
  return {
    name: "PersistentVolumeClaimResize",
    handles: (operation) => operation === "UPDATE",
    validate(attributes) {
      const { object, oldObject } = attributes;
      if (!isObjectOf(attributes, "persistentvolumeclaims") || object === undefined || oldObject === undefined) return;
      const claim = typed<PersistentVolumeClaim>(object);
      const old = oldObject as unknown as PersistentVolumeClaim;
      const size = (one: PersistentVolumeClaim) => parseQuantity(one.spec?.resources?.requests?.["storage"] ?? "0");
      if (size(claim).cmp(size(old)) <= 0) return;
      if (old.status?.phase !== "Bound") {
        throw refusal(attributes, "Only bound persistent volume claims can be expanded");
      }
      const name = claimClass(claim);
      const grows =
        name !== "" && name === claimClass(old) && objects.get(StorageClasses, { name })?.allowVolumeExpansion === true;
      if (!grows) {
        throw refusal(
          attributes,
          "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize",
        );
      }
    },
  };
}
