import {
  applyJsonPatch,
  applyMergePatch,
  applyStrategicMergePatch,
  FleetwrightError,
  patchSchemaOf,
} from "@fleetwright/kube";
import type { JsonPatchOperation } from "@fleetwright/kube";
import { isDraft } from "../machinery/draft.ts";
import type { Draft } from "../machinery/draft.ts";
import type { ServedKind } from "../machinery/kind.ts";
import { refusals, statusError } from "../machinery/status-error.ts";
import { jsonProblem } from "../schema/json-syntax.ts";

export type PatchType = "json" | "merge" | "strategic" | "apply";

const patchTypes: Readonly<Record<string, PatchType>> = {
  "application/json-patch+json": "json",
  "application/merge-patch+json": "merge",
  "application/strategic-merge-patch+json": "strategic",
  "application/apply-patch+yaml": "apply",
};

const maximumOperations = 10_000;

/** @throws StatusError 415 */
export function patchTypeOf(contentType: string, kind: ServedKind): PatchType {
  const media = contentType.split(";")[0] ?? "";
  const type = Object.hasOwn(patchTypes, media) ? patchTypes[media] : undefined;
  if (type === undefined || (type === "strategic" && !kind.builtin)) {
    const supported = Object.keys(patchTypes).filter((name) => kind.builtin || patchTypes[name] !== "strategic");
    throw refusals.unsupportedMediaType(
      `the body of the request was in an unknown format - accepted media types include: ${supported.join(", ")}`,
    );
  }
  return type;
}

/** A patch's body as JSON. @throws StatusError 400, 413 */
export function parsePatch(type: Exclude<PatchType, "apply">, bytes: Buffer): unknown {
  const text = bytes.toString();
  const introduction = type === "strategic" ? "" : "error decoding patch: ";
  let patch: unknown;
  try {
    patch = JSON.parse(text);
  } catch (error) {
    const problem = jsonProblem(text) ?? (error instanceof Error ? error.message : String(error));
    throw refusals.badRequest(`${introduction}${problem}`);
  }
  const expected = type === "json" ? "[]handlers.jsonPatchOp" : "map[string]interface {}";
  if (type === "json" ? !Array.isArray(patch) : !isDraft(patch)) {
    throw refusals.badRequest(
      `${introduction}json: cannot unmarshal ${goKind(patch)} into Go value of type ${expected}`,
    );
  }
  if (Array.isArray(patch) && patch.length > maximumOperations) {
    throw refusals.tooLarge(
      `Request entity too large: The allowed maximum operations in a JSON patch is ${maximumOperations}, got ${patch.length}`,
    );
  }
  return patch;
}

const goKind = (value: unknown): string =>
  Array.isArray(value)
    ? "array"
    : value === null
      ? "null"
      : typeof value === "boolean"
        ? "bool"
        : typeof value === "number"
          ? "number"
          : typeof value;

/** The patched object, as plain JSON. @throws StatusError 422 for a patch that does not fit the object. */
export function applyPatchBody(
  type: Exclude<PatchType, "apply">,
  kind: { readonly group: string; readonly version: string; readonly kind: string },
  live: Draft,
  patch: unknown,
): Draft {
  try {
    if (type === "json") return applyJsonPatch(live, patch as readonly JsonPatchOperation[]);
    if (type === "merge") return applyMergePatch(live, patch);
    return applyStrategicMergePatch(patchSchemaOf(kind) ?? {}, live, patch);
  } catch (error) {
    if (!(error instanceof FleetwrightError)) throw error;
    // Upstream's status for a patch that does not apply: 422 without a reason's own text.
    throw statusError(422, "Invalid", `the server rejected our request due to an error in our request`, {});
  }
}
