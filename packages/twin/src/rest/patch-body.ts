import {
  applyJsonPatch,
  applyMergePatch,
  applyStrategicMergePatch,
  FleetwrightError,
  goText,
  patchSchemaOf,
} from "@fleetwright/kube";
import type { Json, JsonPatchOperation } from "@fleetwright/kube";
import { goJson } from "../apply/field-set.ts";
import { isDraft } from "../machinery/draft.ts";
import type { Draft } from "../machinery/draft.ts";
import type { ServedKind } from "../machinery/kind.ts";
import type { Call } from "../machinery/request.ts";
import type { Schema } from "../machinery/schema.ts";
import { refusals, statusError } from "../machinery/status-error.ts";
import { canonicalObject, duplicateFields, keptDepth } from "../schema/decode.ts";
import { jsonProblem, maximumDepth, measureJson } from "../schema/json-syntax.ts";
import type { PatchSource } from "./decoding.ts";

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
  if (type !== undefined && (type !== "strategic" || kind.builtin)) return type;
  // Built-in kinds' paths know their media types: the router refuses others.
  if (kind.builtin) throw statusError(415, "UnsupportedMediaType", "415: Unsupported Media Type", {});
  const supported = Object.keys(patchTypes).filter((name) => patchTypes[name] !== "strategic");
  throw refusals.unsupportedMediaType(
    `the body of the request was in an unknown format - accepted media types include: ${supported.join(", ")}`,
  );
}

/** A patch as it came. */
export interface Patch {
  readonly type: Exclude<PatchType, "apply">;
  readonly value: unknown;
  /** Fields that are there twice, or that an operation has not. */
  readonly findings: readonly string[];
}

const introductionOf = (type: Patch["type"]): string => (type === "strategic" ? "" : "error decoding patch: ");

/** @throws StatusError 400, 413 */
export async function readPatch(type: Patch["type"], call: Call): Promise<Patch> {
  const given = call.copyJson?.();
  return given === undefined ? parsePatch(type, (await call.body()).toString()) : patchOf(type, given);
}

/** @throws StatusError 400, 413 */
export function parsePatch(type: Patch["type"], text: string): Patch {
  const introduction = introductionOf(type);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const problem = jsonProblem(text) ?? (error instanceof Error ? error.message : String(error));
    throw refusals.badRequest(`${introduction}${problem}`);
  }
  const { depth } = measureJson(text);
  if (depth > keptDepth) {
    const problem = depth > maximumDepth ? jsonProblem(text) : undefined;
    throw refusals.badRequest(
      `${introduction}${problem ?? `exceeded max depth: this server keeps ${keptDepth} levels`}`,
    );
  }
  return patchOf(type, value, text);
}

/** @param text what it was read from, where fields may be there twice */
function patchOf(type: Patch["type"], value: unknown, text?: string): Patch {
  const introduction = introductionOf(type);
  if (value === null) {
    if (type === "merge") throw refusals.badRequest("Invalid JSON Patch");
    return { type, value: type === "json" ? [] : {}, findings: [] };
  }
  const expected = type === "json" ? "[]handlers.jsonPatchOp" : "map[string]interface {}";
  if (type === "json" ? !Array.isArray(value) : !isDraft(value)) {
    throw refusals.badRequest(
      `${introduction}json: cannot unmarshal ${goKind(value)} into Go value of type ${expected}`,
    );
  }
  if (Array.isArray(value) && value.length > maximumOperations) {
    throw refusals.tooLarge(
      `Request entity too large: The allowed maximum operations in a JSON patch is ${maximumOperations}, got ${value.length}`,
    );
  }
  const doubled = text === undefined ? [] : duplicateFields(text, value as Draft | readonly Draft[]);
  if (type !== "json") return { type, value, findings: doubled };
  const findings = [...doubled, ...unknownFields(value as readonly unknown[])];
  return { type, value, findings: findings.map((finding) => `json patch ${finding}`) };
}

const operationFields: readonly string[] = ["op", "path", "from", "value"];

function unknownFields(operations: readonly unknown[]): readonly string[] {
  return operations.flatMap((operation, index) =>
    isDraft(operation)
      ? Object.keys(operation).flatMap((key) =>
          operationFields.includes(key) ? [] : [`unknown field ${JSON.stringify(`[${index}].${key}`)}`],
        )
      : [],
  );
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

/** The patched object, as plain JSON. @throws StatusError 400, 422, 500 for a patch that does not fit the object */
export function applyPatchBody(
  kind: { readonly group: string; readonly version: string; readonly kind: string },
  live: Draft,
  { type, value }: Patch,
): Draft {
  try {
    if (type === "json") return applyJsonPatch(live, value as readonly JsonPatchOperation[]);
    if (type === "merge") return applyMergePatch(live, value);
    return applyStrategicMergePatch(patchSchemaOf(kind) ?? {}, live, value);
  } catch (error) {
    if (!(error instanceof FleetwrightError)) throw error;
    throw type === "strategic" ? strategicRefusal(error.message.replace(/^patch: /, "")) : unprocessable();
  }
}

/** Upstream's status for a patch that does not apply: 422 without a reason's own text. */
const unprocessable = (): Error =>
  statusError(422, "Invalid", `the server rejected our request due to an error in our request`, {});

/** `interpretStrategicMergePatchError`: only some errors are the client's. */
function strategicRefusal(problem: string): Error {
  if (problem.startsWith("invalid patch format of ")) return refusals.badRequest(problem);
  if (problem === "lists of lists are not supported") return unprocessable();
  return statusError(500, "", problem);
}

/** How refusals name what came of a patch. */
export function sourceOf(
  { type, value, findings }: Patch,
  form: { readonly schema: Schema; readonly builtin: boolean },
  live: Draft,
  patched: Draft,
): PatchSource {
  if (type === "strategic") return { words: "converter", text: () => goText(value as Json), findings };
  const text = form.builtin
    ? () => patchedText(patched, live, canonicalObject(live, form.schema), type === "merge")
    : () => goJson(patched);
  return { words: "json", text, findings };
}

const childOf = (value: unknown, key: string | number): unknown =>
  typeof key === "number"
    ? Array.isArray(value)
      ? (value as unknown[])[key]
      : undefined
    : isDraft(value) && Object.hasOwn(value, key)
      ? value[key]
      : undefined;

/** The patched object's text: what the patch went through is sorted, the rest is as Go wrote it. */
function patchedText(value: unknown, before: unknown, written: unknown, sortsNew: boolean): string {
  if (value === before) return JSON.stringify(written ?? value);
  if (!isDraft(before) && !Array.isArray(before)) return sortsNew ? goJson(value) : JSON.stringify(value);
  const inner = (child: unknown, key: string | number): string =>
    patchedText(child, childOf(before, key), childOf(written, key), sortsNew);
  if (Array.isArray(value)) return `[${value.map(inner).join(",")}]`;
  if (!isDraft(value)) return JSON.stringify(value);
  const fields = Object.keys(value).toSorted((left, right) => (left < right ? -1 : 1));
  return `{${fields.map((key) => `${JSON.stringify(key)}:${inner(value[key], key)}`).join(",")}}`;
}
