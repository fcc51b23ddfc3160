import type { PersistentVolume } from "@fleetwright/kube";

/** What kube-controller-manager itself can do with a volume: nearly nothing since CSI (cmd/kube-controller-manager/app/plugins.go). */

const dynamicallyProvisioned = "pv.kubernetes.io/provisioned-by";
const ownPrefix = "kubernetes.io/";
/** Those that it finds by name. */
const known = ["kubernetes.io/host-path", "kubernetes.io/nfs"];

/** How a released volume is deleted. */
export type Deletion =
  | { readonly kind: "delete" }
  /** By somebody else. */
  | { readonly kind: "external" }
  | { readonly kind: "failed"; readonly message: string };

/** `deleteVolumeOperation`, without a look at any disk. */
export function deletionOf({ metadata, spec }: PersistentVolume): Deletion {
  const { name = "", annotations = {} } = metadata;
  const provisioner = annotations[dynamicallyProvisioned] ?? "";
  if (provisioner !== "" && provisioner !== "kubernetes.io/host-path") {
    if (!provisioner.startsWith(ownPrefix)) return { kind: "external" };
    const message = known.includes(provisioner) ? "no deletable volume plugin matched" : noPlugin(provisioner);
    return { kind: "failed", message };
  }
  if (spec?.csi !== undefined) return { kind: "external" };
  const { path } = spec?.hostPath ?? {};
  if (path === undefined) {
    const why = spec?.nfs === undefined ? "no volume plugin matched" : "no deletable volume plugin matched";
    return { kind: "failed", message: `error getting deleter volume plugin for volume "${name}": ${why}` };
  }
  if (/\/tmp\/.+/.test(path)) return { kind: "delete" };
  return { kind: "failed", message: `host_path deleter only supports /tmp/.+ but received provided ${path}` };
}

/** Who makes a volume of a class. */
export type Provisioning =
  | { readonly kind: "external" }
  /** @param begins whether the claim is given to the provisioner all the same */
  | { readonly kind: "failed"; readonly message: string; readonly begins: boolean };

/** `findProvisionablePlugin`: providers that became CSI drivers are not translated. */
export function provisioningBy(provisioner: string): Provisioning {
  if (!provisioner.startsWith(ownPrefix)) return { kind: "external" };
  if (provisioner === "kubernetes.io/host-path") {
    const message = `Failed to create provisioner: provisioning in volume plugin "${provisioner}" is disabled`;
    return { kind: "failed", message, begins: true };
  }
  const message = known.includes(provisioner) ? "no provisionable volume plugin matched" : noPlugin(provisioner);
  return { kind: "failed", message, begins: false };
}

const noPlugin = (name: string): string => `no volume plugin matched name: ${name}`;

/** Whether there is something that empties the volume (`Recycle`). */
export const isRecyclable = ({ spec }: PersistentVolume): boolean =>
  spec?.hostPath !== undefined || spec?.nfs !== undefined;
