import { quotaErrors, type Refusal } from "../errors.ts";
import { add, addInto, excess, isZero, max, type Amounts } from "./amounts.ts";
import type { GroupView, Part } from "./group-view.ts";
import { holdBytes } from "./ledger-codec.ts";
import { isSameSlot, usedOf, type Hold, type Ledger } from "./ledger.ts";
import { heldTermOf, partOf, termOf } from "./recompute.ts";

/** Somebody wants an object to use this much of a group. */
export interface ChargeRequest {
  readonly uid: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  /** The resource version that is replaced; `""` for a create. */
  readonly base: string;
  /** What the replaced object used of this group; nothing if it was not in it. */
  readonly before: Amounts;
  /** What the object will use. */
  readonly after: Amounts;
  /** Keys that must be specified once they are limited, with the containers that leave them out. */
  readonly unspecified?: ReadonlyMap<string, readonly string[]>;
  /** Evaluated like any other, but nothing is charged. */
  readonly dryRun?: boolean;
  /** A child group: it must name all of the parent's keys, and it occupies a place in the tree even if it asks for nothing. */
  readonly childGroup?: boolean;
}

/** One key that does not fit. */
export interface Lack {
  readonly key: string;
  readonly needs: bigint;
  readonly left: bigint;
  readonly hard: bigint;
  readonly usedBySelf: bigint;
  readonly granted: bigint;
}

export type Verdict =
  | { readonly kind: "allowed" }
  /** It can be refused on a state that was read live only: this one may be behind. */
  | { readonly kind: "lacking"; readonly lacks: readonly Lack[] }
  | { readonly kind: "refused"; readonly refusal: Refusal };

export interface LedgerBounds {
  /** @default 512 */
  readonly maxHolds: number;
  /** @default 262144 */
  readonly maxBytes: number;
}

export const defaultBounds: LedgerBounds = { maxHolds: 512, maxBytes: 256 * 1024 };

export interface AdmitContext {
  readonly group: string;
  readonly hard: Amounts;
  readonly view: GroupView;
  /** Parts that {@link recompute} has just counted from `view`. */
  readonly fresh: ReadonlySet<Part>;
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** How long a closing mark and a hold live, in milliseconds. */
  readonly holdLifeMs: number;
  readonly bounds: LedgerBounds;
}

/** A group's ledger and what has been folded into it. */
export interface Fold {
  readonly ledger: Ledger;
  readonly verdicts: readonly Verdict[];
}

/** Evaluates requests in the order of their arrival on one state. What one is granted, the next can't have. */
export function admit(ledger: Ledger, requests: readonly ChargeRequest[], context: AdmitContext): Fold {
  let current = ledger;
  let bytes = ledger.holds.reduce((sum, hold) => sum + holdBytes(hold), 0);
  const verdicts = requests.map((request): Verdict => {
    const evaluated = evaluate(current, request, context);
    if (evaluated.verdict.kind !== "allowed" || evaluated.hold === undefined || request.dryRun)
      return evaluated.verdict;
    const next = withHold(current, evaluated.hold, request.childGroup === true);
    const nextBytes = bytes + next.addedBytes;
    if (
      next.ledger.holds.length > current.holds.length &&
      (next.ledger.holds.length > context.bounds.maxHolds || nextBytes > context.bounds.maxBytes)
    )
      return { kind: "refused", refusal: full(context.group) };
    bytes = nextBytes;
    current = charged(next.ledger, partOf(request.kind, context.view), evaluated.need);
    return evaluated.verdict;
  });
  return { ledger: current, verdicts };
}

function full(group: string): Refusal {
  return {
    code: quotaErrors.busy,
    message: `quota "${group}": too many admissions are waiting to become visible; try again`,
    retryAfterSeconds: 1,
  };
}

/** Whether the closing mark of a ledger still holds. */
export function isClosing(ledger: Ledger, context: Pick<AdmitContext, "now" | "holdLifeMs">): boolean {
  return ledger.closingSince !== undefined && context.now - ledger.closingSince < context.holdLifeMs;
}

interface Evaluated {
  readonly verdict: Verdict;
  readonly need: Amounts;
  readonly hold?: Hold;
}

const refusedWith = (code: Refusal["code"], message: string): Evaluated => ({
  verdict: { kind: "refused", refusal: { code, message } },
  need: new Map(),
});

