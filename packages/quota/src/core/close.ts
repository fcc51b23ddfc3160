import { isZero, type Amounts } from "./amounts.ts";
import { isClosing } from "./admit.ts";
import type { GroupView, Part } from "./group-view.ts";
import type { Ledger } from "./ledger.ts";

export type Closed =
  | { readonly kind: "closed"; readonly ledger: Ledger }
  /** Workloads are charged to it, or groups stand below it; or this view can't tell. */
  | { readonly kind: "occupied"; readonly self: Amounts; readonly children: number };

/**
 * Marks a group as being deleted. Only a leaf to which nothing is charged can go: its room would be granted twice. The API server asks again after
 * the mark was written, since the mark itself changes the object that it is about to delete.
 */
export function closeGroup(
  ledger: Ledger,
  context: {
    readonly now: number;
    readonly holdLifeMs: number;
    readonly view: GroupView;
    readonly fresh: ReadonlySet<Part>;
  },
): Closed {
  const { view, fresh } = context;
  const held = ledger.holds.filter((hold) => view.kinds("groups").includes(hold.kind)).length;
  const children = view.members("groups") + held;
  const known = fresh.has("groups");
  if (!known || children > 0 || !isZero(ledger.granted) || !isZero(ledger.self) || ledger.holds.length > 0)
    return { kind: "occupied", self: ledger.self, children };
  return { kind: "closed", ledger: isClosing(ledger, context) ? ledger : { ...ledger, closingSince: context.now } };
}
