import { Quantity, ResourceQuotas, type KubeObject, type Pod, type ResourceQuota } from "@fleetwright/kube";
import type { AdmissionAttributes, AdmissionPlugin } from "../machinery/admission.ts";
import type { Mutable } from "../machinery/draft.ts";
import type { ServerAccess } from "../machinery/request.ts";
import { amountsOf, type Amounts } from "./pod-resources.ts";
import { missingContainerResources, objectUsage, quotaMatches, quotaNames } from "./quota-usage.ts";
import { groupResource, refusal } from "./refusal.ts";

/** Never counted (pkg/quota/v1/install `DefaultIgnoredResources`). */
const ignored: ReadonlySet<string> = new Set(["bindings", "componentstatuses", "events", "events.events.k8s.io"]);

interface Reservation {
  readonly namespace: string;
  readonly name: string;
  readonly amounts: Amounts;
}

const text = (amounts: Amounts, names: readonly string[]): string =>
  names
    .toSorted()
    .map((name) => `${name}=${(amounts.get(name) ?? Quantity.zero).toString()}`)
    .join(",");

const isTerminating = (object: KubeObject): boolean => ((object as Pod).spec?.activeDeadlineSeconds ?? -1) >= 0;

/** Whether this write can change what is used. */
function handles({ operation, subresource, object, oldObject }: AdmissionAttributes, resource: string): boolean {
  if (ignored.has(resource) || object === undefined) return false;
  if (subresource === "resize") return resource === "pods" && operation === "UPDATE";
  if (subresource !== "") return resource === "persistentvolumeclaims" && subresource === "status";
  if (operation === "CREATE") return true;
  if (resource === "services" || resource === "persistentvolumeclaims") return true;
  return (
    resource === "pods" &&
    oldObject !== undefined &&
    isTerminating(object as unknown as KubeObject) !== isTerminating(oldObject as unknown as KubeObject)
  );
}

/** What the write adds; a part that shrinks gives nothing back here, the quota's controller does. */
function added(usage: Amounts, before: Amounts | undefined): Amounts {
  const more: Amounts = new Map();
  for (const [name, amount] of usage) {
    const difference = before === undefined ? amount : amount.sub(before.get(name) ?? Quantity.zero);
    if (difference.sign > 0) more.set(name, difference);
  }
  return more;
}

/**
 * No namespace uses more than its ResourceQuotas allow (apiserver/pkg/admission/plugin/resourcequota). What a write adds
 * is put on the quota's status before the write, so that two writes never take the same place, and given back when the
 * write does not happen.
 */
