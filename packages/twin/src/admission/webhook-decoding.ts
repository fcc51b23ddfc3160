import type { AdmissionAttributes } from "../machinery/admission.ts";
import { typed, type Draft } from "../machinery/draft.ts";
import type { ServedKind } from "../machinery/kind.ts";
import { refusals, StatusError } from "../machinery/status-error.ts";
import { decodeValue } from "../schema/decode.ts";

/**
 * A changed object as its kind has it, with defaults: what the server would have read had it been sent so.
 *
 * @throws StatusError 500 where a value is not of its field's type
 */
export function decodeChanged(object: Draft, served: ServedKind, { subresource }: AdmissionAttributes): Draft {
  const below = subresource === "" ? undefined : served.subresources.get(subresource);
  let decoded: Draft;
  try {
    decoded = decodeValue(object, {
      schema: below?.schema ?? served.schema,
      kind: below?.kind ?? { group: served.group, version: served.version, kind: served.kind },
      fieldValidation: "Ignore",
      builtin: served.builtin,
    }).object;
  } catch (error) {
    if (!(error instanceof StatusError)) throw error;
    throw refusals.internal(error.message.replace(/^.*? cannot be handled as an? \S+: /, ""));
  }
  if (below?.view?.defaults !== undefined) below.view.defaults(decoded);
  else if (below === undefined || subresource === "status") served.strategy.defaults?.(typed(decoded));
  return decoded;
}
