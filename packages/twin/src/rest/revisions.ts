import { fieldErrors, refusals, statusError } from "../machinery/status-error.ts";

/** A resourceVersion of a query as a number; `undefined` for none. @throws StatusError 422 */
export function parseRevision(
  text: string,
  resource: { readonly group: string; readonly resource: string },
): number | undefined {
  if (text === "") return undefined;
  if (!/^\d+$/.test(text)) {
    throw refusals.invalid(resource, "", [
      fieldErrors.invalid(
        "resourceVersion",
        text,
        `strconv.ParseUint: parsing ${JSON.stringify(text)}: invalid syntax`,
      ),
    ]);
  }
  return Number(text);
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
