import {
  parseQuantity,
  type Container,
  type EphemeralContainer,
  type Pod,
  type PodSpec,
  type PodTemplateSpec,
  type Probe,
  type Volume,
} from "@fleetwright/kube";
import type { Mutable } from "../machinery/draft.ts";
import { defaultPodLevelResources } from "./pod-level-resources.ts";
import { roundAmounts } from "./resource-names.ts";

/** Defaults of pods and their parts: pkg/apis/core/v1/defaults.go, zz_generated.defaults.go and conversion.go. */
type AnyContainer = Mutable<Container> | Mutable<EphemeralContainer>;

const configMode = 0o644;

/** Sets fields that are absent or empty, as Go's zero values are. */
function fill<T extends object>(target: T, values: Partial<T>): void {
  for (const [key, value] of Object.entries(values) as [keyof T, T[keyof T]][]) {
    const current: unknown = target[key];
    if (current === undefined || current === null || current === "" || current === 0) target[key] = value;
  }
}

/** `parsers.ParseImageName`: the tag of an image, `latest` when it has neither tag nor digest, nothing when it is none. */
function imageTag(image: string): string | undefined {
  const digestAt = image.indexOf("@");
  const named = digestAt === -1 ? image : image.slice(0, digestAt);
  const last = named.slice(named.lastIndexOf("/") + 1);
  const colon = last.indexOf(":");
  const repository = colon === -1 ? last : last.slice(0, colon);
  if (!/^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/.test(repository)) return undefined;
  if (colon !== -1) return last.slice(colon + 1);
  return digestAt === -1 ? "latest" : "";
}

const pullPolicyOf = (image: string | undefined): string =>
  imageTag(image ?? "") === "latest" ? "Always" : "IfNotPresent";

function defaultHttpGet(action: { path?: string; scheme?: string } | undefined): void {
  if (action) fill(action, { path: "/", scheme: "HTTP" });
}

function defaultProbe(probe: Mutable<Probe> | undefined): void {
  if (!probe) return;
  fill(probe, { timeoutSeconds: 1, periodSeconds: 10, successThreshold: 1, failureThreshold: 3 });
  defaultHttpGet(probe.httpGet);
  if (probe.grpc) probe.grpc.service ??= "";
}

/** Amounts as Go writes them again: `0.5` becomes `500m`. */
function canonicalAmounts(amounts: Record<string, string> | undefined): void {
  roundAmounts(amounts);
  for (const [name, text] of Object.entries(amounts ?? {})) {
    const canonical = canonicalAmount(text);
    if (amounts && canonical !== text) amounts[name] = canonical;
  }
}

/** One amount in its canonical form. Schemas have refused what is no quantity. */
const canonicalAmount = (text: string | number): string => parseQuantity(String(text)).toString();

function defaultResourceField(reference: { divisor?: string } | undefined): void {
  if (reference) reference.divisor = canonicalAmount(reference.divisor ?? "0");
}

function defaultContainer(container: AnyContainer): void {
  fill(container, {
    imagePullPolicy: pullPolicyOf(container.image),
    terminationMessagePath: "/dev/termination-log",
    terminationMessagePolicy: "File",
  });
  container.resources ??= {};
  canonicalAmounts(container.resources.limits);
  canonicalAmounts(container.resources.requests);
  for (const port of container.ports ?? []) fill(port, { protocol: "TCP" });
  for (const { valueFrom } of container.env ?? []) {
    if (valueFrom?.fieldRef) fill(valueFrom.fieldRef, { apiVersion: "v1" });
    defaultResourceField(valueFrom?.resourceFieldRef);
    if (valueFrom?.fileKeyRef) valueFrom.fileKeyRef.optional ??= false;
  }
  for (const probe of [container.livenessProbe, container.readinessProbe, container.startupProbe]) defaultProbe(probe);
  defaultHttpGet(container.lifecycle?.postStart?.httpGet);
  defaultHttpGet(container.lifecycle?.preStop?.httpGet);
}

const defaultFieldItems = (
  items: { fieldRef?: { apiVersion?: string }; resourceFieldRef?: { divisor?: string } }[] | undefined,
): void => {
  for (const item of items ?? []) {
    if (item.fieldRef) fill(item.fieldRef, { apiVersion: "v1" });
    defaultResourceField(item.resourceFieldRef);
  }
};

