import type { Conversion, Strategy, Subresource } from "../machinery/kind.ts";
import { apiServiceStrategy } from "./api-service.ts";
import { configMapStrategy, secretStrategy, serviceAccountStrategy } from "./core-config.ts";
import { eventConversion, eventsEventStrategy, eventStrategy } from "./core-event.ts";
import { finalizeSubresource, namespaceStrategy } from "./core-namespace.ts";
import { nodeStrategy } from "./core-node.ts";
import { limitRangeStrategy, resourceQuotaStrategy } from "./core-quota.ts";
import { persistentVolumeClaimStrategy } from "./core-volume-claim.ts";
import { persistentVolumeStrategy } from "./core-volume.ts";
import { endpointSliceStrategy, endpointsStrategy } from "./endpoints.ts";
import { ingressClassStrategy, ingressStrategy } from "./ingress.ts";
import { ipAddressStrategy, networkPolicyStrategy, serviceCidrStrategy } from "./networking.ts";
import { deviceClassStrategy, resourceClaimStrategy, resourceClaimTemplateStrategy } from "./resource-claim.ts";
import { nodeProxy, serviceProxy } from "./proxies.ts";
import { resourceSliceStrategy } from "./resource-slice.ts";
import { leaseStrategy, priorityClassStrategy, runtimeClassStrategy } from "./scheduling.ts";
import { serviceStrategy } from "./service.ts";
import {
  csiDriverStrategy,
  csiNodeStrategy,
  csiStorageCapacityStrategy,
  storageClassStrategy,
  volumeAttachmentStrategy,
  volumeAttributesClassStrategy,
} from "./storage.ts";

/** The rules of every built-in kind but pods and workloads, by `group/Kind`. */
export const otherStrategies: Readonly<Record<string, Strategy>> = {
  "/ConfigMap": configMapStrategy,
  "/Endpoints": endpointsStrategy,
  "/Event": eventStrategy,
  "/LimitRange": limitRangeStrategy,
  "/Namespace": namespaceStrategy,
  "/Node": nodeStrategy,
  "/PersistentVolume": persistentVolumeStrategy,
  "/PersistentVolumeClaim": persistentVolumeClaimStrategy,
  "/ResourceQuota": resourceQuotaStrategy,
  "/Secret": secretStrategy,
  "/Service": serviceStrategy,
  "/ServiceAccount": serviceAccountStrategy,
  "apiregistration.k8s.io/APIService": apiServiceStrategy,
  "coordination.k8s.io/Lease": leaseStrategy,
  "discovery.k8s.io/EndpointSlice": endpointSliceStrategy,
  "events.k8s.io/Event": eventsEventStrategy,
  "networking.k8s.io/IPAddress": ipAddressStrategy,
  "networking.k8s.io/Ingress": ingressStrategy,
  "networking.k8s.io/IngressClass": ingressClassStrategy,
  "networking.k8s.io/NetworkPolicy": networkPolicyStrategy,
  "networking.k8s.io/ServiceCIDR": serviceCidrStrategy,
  "node.k8s.io/RuntimeClass": runtimeClassStrategy,
  "resource.k8s.io/DeviceClass": deviceClassStrategy,
  "resource.k8s.io/ResourceClaim": resourceClaimStrategy,
  "resource.k8s.io/ResourceClaimTemplate": resourceClaimTemplateStrategy,
  "resource.k8s.io/ResourceSlice": resourceSliceStrategy,
  "scheduling.k8s.io/PriorityClass": priorityClassStrategy,
  "storage.k8s.io/CSIDriver": csiDriverStrategy,
  "storage.k8s.io/CSINode": csiNodeStrategy,
  "storage.k8s.io/CSIStorageCapacity": csiStorageCapacityStrategy,
  "storage.k8s.io/StorageClass": storageClassStrategy,
  "storage.k8s.io/VolumeAttachment": volumeAttachmentStrategy,
  "storage.k8s.io/VolumeAttributesClass": volumeAttributesClassStrategy,
};

/** What those kinds have below themselves, besides `status`. */
export const otherSubresources: Readonly<Record<string, readonly Omit<Subresource, "kind" | "schema" | "verbs">[]>> = {
  "/Namespace": [finalizeSubresource],
  "/Node": [nodeProxy],
  "/Service": [serviceProxy],
};

/** Versions that are not stored, by `group/version/Kind`. */
export const otherConversions: Readonly<
  Record<string, { readonly storageVersion: string; readonly conversion: Conversion }>
> = {
  "events.k8s.io/v1/Event": { storageVersion: "v1", conversion: eventConversion },
};
