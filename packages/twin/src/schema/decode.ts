import type { GroupVersionKind } from "@fleetwright/kube";
import { isDraft } from "../machinery/draft.ts";
import type { Draft } from "../machinery/draft.ts";
import type { Schema } from "../machinery/schema.ts";
import { refusals } from "../machinery/status-error.ts";
import { builtinSchemas } from "./builtin-schemas.ts";
import { strictFindings } from "./duplicates.ts";
import { goStruct } from "./go-types.ts";
import type { GoStruct, GoType } from "./go-types.ts";
import { parseJson, plainNumbers } from "./json-number.ts";
import { jsonProblem, maximumDepth, measureJson } from "./json-syntax.ts";
import { messageToJson, openEnvelope } from "./protobuf-body.ts";
import { DecodeFailure, decodeStruct, jsonKind } from "./typed-value.ts";
import { yamlToJson } from "./yaml-body.ts";

export type FieldValidation = "Ignore" | "Warn" | "Strict";

export interface DecodeOptions {
  /** Empty means JSON. */
  readonly contentType: string;
  readonly schema: Schema;
  /** What the path takes. */
  readonly kind: GroupVersionKind;
  readonly fieldValidation: FieldValidation;
  /** `false`: a custom resource, of which only the metadata has a Go type. */
  readonly builtin: boolean;
  /** Takes the kind in every version that there is: each group has its own name for DeleteOptions. @default false */
  readonly anyVersion?: boolean;
  /** What cannot be read is refused in the reader's own words, without what the path takes. @default false */
  readonly ownWords?: boolean;
  /** Whose words errors of types have. @default "json" */
  readonly words?: "json" | "converter";
  /** Parts that have been read before and are taken over as they are: what a patch has not touched. */
  readonly known?: ReadonlySet<unknown> | undefined;
  /** Prunes a custom resource in place and returns the paths of what it took away (`spec.foo`). */
  readonly prune?: (object: Draft) => readonly string[];
}

export interface Decoded {
  readonly object: Draft;
  readonly warnings: readonly string[];
}

const protobuf = "application/vnd.kubernetes.protobuf";
const metadataId = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/**
 * A request's body as an object of the path's kind: `kind` and `apiVersion` filled in, unknown fields gone, values in
 * the form in which Go writes them (k8s.io/apimachinery/pkg/runtime/serializer/json, sigs.k8s.io/json).
 *
 * @throws StatusError 400 in upstream's words, 415 for a media type that is none of JSON, YAML and protobuf
 */
export function decodeBody(bytes: Buffer, options: DecodeOptions): Decoded {
  const media = (options.contentType.split(";")[0] ?? "").trim().toLowerCase();
  if (
    (media !== "" || options.contentType.trim() !== "") &&
    media !== "application/json" &&
    media !== "application/yaml" &&
    media !== protobuf
  ) {
    throw refusals.unsupportedMediaType(
      `the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, ${protobuf}`,
    );
  }
  try {
    if (media === protobuf) return decodeProtobuf(bytes, options);
    return media === "application/yaml" ? decodeYaml(bytes, options) : decodeText(bytes.toString(), [], bytes, options);
  } catch (error) {
    if (error instanceof DecodeFailure) throw unrecognized(bytes, options, error.message);
    throw error;
  }
}

/** Fewer than Go's 10,000: JSON.stringify runs out of stack at half of that. */
export const keptDepth = 2000;

/** What is no object of any kind yet (`the object provided is unrecognized`). */
const unrecognized = (bytes: Buffer, { kind, ownWords }: DecodeOptions, problem: string): Error =>
  refusals.badRequest(
    ownWords === true
      ? problem
      : `the object provided is unrecognized (must be of type ${kind.kind}): ${problem} (${summarize(bytes)})`,
  );

function summarize(bytes: Buffer): string {
  if (bytes.length === 0) return "<empty>";
  const start = bytes.subarray(0, 30);
  const text = bytes[0] === 0x7b ? start.toString() : start.toString("hex");
  return bytes.length > 30 ? `${text} ...` : text;
}

