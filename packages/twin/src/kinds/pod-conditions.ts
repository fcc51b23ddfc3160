import { timeText } from "@fleetwright/kube";
import type { Pod } from "@fleetwright/kube";
import type { Mutable } from "../machinery/draft.ts";

/** What happened to a pod, as `UpdatePodCondition` writes it. */
export interface ConditionChange {
  readonly type: string;
  readonly status: "True" | "False";
  readonly reason?: string;
  readonly message?: string;
}

/** Sets a condition; its time changes only when its status does. Answers whether anything changed. */
export function setPodCondition(pod: Mutable<Pod>, change: ConditionChange, nowMs: number): boolean {
  const status = (pod.status ??= {});
  const conditions = (status.conditions ??= []);
  const index = conditions.findIndex(({ type }) => type === change.type);
  const before = conditions[index];
  const same = before?.status === change.status;
  if (same && before.reason === change.reason && before.message === change.message) return false;
  const condition = {
    type: change.type,
    status: change.status,
    // Go's type has no omitempty that works for times: never probed is null.
    lastProbeTime: null as unknown as string,
    lastTransitionTime: (same ? before.lastTransitionTime : undefined) ?? timeText(nowMs),
    ...(change.reason === undefined ? {} : { reason: change.reason }),
    ...(change.message === undefined ? {} : { message: change.message }),
  };
  if (index === -1) conditions.push(condition);
  else conditions[index] = condition;
  return true;
}
