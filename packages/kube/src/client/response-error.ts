import { ApiError } from "../core/errors.ts";
import type { Status } from "../core/object.ts";
import type { TransportRequest } from "./transport.ts";

/** Reasons for answers that carry no `Status`, as apimachinery's `NewGenericServerResponse` gives them. */
const reasons: Readonly<Record<number, string>> = {
  400: "BadRequest",
  401: "Unauthorized",
  403: "Forbidden",
  404: "NotFound",
  405: "MethodNotAllowed",
  406: "NotAcceptable",
  410: "Gone",
  413: "RequestEntityTooLarge",
  415: "UnsupportedMediaType",
  422: "Invalid",
  429: "TooManyRequests",
  503: "ServiceUnavailable",
  504: "Timeout",
};

const maxBodyText = 500;

/**
 * The error for an answer that is no success. The server's `Status` is taken as it is; from anything else (a load
 * balancer's page, plain text) one is made whose message quotes the beginning of the body.
 *
 * @param now milliseconds since the epoch, for a `Retry-After` that is a date
 */
export function responseError(
  request: Pick<TransportRequest, "method" | "path">,
  response: { readonly status: number; readonly headers: Readonly<Record<string, string>> },
  body: string,
  now: number,
): ApiError {
  const status = statusIn(body) ?? genericStatus(request, response.status, body);
  const fromHeader = retryAfterMs(response.headers["retry-after"], now);
  const fromDetails = status.details?.retryAfterSeconds;
  return new ApiError(response.status, status, {
    retryAfterMs: fromHeader ?? (fromDetails === undefined ? undefined : fromDetails * 1000),
  });
}

/** `Retry-After` in milliseconds: seconds or an HTTP date. `undefined` when absent or unreadable. */
export function retryAfterMs(header: string | undefined, now: number): number | undefined {
  if (header === undefined) return undefined;
  const text = header.trim();
  if (/^\d+$/.test(text)) return Number(text) * 1000;
  const date = Date.parse(text);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}

function statusIn(body: string): Status | undefined {
  if (!body.startsWith("{")) return undefined;
  try {
    const parsed = JSON.parse(body) as { readonly kind?: unknown };
    return parsed.kind === "Status" ? (parsed as Status) : undefined;
  } catch {
    return undefined;
  }
}

function genericStatus(request: Pick<TransportRequest, "method" | "path">, code: number, body: string): Status {
  const text = body.trim();
  const quoted = text.length > maxBodyText ? `${text.slice(0, maxBodyText)}…` : text;
  const conflict = request.method === "POST" ? "AlreadyExists" : "Conflict";
  const reason = code === 409 ? conflict : (reasons[code] ?? (code >= 500 ? "InternalError" : ""));
  return {
    apiVersion: "v1",
    kind: "Status",
    status: "Failure",
    code,
    reason,
    message: `${request.method} ${request.path}: the server answered ${code}${quoted === "" ? " without saying why" : `: ${quoted}`}`,
  };
}
