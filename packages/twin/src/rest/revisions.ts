import { fieldErrors, refusals, statusError } from "../machinery/status-error.ts";

const syntaxText = (text: string): string => `strconv.ParseUint: parsing ${JSON.stringify(text)}: invalid syntax`;

/**
 * A resourceVersion of a query as a number; `undefined` for none.
 *
 * @throws StatusError 400 for a list, 500 for everything else, as upstream
 */
export function parseRevision(text: string, verb: "get" | "list" | "watch"): number | undefined {
  if (text === "") return undefined;
  if (/^\d+$/.test(text)) return Number(text);
  const { field, message } = fieldErrors.invalid("resourceVersion", text, syntaxText(text));
  throw verb === "list"
    ? refusals.badRequest(`invalid resource version: ${field}: ${message}`)
    : statusError(500, "", `${field}: ${message}`);
}

/** The resourceVersion of an object that is sent. @throws StatusError 500 */
export function checkObjectRevision(text: string): void {
  if (text !== "" && !/^\d+$/.test(text)) throw statusError(500, "", syntaxText(text));
}

/** The revision has not been reached (`storage.NewTooLargeResourceVersionError`). */
export function tooLarge(asked: number, current: number): Error {
  return statusError(
    504,
    "Timeout",
    `Timeout: Too large resource version: ${asked}, current: ${current}`,
    {
      causes: [{ reason: "ResourceVersionTooLarge", message: "Too large resource version" }],
      retryAfterSeconds: 1,
    },
    { "retry-after": "1" },
  );
}
