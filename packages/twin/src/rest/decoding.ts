import { parse } from "yaml";
import type { GroupVersionKind } from "@fleetwright/kube";
import { isDraft } from "../machinery/draft.ts";
import type { Draft } from "../machinery/draft.ts";
import type { RequestContext } from "../machinery/request.ts";
import type { Schema } from "../machinery/schema.ts";
import { refusals } from "../machinery/status-error.ts";

type Form = GroupVersionKind & { readonly schema: Schema; readonly builtin: boolean };

export function decodeObject(
  bytes: Buffer,
  contentType: string,
  kind: Form,
  validation: string,
  context: RequestContext,
): Draft {
  const object = (contentType.includes("yaml") ? parse(bytes.toString()) : JSON.parse(bytes.toString())) as unknown;
  if (!isDraft(object)) throw refusals.badRequest("not an object");
  object["kind"] ??= kind.kind;
  object["apiVersion"] ??= kind.group === "" ? kind.version : `${kind.group}/${kind.version}`;
  return object;
}
export function decodeApply(bytes: Buffer, kind: Form, validation: string, context: RequestContext): Draft {
  return parse(bytes.toString()) as Draft;
}
export function decodePatched(
  object: Draft,
  kind: Form,
  validation: string,
  context: RequestContext,
  type: string,
): Draft {
  return object;
}
export function decodeOptionsBody(bytes: Buffer, contentType: string): Draft | undefined {
  return bytes.length === 0 ? undefined : (parse(bytes.toString()) as Draft);
}
