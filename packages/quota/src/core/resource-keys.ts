import { cpuTypeLabel, gpuTypeLabel, memoryTypeLabel } from "@fleetwright/api";
import type { Amounts } from "./amounts.ts";

type Labels = Readonly<Record<string, string>>;

/** Native compute resources have no domain, or one of kubernetes.io; everything else is an extended resource (`IsNativeResource`). */
const isExtended = (name: string): boolean => name.includes("/") && !/(^|\.)kubernetes\.io\//.test(name);

const isGpuName = (name: string): boolean => /\/(gpu$|gpu[.-]|mig-)/.test(name);

/** Keys that ResourceQuota wants every container to name once they are limited. */
const mustBeNamed = ["cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"] as const;

/** `A4.v2` → `A4`, `A4.v2`: a use of a model counts for every key that is its prefix at a dot (mission D3). */
function modelPrefixes(model: string): readonly string[] {
  const parts = model.split(".");
  return parts
    .map((_, index) => parts.slice(0, index + 1).join("."))
    .filter((prefix) => prefix !== "" && !prefix.endsWith("."));
}

/** Which label names the model for a key, if any. */
function modelLabelOf(key: string): string | undefined {
  if (key === "cpu" || key === "requests.cpu" || key === "limits.cpu") return cpuTypeLabel;
  if (key === "memory" || key === "requests.memory" || key === "limits.memory") return memoryTypeLabel;
  return key.startsWith("requests.") && isGpuName(key) ? gpuTypeLabel : undefined;
}

/** The key and its model keys, from the workload's labels; never from the quota's keys, whose dots may belong to a resource's name. */
function withModels(key: string, labels: Labels): readonly string[] {
  const label = modelLabelOf(key);
  const model = label === undefined ? undefined : labels[label];
  return model ? [key, ...modelPrefixes(model).map((prefix) => `${key}.${prefix}`)] : [key];
}

/** Names under which ResourceQuota counts the requests and limits of one pod (`podComputeUsageHelper`), with the model keys. */
export function quotaKeys(resources: { requests: Amounts; limits: Amounts }, labels: Labels): Map<string, bigint> {
  const charge = new Map<string, bigint>();
  const put = (key: string, amount: bigint): void => {
    for (const name of withModels(key, labels)) charge.set(name, amount);
  };
  for (const [name, amount] of resources.requests) {
    if (name === "cpu" || name === "memory" || name === "ephemeral-storage" || name.startsWith("hugepages-")) {
      put(name, amount);
      put(`requests.${name}`, amount);
    } else if (isExtended(name)) put(`requests.${name}`, amount);
  }
  for (const [name, amount] of resources.limits) {
    if (name === "cpu" || name === "memory" || name === "ephemeral-storage") put(`limits.${name}`, amount);
  }
  return charge;
}

/** The keys that a container leaves out although ResourceQuota wants them named, with their model keys. */
export function unnamedKeys(
  resources: { requests?: object; limits?: object } | undefined,
  labels: Labels,
): readonly string[] {
  return mustBeNamed
    .filter((key) => {
      const side = key.startsWith("limits.") ? resources?.limits : resources?.requests;
      return !Object.hasOwn(side ?? {}, key.slice(key.indexOf(".") + 1));
    })
    .flatMap((key) => withModels(key, labels));
}

/** Whether anything could ever be charged under this key: an unknown one would look like a limit and be none. */
export function isKnownKey(key: string): boolean {
  if (/^(requests\.|limits\.)?(cpu|memory)(\.[A-Za-z0-9._-]+)?$/.test(key)) return true;
  if (/^(requests\.|limits\.)?ephemeral-storage$/.test(key)) return true;
  if (/^(requests\.)?hugepages-[0-9]+[A-Za-z]*$/.test(key)) return true;
  if (/^requests\.[A-Za-z0-9.-]+\/[A-Za-z0-9._-]+$/.test(key)) return true;
  if (/^(pods|requests\.storage|persistentvolumeclaims)$/.test(key)) return true;
  if (/^[a-z0-9.-]+\.storageclass\.storage\.k8s\.io\/(requests\.storage|persistentvolumeclaims)$/.test(key))
    return true;
  return /^count\/[a-z0-9-]+(\.[a-z0-9.-]+)?$/.test(key);
}
