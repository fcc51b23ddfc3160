import { maxGroupNameLength, type BizGroupResourceQuota } from "@fleetwright/api";
import { FleetwrightError } from "@fleetwright/kube";
import { quotaErrors, type Refusal } from "../errors.ts";
import { parseAmounts } from "./amounts.ts";
import { isKnownKey } from "./resource-keys.ts";

const no = (message: string): Refusal => ({ code: quotaErrors.group, message });

/** What a group says by itself. The CRD's rules say most of it too, so that it holds without the webhook. */
export function checkGroup(group: BizGroupResourceQuota): Refusal | undefined {
  const { name = "" } = group.metadata;
  const parent = group.spec.parentBizGroup ?? "";
  if (name.length > maxGroupNameLength)
    return no(`bizrq "${name}": the name has ${name.length} characters; at most ${maxGroupNameLength} fit a label`);
  if (parent === name) return no(`bizrq "${name}": spec.parentBizGroup: a group can't be its own parent`);
  const budget = Object.keys(group.spec.hard).find((key) => key.startsWith("cash/"));
  if (budget !== undefined)
    return no(`bizrq "${name}": spec.hard["${budget}"]: budgets are not enforced yet: remove it`);
  try {
    for (const [key, amount] of parseAmounts(group.spec.hard, "spec.hard"))
      if (amount < 0n) return no(`bizrq "${name}": spec.hard["${key}"]: ${String(group.spec.hard[key])} is negative`);
  } catch (error) {
    if (error instanceof FleetwrightError) return no(`bizrq "${name}": ${error.message}`);
    throw error;
  }
  return undefined;
}

/** Keys that nothing could ever be charged under: they would look like limits and be none. */
export function checkKeys(
  group: BizGroupResourceQuota,
  before: BizGroupResourceQuota | undefined,
): Refusal | undefined {
  const unknown = Object.keys(group.spec.hard).filter(
    (key) => before?.spec.hard[key] === undefined && !isKnownKey(key),
  );
  if (unknown.length === 0) return undefined;
  return no(
    `bizrq "${group.metadata.name}": spec.hard: nothing is ever charged as ${unknown.map((key) => `"${key}"`).join(", ")}; write it as a ResourceQuota ` +
      `would: limits.cpu, requests.memory, requests.nvidia.com/gpu, pods, count/deployments.apps; with a model: limits.cpu.A4`,
  );
}

/** The parent of a group stays what it was when the group was created. */
export function checkParent(group: BizGroupResourceQuota, before: BizGroupResourceQuota): Refusal | undefined {
  const [from, to] = [before.spec.parentBizGroup ?? "", group.spec.parentBizGroup ?? ""];
  if (from === to) return undefined;
  return no(
    `bizrq "${group.metadata.name}": spec.parentBizGroup is "${from}" and can't be changed to "${to}": create another group`,
  );
}

/** @param children names and keys of the groups below, with those that are about to be stored */
export function checkAddedKeys(
  group: BizGroupResourceQuota,
  before: BizGroupResourceQuota,
  children: readonly { readonly name: string; readonly keys: ReadonlySet<string> }[],
): Refusal | undefined {
  const added = Object.keys(group.spec.hard).filter((key) => before.spec.hard[key] === undefined);
  for (const key of added) {
    const without = [...new Set(children.filter(({ keys }) => !keys.has(key)).map(({ name }) => `"${name}"`))];
    if (without.length > 0)
      return no(
        `bizrq "${group.metadata.name}": spec.hard["${key}"] can't be added: ${without.join(", ")} below it ` +
          `${without.length === 1 ? "lacks" : "lack"} it; add it there first`,
      );
  }
  return undefined;
}