function decodeYaml(bytes: Buffer, options: DecodeOptions): Decoded {
  const { json, doubled } = yamlToJson(bytes.toString());
  return decodeText(json, doubled, bytes, options);
}

/** Protobuf has no field that its type does not know, and none twice. */
function decodeProtobuf(bytes: Buffer, options: DecodeOptions): Decoded {
  const { apiVersion, kind, raw } = openEnvelope(bytes);
  const source: Source = { text: () => bytes.toString(), json: undefined, doubled: [], bytes: () => bytes };
  const struct = options.builtin ? goStruct(options.schema.id ?? "") : undefined;
  // Go's reader of an envelope forgives a version that is none.
  const typeMeta: Draft = { kind, apiVersion: apiVersion.split("/").length > 2 ? "" : apiVersion };
  const own = versionOf(typeMeta, options, source);
  if (struct === undefined) {
    throw cannotHandle(
      own,
      options.kind,
      "object *unstructured.Unstructured does not implement the protobuf marshalling interface and cannot be encoded to a protobuf message",
    );
  }
  const object = attempt(
    (problem) => cannotHandle(own, options.kind, problem),
    () => messageToJson(struct, raw),
  );
  return decodeObject({ ...typeMeta, ...object }, options, source);
}

function decodeText(text: string, doubled: readonly string[], bytes: Buffer, options: DecodeOptions): Decoded {
  const notJson = (problem: string): Error =>
    new DecodeFailure(`couldn't get version/kind; json parse error: ${problem}`);
  const { fields, depth, unusualNumbers } = measureJson(text);
  const tooDeep = (): Error => notJson(`exceeded max depth: this server keeps ${keptDepth} levels`);
  // What a built-in kind does not know is dropped, however deep it is.
  if (depth > keptDepth && depth <= maximumDepth && (unusualNumbers || !options.builtin)) throw tooDeep();
  let value: unknown;
  try {
    value = parseJson(text, unusualNumbers && depth <= keptDepth);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw notJson(jsonProblem(text) ?? error.message);
  }
  if (depth > maximumDepth) throw notJson(jsonProblem(text) ?? "exceeded max depth");
  const object = value ?? {};
  if (!isDraft(object)) {
    throw notJson(
      `json: cannot unmarshal ${jsonKind(value)} into Go value of type struct { APIVersion string ` +
        '"json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }',
    );
  }
  for (const key of ["kind", "apiVersion"]) {
    const word = object[key];
    if (word !== undefined && word !== null && typeof word !== "string") {
      throw notJson(`json: cannot unmarshal ${jsonKind(word)} into Go struct field .${key} of type string`);
    }
  }
  const hasDoubled = options.fieldValidation !== "Ignore" && (doubled.length > 0 || countFields(object) < fields);
  const source: Source = {
    text: () => bytes.toString(),
    json: hasDoubled && doubled.length === 0 ? text : undefined,
    doubled,
    bytes: () => bytes,
  };
  if (depth <= keptDepth) return decodeObject(object, options, source);
  try {
    const decoded = decodeObject(object, options, source);
    if (isDeeper(decoded.object, keptDepth)) throw tooDeep();
    return decoded;
  } catch (error) {
    // A field of any JSON was so deep that reading it ran out of stack.
    throw error instanceof RangeError ? tooDeep() : error;
  }
}

/** Without recursion, which is what it is asked for. */
function isDeeper(value: object, levels: number): boolean {
  let level: readonly object[] = [value];
  for (let depth = 1; level.length > 0; depth++) {
    if (depth > levels) return true;
    level = level
      .flatMap((each) => Object.values(each) as readonly unknown[])
      .filter((child): child is object => typeof child === "object" && child !== null);
  }
  return false;
}

