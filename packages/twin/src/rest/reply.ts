import type { Status } from "@fleetwright/kube";
import type { Reply } from "../machinery/request.ts";
import { refusals, StatusError } from "../machinery/status-error.ts";

const jsonHeaders: Readonly<Record<string, string>> = { "content-type": "application/json" };

function jsonReply(status: number, value: unknown, headers: Reply["headers"] = {}): Reply {
  return { status, headers: { ...jsonHeaders, ...headers }, body: `${JSON.stringify(value)}\n` };
}

function statusReply(status: Status, headers: Reply["headers"] = {}): Reply {
  return jsonReply(status.code ?? 200, status, headers);
}

/** How a refusal goes out; anything that is no refusal is a defect of the server and answers 500. */
export function errorReply(error: unknown): Reply {
  if (error instanceof StatusError) return statusReply(error.status, error.headers);
  return statusReply(refusals.internal(error instanceof Error ? error.message : String(error)).status);
}

/** What Go's HTTP server says about a path that nobody serves. */
export const pageNotFound = (): Reply => ({
  status: 404,
  headers: { "content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff" },
  body: "404 page not found\n",
});
