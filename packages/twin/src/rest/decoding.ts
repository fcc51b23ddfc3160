import type { GroupVersionKind } from "@fleetwright/kube";
import { isDraft } from "../machinery/draft.ts";
import type { Draft } from "../machinery/draft.ts";
import type { Call, RequestContext } from "../machinery/request.ts";
import type { Schema } from "../machinery/schema.ts";
import { fieldErrors, refusals, StatusError, statusError } from "../machinery/status-error.ts";
import { builtinSchemas } from "../schema/builtin-schemas.ts";
import { decodeBody, decodeGiven, decodeValue } from "../schema/decode.ts";
import type { Decoded, DecodeOptions, FieldValidation } from "../schema/decode.ts";
import { yamlToJson } from "../schema/yaml-body.ts";
import { headerOf } from "./resource-call.ts";

/** What a body must be. */
export type Form = GroupVersionKind & {
  readonly schema: Schema;
  readonly builtin: boolean;
  readonly prune?: (object: Draft) => readonly string[];
};

const prunerOf = ({ prune }: Form): Pick<Form, "prune"> => (prune === undefined ? {} : { prune });

const gvkOf = ({ group, version, kind }: Form): GroupVersionKind => ({ group, version, kind });

function told({ object, warnings }: Decoded, context: RequestContext): Draft {
  for (const warning of warnings) context.warn(warning);
  return object;
}

/** The body of a POST or PUT. @throws StatusError 400, 415 */
export async function decodeObject(
  call: Call,
  form: Form,
  fieldValidation: FieldValidation,
  context: RequestContext,
): Promise<Draft> {
  const options: DecodeOptions = {
    contentType: headerOf(call, "content-type"),
    schema: form.schema,
    kind: gvkOf(form),
    fieldValidation,
    builtin: form.builtin,
    ...prunerOf(form),
  };
  const isObject = form.builtin && options.contentType === "application/json" && isTypedObject(call.json);
  const given = isObject ? call.copyJson?.() : undefined;
  return told(isDraft(given) ? decodeGiven(given, options) : decodeBody(await call.body(), options), context);
}

/** Of the rest the decoder of texts has something to say. */
const isTypedObject = (json: unknown): boolean =>
  isDraft(json) && isTextOrNothing(json["kind"]) && isTextOrNothing(json["apiVersion"]);

const isTextOrNothing = (value: unknown): boolean => value === undefined || typeof value === "string";

/** The object of an apply, as sent, and the fields that are there twice. @throws StatusError 400 */
export function decodeApply(bytes: Buffer): { readonly object: Draft; readonly doubled: readonly string[] } {
  let object: unknown;
  let doubled: readonly string[];
  try {
    const parsed = yamlToJson(bytes.toString());
    doubled = parsed.doubled;
    object = JSON.parse(parsed.json);
  } catch (error) {
    throw refusals.badRequest(
      `error decoding YAML: error converting YAML to JSON: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
  if (!isDraft(object)) {
    throw refusals.badRequest(
      "error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal into Go value of type map[string]interface {}",
    );
  }
  return { object, doubled };
}

/** Doubled fields of an applied configuration: refused, warned of or passed. @throws StatusError 400 */
export function checkDoubledFields(
  doubled: readonly string[],
  fieldValidation: FieldValidation,
  context: RequestContext,
): void {
  if (doubled.length === 0 || fieldValidation === "Ignore") return;
  const problem = `error converting YAML to JSON: yaml: unmarshal errors:\n  ${doubled.join("\n  ")}`;
  if (fieldValidation === "Strict") throw refusals.badRequest(`error strict decoding YAML: ${problem}`);
  context.warn(problem);
}

/** Takes the decoder's own introduction from a refusal: patches have another. */
const problemOf = (refusal: StatusError): string =>
  refusal.message.replace(/^\S+ in version "[^"]*" cannot be handled as a [^:]+: /, "");

/** Where a patched object comes from. */
export interface PatchSource {
  /** Strategic merge patches do not become text on the way. */
  readonly words: "json" | "converter";
  /** What refusals name as the patch: the patched object's text, or the patch itself. */
  text(): string;
  /** What is wrong with the patch as text. */
  readonly findings: readonly string[];
}

/**
 * A patched or applied object, as its kind has it.
 *
 * @param live what was patched, already as its kind has it
 * @throws StatusError 422
 */
export function decodePatched(
  object: Draft,
  form: Form,
  fieldValidation: FieldValidation,
  context: RequestContext,
  source: PatchSource,
  live?: Draft,
): Draft {
  // Decoding prunes custom resources in place.
  const text = form.builtin ? undefined : source.text();
  const refuse = (problem: string): Error =>
    refusals.invalid({ group: "", resource: "" }, "", [fieldErrors.invalid("patch", text ?? source.text(), problem)]);
  let decoded: Decoded;
  try {
    decoded = decodeValue(object, {
      schema: form.schema,
      kind: gvkOf(form),
      fieldValidation: fieldValidation === "Strict" ? "Warn" : fieldValidation,
      builtin: form.builtin,
      words: source.words,
      known: form.builtin && live !== undefined ? partsOf(live) : undefined,
      ...prunerOf(form),
    });
  } catch (error) {
    if (!(error instanceof StatusError) || error.code !== 400) throw error;
    throw refuse(problemOf(error));
  }
  const own = source.words === "converter" ? decoded.warnings.toSorted() : decoded.warnings;
  const findings = fieldValidation === "Ignore" ? [] : [...source.findings, ...own];
  if (fieldValidation === "Strict" && findings.length > 0) {
    throw refuse(`strict decoding error: ${findings.join(", ")}`);
  }
  for (const finding of findings) context.warn(finding);
  return decoded.object;
}

/** The objects and lists of which an object and its metadata and status consist. */
function partsOf(object: Draft): ReadonlySet<unknown> {
  const parts = new Set<unknown>();
  const add = (value: Draft): void => {
    for (const key in value) if (typeof value[key] === "object" && value[key] !== null) parts.add(value[key]);
  };
  add(object);
  for (const key of ["metadata", "status"]) if (isDraft(object[key])) add(object[key]);
  return parts;
}

/** An object that a configuration was applied to, as its kind has it. @throws StatusError 500 */
export function decodeApplied(object: Draft, form: Form): Draft {
  try {
    const options = {
      schema: form.schema,
      kind: gvkOf(form),
      fieldValidation: "Ignore",
      builtin: form.builtin,
    } as const;
    return decodeValue(object, { ...options, ...prunerOf(form) }).object;
  } catch (error) {
    if (!(error instanceof StatusError) || error.code !== 400) throw error;
    throw statusError(500, "", `failed to convert new object to proper version: ${problemOf(error)}`);
  }
}

const deleteOptionsId = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";

/** DeleteOptions of any group's version; none for an empty body. @throws StatusError 400, 415 */
export function decodeOptionsBody(bytes: Buffer, contentType: string): Draft | undefined {
  if (bytes.length === 0) return undefined;
  const schema = builtinSchemas().get(deleteOptionsId) ?? {};
  const { object } = decodeBody(bytes, {
    contentType,
    schema,
    kind: { group: "", version: "v1", kind: "DeleteOptions" },
    fieldValidation: "Ignore",
    builtin: true,
    anyVersion: true,
    ownWords: true,
  });
  return object;
}