function defaultVolume(volume: Mutable<Volume>): void {
  const sources = Object.entries(volume).filter(([key, value]) => key !== "name" && value !== undefined);
  if (sources.every(([, value]) => value === null)) volume.emptyDir = {};
  if (volume.emptyDir?.sizeLimit !== undefined) volume.emptyDir.sizeLimit = canonicalAmount(volume.emptyDir.sizeLimit);
  if (volume.image) fill(volume.image, { pullPolicy: pullPolicyOf(volume.image.reference) });
  if (volume.hostPath) volume.hostPath.type ??= "";
  if (volume.secret) volume.secret.defaultMode ??= configMode;
  if (volume.configMap) volume.configMap.defaultMode ??= configMode;
  if (volume.iscsi) fill(volume.iscsi, { iscsiInterface: "default" });
  if (volume.rbd) fill(volume.rbd, { pool: "rbd", user: "admin", keyring: "/etc/ceph/keyring" });
  if (volume.scaleIO) fill(volume.scaleIO, { storageMode: "ThinProvisioned", fsType: "xfs" });
  if (volume.azureDisk) {
    volume.azureDisk.cachingMode ??= "ReadWrite";
    volume.azureDisk.kind ??= "Shared";
    volume.azureDisk.fsType ??= "ext4";
    volume.azureDisk.readOnly ??= false;
  }
  if (volume.downwardAPI) {
    volume.downwardAPI.defaultMode ??= configMode;
    defaultFieldItems(volume.downwardAPI.items);
  }
  if (volume.projected) {
    volume.projected.defaultMode ??= configMode;
    for (const source of volume.projected.sources ?? []) {
      if (source.serviceAccountToken) source.serviceAccountToken.expirationSeconds ??= 3600;
      defaultFieldItems(source.downwardAPI?.items);
    }
  }
  const claim = volume.ephemeral?.volumeClaimTemplate;
  if (claim) {
    claim.metadata ??= {};
    claim.spec ??= {};
    claim.spec.volumeMode ??= "Filesystem";
    claim.spec.resources ??= {};
    canonicalAmounts(claim.spec.resources.limits);
    canonicalAmounts(claim.spec.resources.requests);
  }
}

/** Every container of a spec, whatever its kind. */
const allContainers = (spec: Mutable<PodSpec>): AnyContainer[] => [
  ...(spec.initContainers ?? []),
  ...(spec.containers ?? []),
  ...(spec.ephemeralContainers ?? []),
];

/** `SetDefaults_PodSpec` and the defaults of everything in it. */
function defaultPodSpec(spec: Mutable<PodSpec>): void {
  spec.containers ??= [];
  // `serviceAccount` is the older name of the same field.
  const account = spec.serviceAccountName || spec.serviceAccount;
  if (account && spec.serviceAccountName !== account) spec.serviceAccountName = account;
  if (account && spec.serviceAccount !== account) spec.serviceAccount = account;
  fill(spec, { dnsPolicy: "ClusterFirst", restartPolicy: "Always", schedulerName: "default-scheduler" });
  spec.securityContext ??= {};
  spec.terminationGracePeriodSeconds ??= 30;
  for (const volume of spec.volumes ?? []) defaultVolume(volume);
  for (const container of allContainers(spec)) defaultContainer(container);
  canonicalAmounts(spec.overhead);
  canonicalAmounts(spec.resources?.limits);
  canonicalAmounts(spec.resources?.requests);
}

/** A template's defaults: what becomes a pod later. */
export function defaultPodTemplate(template: Mutable<PodTemplateSpec>): void {
  template.metadata ??= {};
  template.spec ??= { containers: [] };
  defaultPodSpec(template.spec);
}

function defaultRequests(container: Mutable<Container>): void {
  const { resources } = container;
  if (!resources?.limits) return;
  const { limits, requests = {} } = resources;
  if (Object.keys(limits).every((name) => requests[name] !== undefined)) return;
  resources.requests = { ...limits, ...requests };
}

/** `SetDefaults_Pod`, with what only pods get: requests from limits, host ports, service links. */
export function defaultPod(pod: Mutable<Pod>): void {
  pod.spec ??= { containers: [] };
  const { spec } = pod;
  defaultPodSpec(spec);
  // Not in templates, which have always been stored as they came.
  if ((spec.terminationGracePeriodSeconds ?? 0) < 0) spec.terminationGracePeriodSeconds = 1;
  const containers = [...(spec.containers ?? []), ...(spec.initContainers ?? [])];
  for (const container of containers) defaultRequests(container);
  defaultPodLevelResources(spec);
  spec.enableServiceLinks ??= true;
  if (spec.hostNetwork === true) {
    for (const port of containers.flatMap((container) => container.ports ?? [])) {
      if (!port.hostPort) port.hostPort = port.containerPort;
    }
  }
  if (pod.status) alignAddresses(pod.status);
}

/** `podIP` and the first of `podIPs` say the same; where they differ, the older field wins. */
function alignAddresses(status: NonNullable<Mutable<Pod>["status"]>): void {
  const { podIP, podIPs } = status;
  if (podIP && podIPs?.[0]?.ip !== podIP) status.podIPs = [{ ip: podIP }];
  else if (!podIP && podIPs?.[0]) status.podIP = podIPs[0].ip;
}
