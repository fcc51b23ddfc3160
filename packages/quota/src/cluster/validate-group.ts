import type { BizGroupResourceQuota } from "@fleetwright/api";
import type { AdmissionHandler, AdmissionRequest, Client } from "@fleetwright/kube";
import type { KubeObject } from "@fleetwright/kube";
import { quotaErrors, type Refusal } from "../errors.ts";
import { equal, noAmounts, parseAmounts } from "../core/amounts.ts";
import { checkAddedKeys, checkGroup, checkKeys, checkParent } from "../core/group-rules.ts";
import { readGroup } from "../core/group-state.ts";
import { isNewer } from "../core/recompute.ts";
import { groupKindName } from "../core/usage-index.ts";
import { deadlineOf, decide, type Admission } from "./decide.ts";
import { groups } from "./usage-cache.ts";

type Group = BizGroupResourceQuota & KubeObject;

/** `/validate-bizrq`: a group is granted its hard out of its parent's remainder before it is stored. */
export function validateGroup(admission: Admission, client: Client): AdmissionHandler {
  return decide(admission, "bizrq", async (request, signal) => {
    const after = request.object as Group | null | undefined;
    const before = request.oldObject as Group | null | undefined;
    if (request.operation === "DELETE") {
      const name = before?.metadata.name ?? request.name ?? "";
      const outcome = await admission.writer(name).close(deadlineOf(admission), signal, request.dryRun === true);
      return outcome.allowed || outcome.refusal.code === quotaErrors.unknownGroup ? undefined : outcome.refusal;
    }
    if (!after) return undefined;
    const wrong = checkGroup(after) ?? checkKeys(after, before ?? undefined) ?? (before && checkParent(after, before));
    if (wrong) return wrong;
    if (before) {
      const incomplete = await checkChildren(client, after, before, signal);
      if (incomplete) return incomplete;
    }
    return await grant(admission, request, after, before ?? undefined, signal);
  });
}

/** The ledger of the replaced object shows the children that are about to be stored; the list shows all others. */
async function checkChildren(
  client: Client,
  after: Group,
  before: Group,
  signal: AbortSignal,
): Promise<Refusal | undefined> {
  if (Object.keys(after.spec.hard).every((key) => before.spec.hard[key] !== undefined)) return undefined;
  const list = await client.list(groups, { signal });
  const children = list.items.filter((group) => group.spec.parentBizGroup === after.metadata.name);
  const versions = new Map(children.map(({ metadata }) => [metadata.uid, metadata.resourceVersion ?? ""]));
  const stored = children.map((group) => ({
    name: group.metadata.name ?? "",
    keys: new Set(Object.keys(group.spec.hard)),
  }));
  // A child that was stored since its hold was made is what the list says; any other may still be stored as it was admitted.
  const held = readGroup(before).ledger.holds.filter(
    (hold) => hold.kind === groupKindName && !isNewer(versions.get(hold.uid) ?? "", hold.base),
  );
  return checkAddedKeys(after, before, [
    ...stored,
    ...held.map(({ name, charge }) => ({ name, keys: new Set(charge.keys()) })),
  ]);
}

async function grant(
  admission: Admission,
  request: AdmissionRequest,
  after: Group,
  before: Group | undefined,
  signal: AbortSignal,
): Promise<Refusal | undefined> {
  const parent = after.spec.parentBizGroup ?? "";
  if (parent === "") return undefined;
  const hard = parseAmounts(after.spec.hard, "spec.hard");
  const granted = before ? parseAmounts(before.spec.hard, "spec.hard") : noAmounts;
  if (before && hard.size === granted.size && equal(hard, granted)) return undefined;
  const outcome = await admission.writer(parent).charge(
    {
      uid: after.metadata.uid ?? "",
      kind: groupKindName,
      namespace: "",
      name: after.metadata.name ?? "",
      base: before?.metadata.resourceVersion ?? "",
      before: granted,
      after: hard,
      dryRun: request.dryRun === true,
      childGroup: true,
    },
    deadlineOf(admission),
    signal,
  );
  if (outcome.allowed) return undefined;
  if (outcome.refusal.code !== quotaErrors.unknownGroup) return outcome.refusal;
  return {
    code: quotaErrors.unknownGroup,
    message: `bizrq "${after.metadata.name}": spec.parentBizGroup: there is no bizrq "${parent}": create it first, or leave the parent empty for a root`,
  };
}
