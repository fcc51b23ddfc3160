import type { Status } from "./object.ts";

/**
 * The one error type of the project. `code` is stable (`FW_…`) and listed in `docs/errors.md`;
 * the message names the value, the place and what to do.
 */
export class FleetwrightError extends Error {
  readonly code: string;

  constructor(code: string, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = "FleetwrightError";
    this.code = code;
  }
}

/** The server refused a call; `status` is its own word. */
export class ApiError extends FleetwrightError {
  readonly status: Status;
  /** The HTTP status. */
  readonly httpStatus: number;
  /** From `Retry-After`, in milliseconds. */
  readonly retryAfterMs: number | undefined;

  constructor(
    httpStatus: number,
    status: Status,
    options: { retryAfterMs?: number | undefined; cause?: unknown } = {},
  ) {
    super("FW_KUBE_API", status.message ?? `the server answered ${httpStatus}`, { cause: options.cause });
    this.name = "ApiError";
    this.httpStatus = httpStatus;
    this.status = status;
    this.retryAfterMs = options.retryAfterMs;
  }

  /** `NotFound`, `AlreadyExists`, `Conflict`, …; `""` when the server named none. */
  get reason(): string {
    return this.status.reason ?? "";
  }
}

/** The server could not be reached, or the connection broke before an answer. The call may or may not have been carried out. */
export class TransportError extends FleetwrightError {
  constructor(message: string, options?: { cause?: unknown }) {
    super("FW_KUBE_TRANSPORT", message, options);
    this.name = "TransportError";
  }
}

const hasReason = (error: unknown, reason: string, httpStatus: number): boolean =>
  error instanceof ApiError && (error.reason === reason || (error.reason === "" && error.httpStatus === httpStatus));

export const isNotFound = (error: unknown): boolean => hasReason(error, "NotFound", 404);
export const isAlreadyExists = (error: unknown): boolean => hasReason(error, "AlreadyExists", 409);
export const isConflict = (error: unknown): boolean => hasReason(error, "Conflict", 409);
export const isForbidden = (error: unknown): boolean => hasReason(error, "Forbidden", 403);
export const isUnauthorized = (error: unknown): boolean => hasReason(error, "Unauthorized", 401);
export const isInvalid = (error: unknown): boolean => hasReason(error, "Invalid", 422);
export const isTooManyRequests = (error: unknown): boolean => error instanceof ApiError && error.httpStatus === 429;

/** 410: the resource version or continue token is too old; start from a fresh list. */
export const isExpired = (error: unknown): boolean =>
  error instanceof ApiError && (error.httpStatus === 410 || error.reason === "Expired" || error.reason === "Gone");
