import { quotaErrors, type Refusal } from "../errors.ts";
import { printAmount, type Amounts } from "./amounts.ts";
import type { ChargeRequest, Lack } from "./admit.ts";

/** What a message says beside the numbers that decided. */
export interface GroupContext {
  /** From the root down to the group itself; empty when it is not known here yet. */
  readonly path: readonly Level[];
  readonly children: readonly { readonly name: string; readonly hard: Amounts }[];
}

export interface Level {
  readonly name: string;
  readonly hard: Amounts;
  readonly used: Amounts;
}

export const noContext: GroupContext = { path: [], children: [] };

const mostNamed = 3;

function holders(lack: Lack, context: GroupContext): string {
  const print = (amount: bigint): string => printAmount(lack.key, amount);
  const parts = [`${print(lack.usedBySelf)} used by itself`];
  if (lack.granted > 0n) {
    const granted = context.children
      .map(({ name, hard }) => ({ name, amount: hard.get(lack.key) ?? 0n }))
      .filter(({ amount }) => amount > 0n)
      .toSorted((left, right) => (left.amount > right.amount ? -1 : 1));
    const named = granted.slice(0, mostNamed).map(({ name, amount }) => `${print(amount)} granted to "${name}"`);
    const rest = lack.granted - granted.slice(0, mostNamed).reduce((sum, { amount }) => sum + amount, 0n);
    parts.push(...named);
    if (rest > 0n) parts.push(`${print(rest)} granted to ${named.length === 0 ? "groups below it" : "others"}`);
  }
  return parts.join(", ");
}

function lackText(lack: Lack, context: GroupContext): string {
  const print = (amount: bigint): string => printAmount(lack.key, amount);
  return `${lack.key} needs ${print(lack.needs)}, ${print(lack.left)} left of ${print(lack.hard)} (${holders(lack, context)})`;
}

function levelsText(lacks: readonly Lack[], context: GroupContext): string {
  const key = lacks[0]?.key;
  if (key === undefined || context.path.length < 2) return "";
  const levels = context.path.slice(0, -1).map(({ name, hard, used }) => {
    const limit = hard.get(key);
    if (limit === undefined) return `"${name}" does not limit it`;
    const left = limit - (used.get(key) ?? 0n);
    return `"${name}" has ${printAmount(key, left > 0n ? left : 0n)} left of ${printAmount(key, limit)}`;
  });
  return `; above it, ${key}: ${levels.join(", ")}`;
}

/**
 * The sum, spelled out: what is needed at every key that lacks, what is left and who has it, and what the groups above have left.
 *
 * @example
 * // quota "vision": requests.nvidia.com/gpu needs 8, 3 left of 16 (5 used by itself, 8 granted to "vision-ocr")
 */
export function exceeded(
  group: string,
  request: ChargeRequest,
  lacks: readonly Lack[],
  context: GroupContext,
): Refusal {
  const sorted = lacks.toSorted((left, right) => (left.key < right.key ? -1 : 1));
  const sum = sorted.map((lack) => lackText(lack, context)).join("; ");
  const who = request.childGroup ? `bizrq "${request.name}" does not fit into its parent: ` : "";
  return { code: quotaErrors.exceeded, message: `${who}quota "${group}": ${sum}${levelsText(sorted, context)}` };
}

/** Why a group can't be deleted. */
export function inUse(group: string, self: Amounts, children: number, context: GroupContext): Refusal {
  const names = context.children.map(({ name }) => `"${name}"`);
  const message =
    children > 0
      ? `bizrq "${group}" can't be deleted: ${names.length > 0 ? names.slice(0, mostNamed).join(", ") : "another group"}${names.length > mostNamed ? ` and ${names.length - mostNamed} more` : ""} stand below it: only leaves can go`
      : `bizrq "${group}" can't be deleted: its workloads use ${
          [...self]
            .filter(([, amount]) => amount > 0n)
            .map(([key, amount]) => `${key} ${printAmount(key, amount)}`)
            .join(", ") || "some of it"
        }: delete them or move them to another group first`;
  return { code: quotaErrors.groupInUse, message };
}
