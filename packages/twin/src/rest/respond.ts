import { stringify } from "yaml";
import { metadataAlone } from "../kinds/form-annotations.ts";
import { renderTable } from "../table/render-table.ts";
import type { Draft } from "../machinery/draft.ts";
import type { ServedKind } from "../machinery/kind.ts";
import type { Call, Reply } from "../machinery/request.ts";
import { fieldErrors, refusals } from "../machinery/status-error.ts";
import { internalPackage } from "../schema/decode.ts";
import type { Version } from "../storage/version.ts";
import { apiVersionOf } from "./core.ts";
import type { OutputFormat } from "./negotiate.ts";

const includes = ["Metadata", "None", "Object"] as const;

/** How much of each object a table's rows carry. @throws StatusError 400 */
export function includeObject(call: Call): (typeof includes)[number] {
  const asked = call.query.get("includeObject") ?? "";
  const found = includes.find((include) => include === asked);
  if (found !== undefined) return found;
  if (asked === "") return "Metadata";
  const { field, message } = fieldErrors.invalid(
    "includeObject",
    asked,
    "must be 'Metadata', 'Object', 'None', or empty",
  );
  throw refusals.badRequest(`Unable to convert to Table as requested: ${field}: ${message}`);
}

/** `PartialObjectMetadata` of an object. */
export const partialObject = (object: Readonly<Draft>, version: string): Draft => ({
  kind: "PartialObjectMetadata",
  apiVersion: `meta.k8s.io/${version}`,
  metadata: metadataAlone(object),
});

/** A form that the answer cannot take. `%T` of what upstream holds: an internal type. */
export function formMismatch(kind: ServedKind, form: "PartialObjectMetadata" | "PartialObjectMetadataList"): Error {
  const isList = form === "PartialObjectMetadata";
  const type = kind.builtin
    ? `*${internalPackage(kind.group)}.${isList ? kind.listKind : kind.kind}`
    : `*unstructured.Unstructured${isList ? "List" : ""}`;
  return refusals.notAcceptable(
    `you requested ${form}, but the requested object is ${isList ? "a" : "not a"} list (${type})`,
  );
}

/** What goes out as JSON or YAML, indented for people. */
function encodeValue(value: unknown, format: OutputFormat): { readonly type: string; readonly body: string } {
  if (format.format === "yaml") {
    // As sigs.k8s.io/yaml writes it: keys in order, long lines whole.
    return { type: "application/yaml", body: stringify(value, { sortMapEntries: true, lineWidth: 0, version: "1.1" }) };
  }
  return {
    type: "application/json",
    body: `${format.pretty ? JSON.stringify(value, undefined, 2) : JSON.stringify(value)}\n`,
  };
}

export function valueReply(
  status: number,
  value: unknown,
  format: OutputFormat,
  headers: Reply["headers"] = {},
): Reply {
  if (format.asValue && status < 300 && value !== undefined)
    return { status, headers: { "content-type": "application/json", ...headers }, body: "", value };
  const { type, body } = encodeValue(value, format);
  return { status, headers: { "content-type": type, ...headers }, body };
}

/** What is stored, as it is. */
export function versionReply(
  status: number,
  version: Version,
  format: OutputFormat,
  headers: Reply["headers"] = {},
): Reply {
  if (format.asValue || format.format !== "json" || format.pretty)
    return valueReply(status, version.object, format, headers);
  return { status, headers: { "content-type": "application/json", ...headers }, body: version.bytes };
}

/** One object in the form that the client accepts; `version` spares encoding it again. */
export function objectReply(
  call: Call,
  kind: ServedKind,
  found: { readonly object: Draft; readonly version?: Version },
  format: OutputFormat,
  options: { readonly status: number; readonly nowMs: number; readonly headers?: Reply["headers"] },
): Reply {
  const headers = options.headers ?? {};
  const { convert } = format;
  if (convert === undefined) {
    if (found.version !== undefined) return versionReply(options.status, found.version, format, headers);
    return valueReply(options.status, found.object, format, headers);
  }
  if (convert.kind === "PartialObjectMetadataList") throw formMismatch(kind, convert.kind);
  if (convert.kind !== "Table") {
    return valueReply(options.status, partialObject(found.object, convert.version), format, headers);
  }
  const table = renderTable({
    kind,
    objects: [found.object],
    includeObject: includeObject(call),
    nowMs: options.nowMs,
    listMetadata: { resourceVersion: (found.object["metadata"] as Draft | undefined)?.["resourceVersion"] ?? "" },
    noHeaders: false,
  });
  return valueReply(options.status, table, format, headers);
}

/** The bytes of a list's items without `kind` and `apiVersion`, which built-in lists leave out. */
export function itemPrefix(kind: ServedKind): string {
  return kind.builtin ? `{"kind":${JSON.stringify(kind.kind)},"apiVersion":${JSON.stringify(apiVersionOf(kind))},` : "";
}