interface Source {
  /** The body as it came. */
  readonly text: () => string;
  /** With fields that are there twice. */
  readonly json: string | undefined;
  readonly doubled: readonly string[];
  readonly bytes: () => Buffer;
}

/** Like {@link decodeBody} for what came as a value, which is the decoder's own. It is an object of plain JSON. */
export function decodeGiven(object: Draft, options: DecodeOptions): Decoded {
  const bytes = (): Buffer => Buffer.from(JSON.stringify(object));
  const source: Source = { text: () => bytes().toString(), json: undefined, doubled: [], bytes };
  try {
    return decodeObject(object, options, source);
  } catch (error) {
    if (error instanceof DecodeFailure) throw unrecognized(bytes(), options, error.message);
    throw error;
  }
}

/** Like {@link decodeBody} for what was made here (a patched object): `object` is taken over. */
export function decodeValue(object: Draft, options: Omit<DecodeOptions, "contentType">): Decoded {
  const text = (): string => JSON.stringify(object);
  const source: Source = { text, json: undefined, doubled: [], bytes: () => Buffer.alloc(0) };
  return decodeObject(object, { ...options, contentType: "" }, source);
}

function decodeObject(object: Draft, options: DecodeOptions, source: Source): Decoded {
  const own = versionOf(object, options, source);
  if (!options.builtin) return decodeCustom(object, options, source);
  const { kind } = options;
  const struct = goStruct(options.schema.id ?? "");
  if (struct === undefined) return { object: plainNumbers(object) as Draft, warnings: [] };
  const cannot = (problem: string): Error => cannotHandle(own, kind, problem);
  const strict = options.fieldValidation !== "Ignore";
  const decoded = attempt(cannot, () =>
    decodeStruct(struct, object, {
      strict,
      keepsEmpty: kind.group === "apiextensions.k8s.io",
      words: options.words ?? "json",
      known: options.known,
    }),
  );
  const { typeError, unknown } = decoded.findings;
  if (typeError !== undefined) throw cannot(typeError);
  const type: GoType = { kind: "struct", name: struct.name, struct: () => struct };
  const findings =
    source.json === undefined
      ? [...new Set(unknown.map((path) => `unknown field ${JSON.stringify(path)}`))]
      : strictFindings(source.json, type);
  const warnings = strictness(cannot, options, source.doubled, findings);
  return { object: identified(decoded.object, struct, kind), warnings };
}

/** `kind` and `apiVersion` first, as every kind's struct has them. */
function identified(object: Draft, struct: GoStruct, kind: GroupVersionKind): Draft {
  if (!struct.byName.has("kind")) return object;
  const [first, second] = Object.keys(object);
  if (first === "kind" && second === "apiVersion") {
    object["kind"] = kind.kind;
    object["apiVersion"] = apiVersionText(kind);
    return object;
  }
  const { kind: _kind, apiVersion: _version, ...rest } = object;
  return { kind: kind.kind, apiVersion: apiVersionText(kind), ...rest };
}

const apiVersionText = ({ group, version }: { readonly group: string; readonly version: string }): string =>
  group === "" ? version : `${group}/${version}`;

function attempt<T>(cannot: (problem: string) => Error, run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (error instanceof DecodeFailure) throw cannot(error.message);
    throw error;
  }
}

const cannotHandle = (own: GroupVersionKind, expected: GroupVersionKind, problem: string): Error =>
  refusals.badRequest(
    `${own.kind} in version ${JSON.stringify(own.version)} cannot be handled as a ${expected.kind}: ${problem}`,
  );

/** Findings as warnings, or as the refusal. */
function strictness(
  cannot: (problem: string) => Error,
  { fieldValidation }: DecodeOptions,
  doubled: readonly string[],
  findings: readonly string[],
): readonly string[] {
  if (fieldValidation === "Ignore" || doubled.length + findings.length === 0) return [];
  if (fieldValidation === "Warn") return [...doubled, ...findings];
  const yaml = doubled.length === 0 ? [] : [`yaml: unmarshal errors:\n  ${doubled.join("\n  ")}`];
  throw cannot(`strict decoding error: ${[...yaml, ...findings].join(", ")}`);
}

