import type { Logger } from "@fleetwright/kube";
import type { Reply } from "../machinery/request.ts";
import { asStatus, StatusError } from "../machinery/status-error.ts";

/** What a call that was not answered gets: a refusal's Status, or 500 for a defect, which the log has with its stack. */
export function failureReply(
  error: unknown,
  call: { readonly method: string; readonly path: string },
  logger: Logger,
): Reply {
  const status = asStatus(error);
  if (!(error instanceof StatusError)) {
    logger.error({ error, method: call.method, path: call.path }, "a request failed");
  }
  return {
    status: status.code ?? 500,
    headers: { "content-type": "application/json", ...(error instanceof StatusError ? error.headers : {}) },
    body: `${JSON.stringify(status)}\n`,
  };
}
