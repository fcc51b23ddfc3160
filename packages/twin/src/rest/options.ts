import type { Draft } from "../machinery/draft.ts";
import { fieldErrors, refusals } from "../machinery/status-error.ts";
import type { FieldError } from "../machinery/status-error.ts";

/** What the query of a write says: CreateOptions, UpdateOptions or PatchOptions. */
export interface WriteOptions {
  readonly kind: "CreateOptions" | "UpdateOptions" | "PatchOptions";
  readonly dryRun: boolean;
  readonly fieldManager: string;
  readonly fieldValidation: "Ignore" | "Warn" | "Strict";
  readonly force: boolean | undefined;
}

const truths: Readonly<Record<string, boolean>> = {
  "1": true,
  t: true,
  T: true,
  true: true,
  TRUE: true,
  True: true,
  "0": false,
  f: false,
  F: false,
  false: false,
  FALSE: false,
  False: false,
};

/** A boolean of the query as Go's conversion reads it: empty or `0`, `false` are false, all else true. */
const queryFlag = (value: string | null): boolean => value !== null && !["false", "0"].includes(value.toLowerCase());

function dryRunErrors(values: readonly string[]): readonly FieldError[] {
  return values.every((value) => value === "All") ? [] : [fieldErrors.notSupported("dryRun", values, ["All"])];
}