let registered: ReadonlyMap<string, string> | undefined;

const keyOf = ({ group, version, kind }: GroupVersionKind): string => `${group}/${version}/${kind}`;

/** The schema's name of a kind that the server knows, `""` where it has none. */
function registeredId(kind: GroupVersionKind): string | undefined {
  registered ??= new Map(
    [...builtinSchemas()].flatMap(([id, schema]) =>
      (schema["x-kubernetes-group-version-kind"] ?? []).map((one) => [keyOf(one), id] as const),
    ),
  );
  return registered.get(keyOf(kind)) ?? (hasOptions(kind) || keyOf(kind) === "/v1/List" ? "" : undefined);
}

const optionKinds = new Set([
  "CreateOptions",
  "DeleteOptions",
  "GetOptions",
  "ListOptions",
  "PatchOptions",
  "UpdateOptions",
]);

/** Every version of a group has its options (`metav1.AddToGroupVersion`). */
const hasOptions = ({ group, version, kind }: GroupVersionKind): boolean =>
  optionKinds.has(kind) && (registered?.has(`${group}/${version}/WatchEvent`) ?? false);

/** An object of another kind is read as what it says it is before anything else. */
function checkAs(own: GroupVersionKind, object: Draft, cannot: (problem: string) => Error): void {
  const struct = goStruct(registeredId(own) ?? "");
  if (struct === undefined) return;
  const { findings } = attempt(cannot, () => decodeStruct(struct, object, { strict: false, keepsEmpty: false }));
  if (findings.typeError !== undefined) throw cannot(findings.typeError);
}

/** What the object says that it is, the path's kind where it says nothing. Refuses what the path does not take. */
function versionOf(object: Draft, options: DecodeOptions, source: Source): GroupVersionKind {
  const expected = options.kind;
  const apiVersion = typeof object["apiVersion"] === "string" ? object["apiVersion"] : "";
  const parts = apiVersion.split("/");
  if (parts.length > 2) {
    throw unrecognized(source.bytes(), options, `unexpected GroupVersion string: ${apiVersion}`);
  }
  const kind = typeof object["kind"] === "string" ? object["kind"] : "";
  const [group = "", version = ""] = parts.length === 2 ? parts : ["", parts[0]];
  if (!options.builtin) return customVersion({ group, version, kind }, object, options, source);
  const unversioned = version === "" && (group === "" || group === expected.group);
  const own: GroupVersionKind = {
    group: unversioned ? expected.group : group,
    version: unversioned ? expected.version : version,
    kind: kind === "" ? expected.kind : kind,
  };
  if (keyOf(own) === keyOf(expected) || (options.anyVersion === true && own.kind === expected.kind)) return own;
  if (options.ownWords === true) throw refusals.badRequest(notRegistered(own));
  if (registeredId(own) === undefined) {
    throw cannotHandle(own, expected, notRegistered(own));
  }
  if (own.kind === expected.kind) {
    throw refusals.badRequest(
      `the API version in the data (${apiVersionText(own)}) does not match the expected API version (${apiVersionText(expected)})`,
    );
  }
  checkAs(own, object, (problem) => cannotHandle(own, expected, problem));
  throw cannotHandle(
    own,
    expected,
    `converting (${own.version}.${own.kind}) to (${internalPackage(expected.group)}.${expected.kind}): unknown conversion`,
  );
}

const notRegistered = (own: GroupVersionKind): string =>
  `no kind ${JSON.stringify(own.kind)} is registered for version ${JSON.stringify(apiVersionText(own))} in scheme "pkg/runtime/scheme.go:111"`;

/** The Go package of a group's internal types. */
export const internalPackage = (group: string): string => (group === "" ? "core" : (group.split(".")[0] ?? group));

