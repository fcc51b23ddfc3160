import { matchesFields, matchesLabels, parseFieldSelector, parseLabelSelector } from "@fleetwright/kube";
import type { FieldSelector, Selector } from "@fleetwright/kube";
import { typed } from "../machinery/draft.ts";
import type { Draft } from "../machinery/draft.ts";
import type { ServedKind } from "../machinery/kind.ts";
import type { RequestInfo } from "../machinery/request.ts";
import { refusals } from "../machinery/status-error.ts";
import type { WatchScope } from "../storage/store.ts";
import type { Version } from "../storage/version.ts";
import { metadataOf, storageKey, textOf } from "./core.ts";
import type { ListOptions } from "./options.ts";

/** Which objects of a collection a list or watch is about. */
export interface Selection {
  /** Nothing is asked of the objects beyond the scope. */
  readonly everything: boolean;
  readonly scope: WatchScope;
  matches(version: Version): boolean;
}

function labelsOf(object: Draft): Readonly<Record<string, string>> {
  return (metadataOf(object)["labels"] ?? {}) as Readonly<Record<string, string>>;
}

function fieldValue(kind: ServedKind, object: Draft, field: string): string {
  const metadata = metadataOf(object);
  if (field === "metadata.name") return textOf(metadata["name"]);
  if (field === "metadata.namespace") return textOf(metadata["namespace"]);
  return kind.strategy.fieldValue?.(typed(object), field) ?? "";
}

/** The reason in Kubernetes' words; our own errors put the selector before it. */
function reasonOf(error: unknown, selector: string): string {
  const message = error instanceof Error ? error.message : String(error);
  const ours = `selector ${JSON.stringify(selector)}: `;
  return message.startsWith(ours) ? message.slice(ours.length) : message;
}

/** How `field.Error` names a requirement's key and values, which upstream gives no path. */
function asFieldErrors(reason: string, selector: string): string {
  const key = /^\s*([^\s=!<>,]+)/.exec(selector)?.[1] ?? "";
  const value = /[<>]\s*([^,\s]*)/.exec(selector)?.[1] ?? "";
  return reason
    .replaceAll(/key ("(?:[^"\\]|\\.)*"): /g, "<nil>: Invalid value: $1: ")
    .replaceAll(/value ("(?:[^"\\]|\\.)*"): /g, `values[0][${key}]: Invalid value: $1: `)
    .replace(
      "for 'Gt', 'Lt' operators, the value must be",
      `values[0]: Invalid value: ${JSON.stringify(value)}: for 'Gt', 'Lt' operators, the value must be`,
    );
}

function parseFields(kind: ServedKind, text: string): FieldSelector {
  let selector: FieldSelector;
  try {
    selector = parseFieldSelector(text);
  } catch (error) {
    throw refusals.badRequest(reasonOf(error, text));
  }
  for (const { field } of selector) {
    if (field === "metadata.name" || field === "metadata.namespace") continue;
    if (!(kind.strategy.selectableFields ?? []).includes(field))
      throw refusals.badRequest(unsupportedField(kind, field));
  }
  return selector;
}

const unsupportedField = (kind: ServedKind, field: string): string =>
  kind.builtin && kind.strategy.selectableFields === undefined
    ? `${JSON.stringify(field)} is not a known field selector: only "metadata.name", "metadata.namespace"`
    : `field label not supported: ${field}`;

function parseLabels(text: string): Selector {
  try {
    return parseLabelSelector(text);
  } catch (error) {
    throw refusals.badRequest(asFieldErrors(reasonOf(error, text), text));
  }
}

/** @throws StatusError 400 for selectors that cannot be parsed or name fields that the kind does not select by. */
export function selectionOf(kind: ServedKind, info: RequestInfo, options: ListOptions): Selection {
  const labels = options.labelSelector === "" ? undefined : parseLabels(options.labelSelector);
  const fields = options.fieldSelector === "" ? [] : parseFields(kind, options.fieldSelector);
  const exact = (field: string): string | undefined =>
    fields.find((requirement) => requirement.field === field && requirement.operator !== "!=")?.value;

  const asked = exact("metadata.name");
  let name = asked;
  if (info.name !== "" && info.subresource === "") {
    if (fields.length > 0 && asked !== info.name) {
      throw refusals.badRequest("fieldSelector metadata.name doesn't match requested name");
    }
    name = info.name;
  }
  const namespace = kind.namespaced && info.namespace !== "" ? info.namespace : undefined;
  const index = kind.strategy.watchIndexField === undefined ? undefined : exact(kind.strategy.watchIndexField);
  const scope: WatchScope =
    name !== undefined && (!kind.namespaced || namespace !== undefined)
      ? { key: storageKey(kind, namespace ?? "", name) }
      : index === undefined
        ? namespace === undefined
          ? {}
          : { namespace }
        : { ...(namespace === undefined ? {} : { namespace }), index };

  // What the scope says already need not be asked of each object.
  const rest = fields.filter(
    ({ field, operator, value }) =>
      operator === "!=" ||
      !(
        (field === "metadata.name" && scope.key !== undefined && value === name) ||
        (field === kind.strategy.watchIndexField && scope.index === value)
      ),
  );
  const bare = labels === undefined && rest.length === 0;
  return {
    everything: bare && scope.index === undefined && scope.key === undefined,
    scope,
    matches(version) {
      if (scope.key !== undefined && version.key !== scope.key) return false;
      if (scope.index !== undefined && version.index !== scope.index) return false;
      if (bare) return true;
      const object = version.object;
      if (labels !== undefined && !matchesLabels(labels, labelsOf(object))) return false;
      return rest.length === 0 || matchesFields(rest, object, (_, field) => fieldValue(kind, object, field));
    },
  };
}