function fieldManagerErrors(manager: string): readonly FieldError[] {
  const errors: FieldError[] = [];
  if (Buffer.byteLength(manager) > 128) errors.push(fieldErrors.tooLong("fieldManager", 128));
  let position = 0;
  for (const character of manager) {
    // unicode.IsPrint: letters, marks, numbers, punctuation, symbols and the ASCII space.
    if (!/^[\p{L}\p{M}\p{N}\p{P}\p{S} ]$/u.test(character)) {
      const code = (character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0");
      errors.push(
        fieldErrors.invalid("fieldManager", manager, `invalid character U+${code} (at position ${position})`),
      );
    }
    position += Buffer.byteLength(character);
  }
  return errors;
}

const refuse = (kind: string, errors: readonly FieldError[]): void => {
  if (errors.length > 0) throw refusals.invalid({ group: "meta.k8s.io", resource: kind }, "", errors);
};

/** @throws StatusError 422 for values that are not allowed. */
export function writeOptions(query: URLSearchParams, kind: WriteOptions["kind"], apply = false): WriteOptions {
  const dryRun = query.getAll("dryRun");
  const fieldManager = query.get("fieldManager") ?? "";
  const fieldValidation = query.get("fieldValidation") ?? "";
  const force = query.get("force");
  const errors: FieldError[] = [];
  if (kind === "PatchOptions") {
    if (apply && fieldManager === "") errors.push(fieldErrors.required("fieldManager", "is required for apply patch"));
    if (!apply && force !== null) {
      errors.push(fieldErrors.forbidden("force", "may not be specified for non-apply patch"));
    }
  }
  errors.push(...fieldManagerErrors(fieldManager), ...dryRunErrors(dryRun));
  if (!["", "Ignore", "Warn", "Strict"].includes(fieldValidation)) {
    errors.push(fieldErrors.notSupported("fieldValidation", fieldValidation, ["", "Ignore", "Strict", "Warn"]));
  }
  refuse(kind, errors);
  return {
    kind,
    dryRun: dryRun.length > 0,
    fieldManager,
    fieldValidation: fieldValidation === "" ? "Warn" : (fieldValidation as WriteOptions["fieldValidation"]),
    force: force === null ? undefined : (truths[force] ?? queryFlag(force)),
  };
}

/** How the options look to admission. */
export function optionsObject(options: WriteOptions): Draft {
  return {
    kind: options.kind,
    apiVersion: "meta.k8s.io/v1",
    ...(options.dryRun ? { dryRun: ["All"] } : {}),
    ...(options.force === undefined ? {} : { force: options.force }),
    ...(options.fieldManager === "" ? {} : { fieldManager: options.fieldManager }),
    ...(options.kind === "PatchOptions" || options.fieldValidation ? { fieldValidation: options.fieldValidation } : {}),
  };
}

/** `metav1.DeleteOptions`, checked. */
export interface DeleteOptions {
  readonly gracePeriodSeconds: number | undefined;
  readonly preconditions: { readonly uid?: string; readonly resourceVersion?: string };
  readonly orphanDependents: boolean | undefined;
  readonly propagationPolicy: string | undefined;
  readonly dryRun: boolean;
  readonly object: Draft;
}

const isStringList = (value: unknown): value is readonly string[] =>
  Array.isArray(value) && value.every((item) => typeof item === "string");

/** From the body when there is one, otherwise from the query. @throws StatusError 400, 422 */
export function deleteOptions(query: URLSearchParams, body: Draft | undefined): DeleteOptions {
  const source: Draft = body ?? optionsOfQuery(query);
  const dryRun = isStringList(source["dryRun"]) ? source["dryRun"] : [];
  const orphanDependents = typeof source["orphanDependents"] === "boolean" ? source["orphanDependents"] : undefined;
  const propagationPolicy = typeof source["propagationPolicy"] === "string" ? source["propagationPolicy"] : undefined;
  const preconditions = (source["preconditions"] ?? {}) as { uid?: string; resourceVersion?: string };
  const errors: FieldError[] = [];
  if (orphanDependents !== undefined && propagationPolicy !== undefined) {
    errors.push(
      fieldErrors.invalid(
        "propagationPolicy",
        propagationPolicy,
        "orphanDependents and deletionPropagation cannot be both set",
      ),
    );
  }
  if (propagationPolicy !== undefined && !["Foreground", "Background", "Orphan"].includes(propagationPolicy)) {
    errors.push(
      fieldErrors.notSupported("propagationPolicy", propagationPolicy, ["Foreground", "Background", "Orphan", "nil"]),
    );
  }
  errors.push(...dryRunErrors(dryRun));
  refuse("DeleteOptions", errors);
  return {
    gracePeriodSeconds: typeof source["gracePeriodSeconds"] === "number" ? source["gracePeriodSeconds"] : undefined,
    preconditions,
    orphanDependents,
    propagationPolicy,
    dryRun: dryRun.length > 0,
    object: { ...source, kind: "DeleteOptions", apiVersion: "meta.k8s.io/v1" },
  };
}

function optionsOfQuery(query: URLSearchParams): Draft {
  const grace = query.get("gracePeriodSeconds");
  const orphan = query.get("orphanDependents");
  const policy = query.get("propagationPolicy");
  const dryRun = query.getAll("dryRun");
  return {
    ...(grace === null ? {} : { gracePeriodSeconds: parseInt64(grace) }),
    ...(orphan === null ? {} : { orphanDependents: queryFlag(orphan) }),
    ...(policy === null ? {} : { propagationPolicy: policy }),
    ...(dryRun.length === 0 ? {} : { dryRun }),
  };
}

/** `metav1.ListOptions`, checked. */
export interface ListOptions {
  readonly labelSelector: string;
  readonly fieldSelector: string;
  readonly limit: number;
  readonly continue: string;
  readonly resourceVersion: string;
  readonly resourceVersionMatch: string;
  readonly timeoutSeconds: number | undefined;
  readonly allowWatchBookmarks: boolean;
  readonly sendInitialEvents: boolean | undefined;
}

/** `strconv.ParseInt` with 64 bits. @throws StatusError 400 */
function parseInt64(text: string): number {
  const problem = !/^[+-]?\d+$/.test(text)
    ? "invalid syntax"
    : BigInt.asIntN(64, BigInt(text)) === BigInt(text)
      ? ""
      : "value out of range";
  if (problem !== "") throw refusals.badRequest(`strconv.ParseInt: parsing ${JSON.stringify(text)}: ${problem}`);
  return Number(text);
}

function integer(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  return text === null || text === "" ? undefined : parseInt64(text);
}

/** @throws StatusError 400, 422 */
export function listOptions(query: URLSearchParams, watch: boolean): ListOptions {
  const sendInitialEvents = query.has("sendInitialEvents") ? queryFlag(query.get("sendInitialEvents")) : undefined;
  const options: ListOptions = {
    labelSelector: query.get("labelSelector") ?? "",
    fieldSelector: query.get("fieldSelector") ?? "",
    limit: integer(query, "limit") ?? 0,
    continue: query.get("continue") ?? "",
    resourceVersion: query.get("resourceVersion") ?? "",
    resourceVersionMatch: query.get("resourceVersionMatch") ?? "",
    timeoutSeconds: integer(query, "timeoutSeconds"),
    allowWatchBookmarks: queryFlag(query.get("allowWatchBookmarks")),
    sendInitialEvents,
  };
  refuse("ListOptions", watch ? watchErrors(options) : listErrors(options));
  return options;
}

function listErrors(options: ListOptions): readonly FieldError[] {
  const errors: FieldError[] = [];
  const match = options.resourceVersionMatch;
  if (match !== "") {
    const forbid = (detail: string): void => void errors.push(fieldErrors.forbidden("resourceVersionMatch", detail));
    if (options.resourceVersion === "") forbid("resourceVersionMatch is forbidden unless resourceVersion is provided");
    if (options.continue !== "") forbid("resourceVersionMatch is forbidden when continue is provided");
    if (match !== "Exact" && match !== "NotOlderThan") {
      errors.push(fieldErrors.notSupported("resourceVersionMatch", match, ["Exact", "NotOlderThan", ""]));
    }
    if (match === "Exact" && options.resourceVersion === "0") {
      forbid('resourceVersionMatch "exact" is forbidden for resourceVersion "0"');
    }
  }
  if (options.sendInitialEvents !== undefined) {
    errors.push(fieldErrors.forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"));
  }
  return errors;
}

function watchErrors(options: ListOptions): readonly FieldError[] {
  const errors: FieldError[] = [];
  const match = options.resourceVersionMatch;
  if (options.sendInitialEvents !== undefined && match !== "NotOlderThan") {
    errors.push(
      fieldErrors.forbidden(
        "resourceVersionMatch",
        "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
      ),
    );
  }
  if (match !== "") {
    if (options.sendInitialEvents === undefined) {
      errors.push(
        fieldErrors.forbidden(
          "resourceVersionMatch",
          "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
        ),
      );
    }
    if (match !== "NotOlderThan") {
      errors.push(fieldErrors.notSupported("resourceVersionMatch", match, ["NotOlderThan"]));
    }
    if (options.continue !== "") {
      errors.push(
        fieldErrors.forbidden("resourceVersionMatch", "resourceVersionMatch is forbidden when continue is provided"),
      );
    }
  }
  return errors;
}
