import type { Status } from "@fleetwright/kube";
import type { Call, Reply } from "../machinery/request.ts";
import { refusals, StatusError } from "../machinery/status-error.ts";
import { negotiate, plainOnly } from "./negotiate.ts";
import type { OutputFormat } from "./negotiate.ts";
import { valueReply } from "./respond.ts";

const jsonHeaders: Readonly<Record<string, string>> = { "content-type": "application/json" };

function jsonReply(status: number, value: unknown, headers: Reply["headers"] = {}): Reply {
  return { status, headers: { ...jsonHeaders, ...headers }, body: `${JSON.stringify(value)}\n` };
}

function statusReply(status: Status, headers: Reply["headers"] = {}): Reply {
  return jsonReply(status.code ?? 200, status, headers);
}

/** How a refusal goes out; anything that is no refusal is a defect of the server and answers 500. */
export function errorReply(error: unknown, call?: Call): Reply {
  const known =
    error instanceof StatusError ? error : refusals.internal(error instanceof Error ? error.message : String(error));
  const format = call === undefined ? undefined : formatFor(call);
  const wait = known.status.details?.retryAfterSeconds ?? 0;
  const headers = wait > 0 ? { "retry-after": String(wait), ...known.headers } : known.headers;
  if (format === undefined) return statusReply(known.status, headers);
  return valueReply(known.code, known.status, format, headers);
}

/** Nothing where the client accepts nothing that there is: a refusal is told all the same. */
function formatFor(call: Call): OutputFormat | undefined {
  try {
    return negotiate(call, plainOnly);
  } catch {
    return undefined;
  }
}

/** What Go's HTTP server says about a path that nobody serves. */
export const pageNotFound = (): Reply => ({
  status: 404,
  headers: { "content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff" },
  body: "404 page not found\n",
});
