import { refusals, statusError } from "../machinery/status-error.ts";
import { jsonProblem } from "../schema/json-syntax.ts";

/** Where a list goes on: after a key, at a revision; -1 stands for "whatever is there now". */
export interface Continuation {
  readonly revision: number;
  /** The key that was last, within the list's namespace if it has one. */
  readonly after: string;
}

/** k8s.io/apiserver/pkg/storage/continue.go, so that tokens look as clients know them. */
export function encodeContinue({ revision, after }: Continuation): string {
  return Buffer.from(JSON.stringify({ v: "meta.k8s.io/v1", rv: revision, start: `${after}\u0000` })).toString(
    "base64url",
  );
}

/** @throws StatusError 400 */
export function decodeContinue(text: string): Continuation {
  const invalid = (reason: string): Error => refusals.badRequest(`invalid continue token: ${reason}`);
  const illegal = /[^A-Za-z0-9_-]/.exec(text);
  if (illegal !== null) {
    throw invalid(`continue key is not valid: illegal base64 data at input byte ${illegal.index}`);
  }
  // As single bytes: Go's reader of JSON names a byte that is wrong.
  const decoded = Buffer.from(text, "base64url").toString("latin1");
  let token: unknown;
  try {
    token = JSON.parse(Buffer.from(decoded, "latin1").toString());
  } catch {
    throw invalid(`continue key is not valid: ${jsonProblem(decoded) ?? "not JSON"}`);
  }
  const { v, rv, start } = (token ?? {}) as { v?: unknown; rv?: unknown; start?: unknown };
  if (v !== "meta.k8s.io/v1") {
    throw invalid(
      `continue key is not valid: server does not recognize this encoded version ${typeof v === "string" ? v : ""}`,
    );
  }
  if (typeof rv !== "number" || !Number.isSafeInteger(rv) || rv === 0) {
    throw invalid("continue key is not valid: incorrect encoded start resourceVersion (version meta.k8s.io/v1)");
  }
  if (typeof start !== "string" || start === "") {
    throw invalid("continue key is not valid: encoded start key empty (version meta.k8s.io/v1)");
  }
  const key = start.endsWith("\u0000") ? start.slice(0, -1) : start;
  if (key.split("/").some((part) => part === "" || part === "." || part === "..")) {
    throw invalid(`continue key is not valid: ${start}`);
  }
  return { revision: rv, after: key };
}

/** 410 with a token that goes on from here at whatever is there now. */
export function expiredContinuation(after: string): Error {
  const refusal = statusError(
    410,
    "Expired",
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.",
  );
  Object.assign(refusal.status, { metadata: { continue: encodeContinue({ revision: -1, after }) } });
  return refusal;
}
