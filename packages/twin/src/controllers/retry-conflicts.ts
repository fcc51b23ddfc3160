import { isConflict } from "@fleetwright/kube";
import type { Reconciler } from "@fleetwright/kube";

const soonMs = 20;

/** Somebody else wrote first: no failure, only another look once the cache shows it. */
export function retryConflicts(reconcile: Reconciler["reconcile"]): Reconciler {
  return {
    async reconcile(request, signal) {
      try {
        return await reconcile(request, signal);
      } catch (error) {
        if (isConflict(error)) return { requeueAfterMs: soonMs };
        throw error;
      }
    },
  };
}