function nameOf(object: Draft): string {
  const name = isDraft(object["metadata"]) ? object["metadata"]["name"] : undefined;
  return typeof name === "string" ? name : "";
}

function customVersion(own: GroupVersionKind, object: Draft, options: DecodeOptions, source: Source): GroupVersionKind {
  const expected = options.kind;
  if (own.kind === "") {
    throw unrecognized(source.bytes(), options, `Object 'Kind' is missing in '${source.text()}'`);
  }
  if (own.group !== expected.group || own.version !== expected.version) {
    throw refusals.badRequest(
      `the API version in the data (${apiVersionText(own)}) does not match the expected API version (${apiVersionText(expected)})`,
    );
  }
  if (own.kind !== expected.kind) {
    throw refusals.invalid({ group: expected.group, resource: own.kind }, nameOf(object), [
      {
        type: "FieldValueInvalid",
        field: "kind",
        message: `Invalid value: ${JSON.stringify(own.kind)}: must be ${expected.kind}`,
      },
    ]);
  }
  return own;
}

/** A custom resource: its metadata as Go's type has it, the rest as the definition's room prunes it. */
function decodeCustom(object: Draft, options: DecodeOptions, source: Source): Decoded {
  const { kind } = options;
  const cannot = (problem: string): Error => cannotHandle(kind, kind, problem);
  const rest = plainNumbers(object) as Draft;
  const findings = source.json === undefined ? [] : [...strictFindings(source.json, undefined)];
  const metadata = rest["metadata"];
  const struct = goStruct(metadataId);
  if (struct !== undefined && metadata !== undefined && metadata !== null) {
    if (!isDraft(metadata)) {
      throw cannot(`json: cannot unmarshal ${jsonKind(metadata)} into Go value of type v1.ObjectMeta`);
    }
    const decoded = attempt(cannot, () => decodeStruct(struct, metadata, { strict: true, keepsEmpty: false }));
    if (decoded.findings.typeError !== undefined) throw cannot(decoded.findings.typeError);
    rest["metadata"] = decoded.object;
    findings.push(...decoded.findings.unknown.map((path) => `unknown field "metadata.${path}"`));
  }
  const { kind: _kind, apiVersion: _version, metadata: kept, ...body } = rest;
  const ordered: Draft = {
    apiVersion: apiVersionText(kind),
    kind: kind.kind,
    metadata: kept ?? {},
    ...body,
  };
  for (const path of options.prune?.(ordered) ?? []) findings.push(`unknown field "${path}"`);
  return { object: ordered, warnings: strictness(cannot, options, source.doubled, findings.slice(0, 100)) };
}

/** Fields that a JSON text has twice (`duplicate field "spec.a"`); `value` is what was parsed from it. */
export const duplicateFields = (text: string, value: Draft | readonly Draft[]): readonly string[] =>
  countFields(value) < measureJson(text).fields ? strictFindings(text, undefined) : [];

/** How many fields all objects in a value have; a text with more has some twice. */
function countFields(value: Draft | readonly Draft[]): number {
  let count = 0;
  const work: object[] = [value];
  for (let next = work.pop(); next !== undefined; next = work.pop()) {
    if (Array.isArray(next)) {
      for (const item of next) if (typeof item === "object" && item !== null) work.push(item as object);
      continue;
    }
    const object = next as Draft;
    for (const key of Object.keys(object)) {
      count++;
      const child = object[key];
      if (typeof child === "object" && child !== null) work.push(child);
    }
  }
  return count;
}

/**
 * An object as Go would write it after the server changed it: fields that it leaves out when empty are gone, those that
 * it always writes are there. For built-in kinds.
 */
export function canonicalObject(object: Readonly<Draft>, schema: Schema): Draft {
  const struct = goStruct(schema.id ?? "");
  if (struct === undefined) return object;
  const keepsEmpty = (schema.id ?? "").startsWith("io.k8s.apiextensions");
  return decodeStruct(struct, object, { strict: false, keepsEmpty }).object;
}