function evaluate(ledger: Ledger, request: ChargeRequest, context: AdmitContext): Evaluated {
  const { group, hard, view } = context;
  const rises = !isZero(excess(request.after, request.before));
  const allowed: Verdict = { kind: "allowed" };
  if (!rises && !request.childGroup) return { verdict: allowed, need: new Map() };
  if (isClosing(ledger, context))
    return refusedWith(
      quotaErrors.closing,
      `quota "${group}" is being deleted: name another group in the label, or wait`,
    );
  if (request.childGroup) {
    const missing = [...hard.keys()].filter((key) => !request.after.has(key));
    if (missing.length > 0)
      return refusedWith(
        quotaErrors.group,
        `bizrq "${request.name}": spec.hard lacks ${missing.join(", ")}, which its parent "${group}" limits: a child names at least its parent's keys`,
      );
    // A key that the child no longer names must be known to whoever adds it to the parent: only a write makes it so.
    const dropsKeys = [...request.before.keys()].some((key) => !request.after.has(key));
    if (!rises && request.base !== "" && !dropsKeys) return { verdict: allowed, need: new Map() };
  }
  const unspecified = [...(request.unspecified ?? [])].filter(([key]) => hard.has(key));
  if (unspecified.length > 0) {
    const list = unspecified.map(([key, containers]) => `${key} for: ${containers.join(",")}`).join("; ");
    return refusedWith(quotaErrors.unspecified, `quota "${group}": must specify ${list}`);
  }
  const known = context.fresh.has(partOf(request.kind, view))
    ? termOf(ledger, view, request)
    : heldTermOf(ledger, request);
  const need = excess(request.after, known);
  const lacks = lacksOf(ledger, request, known, hard);
  if (lacks.length > 0) return { verdict: { kind: "lacking", lacks }, need };
  const { uid, kind, namespace, name, base, after } = request;
  return { verdict: allowed, need, hold: { uid, kind, namespace, name, base, at: context.now, charge: after } };
}

/**
 * Keys at which the change raises what the object uses, and with which the group would use more than it may. What counts is everything else and the
 * slot as it will be: an older hold of it may have kept more room than it needs now, or kept room that `hard` has since been lowered below.
 */
function lacksOf(ledger: Ledger, request: ChargeRequest, known: Amounts, hard: Amounts): readonly Lack[] {
  const lacks: Lack[] = [];
  for (const [key, raise] of excess(request.after, request.before)) {
    const limit = hard.get(key);
    if (limit === undefined) continue;
    const used = usedOf(ledger, key);
    const more = (request.after.get(key) ?? 0n) - (known.get(key) ?? 0n);
    if (used + more <= limit) continue;
    const left = limit > used ? limit - used : 0n;
    const usedBySelf = ledger.self.get(key) ?? 0n;
    lacks.push({ key, needs: more > 0n ? more : raise, left, hard: limit, usedBySelf, granted: used - usedBySelf });
  }
  return lacks;
}

/**
 * Creates of one slot that stand side by side, each settled by its own object. One more takes the place of an earlier one: who creates a name that
 * exists over and over (kubernetes#61530) must not fill the ledger.
 */
const createsPerSlot = 2;

/**
 * An object's holds of one base are one: the greater charge, from now. Those of child groups only if they name the same keys: who adds a key to the
 * parent looks for children that lack it.
 */
function withHold(
  ledger: Ledger,
  hold: Hold,
  childGroup: boolean,
): { readonly ledger: Ledger; readonly addedBytes: number } {
  const before = ledger.holds.filter(
    (each) => isSameSlot(each, hold) && (!childGroup || namesSameKeys(each.charge, hold.charge)),
  );
  const same = before.filter((each) => each.uid === hold.uid && each.base === hold.base);
  const creates = hold.base === "" ? before.filter((each) => each.base === "") : [];
  const joined = same.length > 0 || creates.length < createsPerSlot ? same : joinedBy(hold, creates);
  const next: Hold = {
    ...hold,
    uid: joined.every(({ uid }) => uid === hold.uid) ? hold.uid : "",
    charge: joined.reduce((charge, each) => max(charge, each.charge), hold.charge),
  };
  const addedBytes = joined.reduce((sum, each) => sum - holdBytes(each), holdBytes(next));
  const others = joined.length === 0 ? ledger.holds : ledger.holds.filter((each) => !joined.includes(each));
  return { ledger: { ...ledger, holds: [...others, next] }, addedBytes };
}

const namesSameKeys = (left: Amounts, right: Amounts): boolean =>
  left.size === right.size && [...left.keys()].every((key) => right.has(key));

/**
 * Earlier creates that a new one answers for from now on: those that ask for no more than it does; if there are none, the last one. The greater ones
 * keep their time: a big create at the start of a long row of small ones does not keep its room as long as the row goes on.
 */
function joinedBy(hold: Hold, creates: readonly Hold[]): readonly Hold[] {
  const covered = creates.filter((each) => isZero(excess(each.charge, hold.charge)));
  return covered.length > 0 ? covered : creates.slice(-1);
}

function charged(ledger: Ledger, part: Part, need: Amounts): Ledger {
  if (need.size === 0) return ledger;
  if (part === "groups") return { ...ledger, granted: add(ledger.granted, need) };
  const self = new Map(ledger.self);
  addInto(self, need);
  return { ...ledger, self };
}
