import { statusError, type StatusError } from "../machinery/status-error.ts";
import { compareText, pathTexts } from "./field-set.ts";
import type { Manager, Managers } from "./managers.ts";
import type { Clash } from "./ownership.ts";

/** `"kubectl" with subresource "scale" using apps/v1`; times are never part of an identity. */
function managerText({ name, operation, apiVersion, subresource }: Manager): string {
  const quoted = `${JSON.stringify(name)}${subresource === "" ? "" : ` with subresource ${JSON.stringify(subresource)}`}`;
  return operation === "Update" ? `${quoted} using ${apiVersion}` : quoted;
}

/** The refusal of an apply that would change what others own (managedfields/internal/conflict.go). */
export function conflictError(managers: Managers, clashes: readonly Clash[]): StatusError {
  const parts = clashes
    .toSorted((left, right) => compareText(left.id, right.id))
    .flatMap(({ id, fields }) => {
      const manager = managers.get(id);
      return manager === undefined ? [] : [{ manager: managerText(manager), paths: pathTexts(fields) }];
    });
  const causes = parts.flatMap(({ manager, paths }) =>
    paths.map((field) => ({ reason: "FieldManagerConflict", message: `conflict with ${manager}`, field })),
  );
  const [first] = causes;
  const message =
    causes.length === 1 && first !== undefined
      ? `Apply failed with 1 conflict: ${first.message}: ${first.field}`
      : `Apply failed with ${causes.length} conflicts: ${parts
          .flatMap(({ manager, paths }) => [`conflicts with ${manager}:`, ...paths.map((path) => `- ${path}`)])
          .join("\n")}`;
  return statusError(409, "Conflict", message, { causes });
}
