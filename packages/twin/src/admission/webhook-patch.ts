import { applyJsonPatch, type JsonPatchOperation } from "@fleetwright/kube";
import type { Draft } from "../machinery/draft.ts";

/** What came of a JSON Patch: the object, or the operation that failed with evanphx/json-patch's words. */
export type PatchOutcome =
  | { readonly object: Draft }
  | { readonly object?: undefined; readonly operation: string; readonly error: string };

/** Applies a JSON Patch that a webhook or a policy has made. */
export function patchedBy(object: Draft, operations: readonly JsonPatchOperation[]): PatchOutcome {
  let patched = object;
  for (const operation of operations) {
    try {
      patched = applyJsonPatch(patched, [operation]);
    } catch (error) {
      const reason = (error instanceof Error ? error.message : String(error)).replace(/^patch: /, "");
      const wraps =
        (operation.op === "add" || operation.op === "remove") && !reason.startsWith(`${operation.op} operation`);
      const place = wraps ? `error in ${operation.op} for path: '${operation.path}': ` : "";
      return { operation: operation.op, error: `${place}${reason}` };
    }
  }
  return { object: patched };
}