export function resourceQuota(server: Pick<ServerAccess, "objects" | "modify" | "clock">): AdmissionPlugin {
  const reservations = new WeakMap<AdmissionAttributes, Reservation[]>();

  /** What of `delta` this quota counts, when it has the room. Throws 403. */
  function counted(attributes: AdmissionAttributes, quota: ResourceQuota, delta: Amounts): Amounts {
    const hard = amountsOf(quota.status?.hard);
    const used = amountsOf(quota.status?.used);
    const mine: Amounts = new Map([...delta].filter(([name]) => hard.has(name)));
    const exceeded =
      attributes.subresource === "status"
        ? []
        : [...mine].flatMap(([name, amount]) => {
            const most = hard.get(name) ?? Quantity.zero;
            return (used.get(name) ?? Quantity.zero).add(amount).cmp(most) > 0 ? [name] : [];
          });
    if (exceeded.length === 0) return mine;
    throw refusal(
      attributes,
      `exceeded quota: ${quota.metadata.name}, requested: ${text(mine, exceeded)}, used: ${text(used, exceeded)}, limited: ${text(hard, exceeded)}`,
    );
  }

  /** Quotas that this write adds to, with what it adds. Throws 403. */
  function demands(
    attributes: AdmissionAttributes,
    resource: string,
  ): readonly { readonly quota: ResourceQuota; readonly delta: Amounts }[] {
    const object = attributes.object as unknown as KubeObject;
    const old = attributes.oldObject as unknown as KubeObject | undefined;
    const matching = server.objects
      .list(ResourceQuotas, attributes.namespace)
      .filter((quota) => quotaMatches(quota, resource, object));
    for (const quota of matching) {
      const names = quotaNames(resource, Object.keys(quota.status?.hard ?? {}));
      const missing = resource === "pods" ? missingContainerResources(names, object as Pod) : undefined;
      if (missing !== undefined) {
        throw refusal(attributes, `failed quota: ${quota.metadata.name}: must specify ${missing}`);
      }
      if (names.some((name) => !Object.hasOwn(quota.status?.used ?? {}, name))) {
        throw refusal(
          attributes,
          `status unknown for quota: ${quota.metadata.name}, resources: ${names.toSorted().join(",")}`,
        );
      }
    }
    if (matching.length === 0) return [];
    const nowMs = server.clock.now();
    const usage = objectUsage(resource, object, nowMs);
    const negative = [...usage].filter(([, amount]) => amount.sign < 0).map(([name]) => name);
    if (negative.length > 0) {
      throw refusal(attributes, `quota usage is negative for resource(s): ${negative.toSorted().join(",")}`);
    }
    const before = old === undefined ? undefined : objectUsage(resource, old, nowMs);
    return matching.flatMap((quota) => {
      const delta = added(usage, old !== undefined && quotaMatches(quota, resource, old) ? before : undefined);
      return delta.size === 0 ? [] : [{ quota, delta }];
    });
  }

  function change(quota: Mutable<ResourceQuota>, amounts: Amounts, direction: 1 | -1): void {
    const status = (quota.status ??= {});
    const used = amountsOf(status.used);
    for (const [name, amount] of amounts) {
      const sum = (used.get(name) ?? Quantity.zero).add(direction === 1 ? amount : amount.neg());
      used.set(name, sum.sign < 0 ? Quantity.zero : sum);
    }
    status.used = Object.fromEntries([...used].map(([name, amount]) => [name, amount.toString()]));
  }

  async function giveBack(taken: readonly Reservation[]): Promise<void> {
    for (const { namespace, name, amounts } of taken) {
      // A quota that was deleted meanwhile has nothing to be given back to.
      if (server.objects.get(ResourceQuotas, { namespace, name }) === undefined) continue;
      await server.modify(ResourceQuotas, { namespace, name }, (quota) => change(quota, amounts, -1));
    }
  }

  async function reserve(attributes: AdmissionAttributes, resource: string): Promise<void> {
    const wanted = demands(attributes, resource);
    // All are looked at before any is raised: mostly one refusal is all that happens.
    for (const { quota, delta } of wanted) counted(attributes, quota, delta);
    if (attributes.dryRun) return;
    const taken: Reservation[] = [];
    try {
      for (const { quota, delta } of wanted) {
        const key = { namespace: attributes.namespace, name: quota.metadata.name ?? "" };
        let amounts: Amounts = new Map();
        await server.modify(ResourceQuotas, key, (current) => {
          amounts = counted(attributes, current as ResourceQuota, delta);
          if (amounts.size === 0) return false;
          change(current, amounts, 1);
          return true;
        });
        if (amounts.size > 0) taken.push({ ...key, amounts });
      }
    } catch (error) {
      await giveBack(taken);
      throw error;
    }
    if (taken.length > 0) reservations.set(attributes, taken);
  }

  return {
    name: "ResourceQuota",
    handles: (operation) => operation === "CREATE" || operation === "UPDATE",
    validate(attributes) {
      if (attributes.namespace === "" || attributes.kind.kind === "Namespace") return undefined;
      const resource = groupResource(attributes);
      if (!handles(attributes, resource)) return undefined;
      if (server.objects.list(ResourceQuotas, attributes.namespace).length === 0) return undefined;
      return reserve(attributes, resource);
    },
    settle(attributes, stored) {
      const taken = reservations.get(attributes);
      reservations.delete(attributes);
      return stored || taken === undefined ? undefined : giveBack(taken);
    },
  };
}
