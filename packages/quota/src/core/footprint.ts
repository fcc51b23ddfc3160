import { groupResourceOf, type KubeObject } from "@fleetwright/kube";
import { addInto, parseAmount, times, type Amounts } from "./amounts.ts";
import { hasPodLevelResources, podResources } from "./pod-resources.ts";
import { withDefaults, type ClaimSpec, type NamespaceDefaults, type PodSpec } from "./pod-template.ts";
import { quotaKeys, unnamedKeys } from "./resource-keys.ts";
import type { WorkloadKind } from "./workload-kind.ts";

const one = 1_000_000_000n;

/** What a workload is charged for, by ResourceQuota's rules, with its model keys. */
export interface Footprint {
  readonly charge: Amounts;
  readonly replicas: number;
  /** What one more replica costs. */
  readonly perReplica: Amounts;
  /** Keys that must be specified once they are limited, with the containers that leave them out. */
  readonly unspecified: ReadonlyMap<string, readonly string[]>;
}

/**
 * Replicas × template.
 *
 * @param replicas instead of what the object asks for (a scale request)
 * @throws FW_QUOTA_QUANTITY when a quantity can't be read
 */
export function footprint(
  kind: WorkloadKind,
  object: KubeObject,
  defaults: NamespaceDefaults,
  replicas: number = kind.replicas(object),
): Footprint {
  const template = kind.template(object);
  const spec = kind.defaulted ? (template.spec ?? {}) : withDefaults(template.spec ?? {}, defaults);
  const labels = object.metadata.labels ?? {};
  const isPod = kind.resource.kind === "Pod" && kind.resource.group === "";
  const perReplica = quotaKeys(podResources(spec), labels);
  perReplica.set("pods", one);
  if (!isPod) perReplica.set("count/pods", one);
  for (const claim of [...(kind.claims?.(object) ?? []), ...ephemeralClaims(spec)])
    addInto(perReplica, claimUsage(claim));

  const charge = new Map(times(perReplica, BigInt(replicas)));
  // ResourceQuota counts objects for as long as they are stored, whatever their state.
  charge.set(`count/${groupResourceOf(kind.resource)}`, one);
  return { charge, replicas, perReplica, unspecified: replicas > 0 ? unspecifiedOf(spec, labels) : new Map() };
}

function unspecifiedOf(
  spec: PodSpec,
  labels: Readonly<Record<string, string>>,
): ReadonlyMap<string, readonly string[]> {
  const unspecified = new Map<string, string[]>();
  if (hasPodLevelResources(spec)) return unspecified;
  for (const container of [...(spec.containers ?? []), ...(spec.initContainers ?? [])]) {
    for (const key of unnamedKeys(container.resources, labels)) {
      const names = unspecified.get(key);
      if (names) names.push(container.name);
      else unspecified.set(key, [container.name]);
    }
  }
  return unspecified;
}

function ephemeralClaims(spec: PodSpec): readonly ClaimSpec[] {
  return (spec.volumes ?? []).flatMap((volume) => volume.ephemeral?.volumeClaimTemplate?.spec ?? []);
}

/** ResourceQuota's evaluator of claims: storage in whole bytes, in total and by storage class. */
function claimUsage(claim: ClaimSpec): Amounts {
  const usage = new Map([
    ["persistentvolumeclaims", one],
    ["count/persistentvolumeclaims", one],
  ]);
  const requested = claim.resources?.requests?.["storage"];
  const bytes =
    requested === undefined
      ? undefined
      : roundUp(parseAmount(requested, "volumeClaimTemplates.resources.requests.storage"));
  if (bytes !== undefined) usage.set("requests.storage", bytes);
  if (claim.storageClassName) {
    const prefix = `${claim.storageClassName}.storageclass.storage.k8s.io`;
    usage.set(`${prefix}/persistentvolumeclaims`, one);
    if (bytes !== undefined) usage.set(`${prefix}/requests.storage`, bytes);
  }
  return usage;
}

const roundUp = (nano: bigint): bigint => ((nano + one - 1n) / one) * one;
