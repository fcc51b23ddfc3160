import { FleetwrightError } from "@fleetwright/kube";
import type { CheckpointErrorCode } from "../errors.ts";

/** A registry (or its token server) did not do what was asked. */
export class RegistryError extends FleetwrightError {
  declare readonly code: CheckpointErrorCode;
  /** Of the answer; `undefined`: there was none, or a wrong one. */
  readonly status: number | undefined;
  /** The registry's own codes: `MANIFEST_UNKNOWN`, `DENIED`, … */
  readonly reasons: readonly string[];
  /** Whether the same may work later. */
  readonly transient: boolean;
  /** When the registry says to come again. */
  readonly retryAfterMs: number | undefined;

  constructor(
    code: CheckpointErrorCode,
    message: string,
    details: {
      readonly status?: number | undefined;
      readonly reasons?: readonly string[];
      readonly transient?: boolean;
      readonly retryAfterMs?: number | undefined;
      readonly cause?: unknown;
    } = {},
  ) {
    super(code, message, { cause: details.cause });
    this.name = "RegistryError";
    this.status = details.status;
    this.reasons = details.reasons ?? [];
    this.transient = details.transient ?? false;
    this.retryAfterMs = details.retryAfterMs;
  }
}

/** What a registry says that is not so. */
export const registryLies = (message: string): RegistryError =>
  new RegistryError("FW_CHECKPOINT_REGISTRY_LIES", `${message}; do not trust what came from there`);

export const isNotInRegistry = (error: unknown): boolean =>
  error instanceof RegistryError && error.code === "FW_CHECKPOINT_REGISTRY_NOT_FOUND";

/** Foreign text in our messages: one line, no control characters, not too long. */
export const quoted = (text: string): string =>
  text
    // oxlint-disable-next-line no-control-regex
    .replaceAll(/[\u0000-\u0020\u007f-\u009f]+/g, " ")
    .trim()
    .slice(0, 300);

interface ErrorBody {
  readonly errors?: readonly { readonly code?: unknown; readonly message?: unknown }[];
}

function errorsIn(body: string): readonly { readonly code: string; readonly message: string }[] {
  try {
    const { errors } = JSON.parse(body) as ErrorBody;
    return (errors ?? []).slice(0, 5).map(({ code, message }) => ({
      code: quoted(typeof code === "string" ? code : "UNKNOWN"),
      message: quoted(typeof message === "string" ? message : ""),
    }));
  } catch {
    return [];
  }
}

/** Seconds or a date (RFC 9110, 10.2.3), in milliseconds from now. */
function retryAfter(header: string | undefined, now: number): number | undefined {
  if (header === undefined) return undefined;
  if (/^\d{1,9}$/.test(header.trim())) return Number(header) * 1000;
  const at = Date.parse(header);
  return Number.isNaN(at) ? undefined : Math.max(0, at - now);
}

const passing = new Set([408, 425, 429, 500, 502, 503, 504]);

function meaning(status: number, reasons: readonly string[]): readonly [code: CheckpointErrorCode, advice: string] {
  if (status === 401 || status === 403 || reasons.includes("DENIED"))
    return ["FW_CHECKPOINT_REGISTRY_REFUSED", "check the credentials and what they may do in that repository"];
  if (status === 404) return ["FW_CHECKPOINT_REGISTRY_NOT_FOUND", "check the name, and whether it is (still) there"];
  if (status === 413)
    return ["FW_CHECKPOINT_REGISTRY_TOO_LARGE", "raise the limit of the registry or of the proxy before it"];
  if (status === 405 || status === 501 || reasons.includes("UNSUPPORTED"))
    return ["FW_CHECKPOINT_REGISTRY_UNSUPPORTED", "allow it in the registry's configuration, or use another one"];
  return ["FW_CHECKPOINT_REGISTRY", "look at the registry's log"];
}

/** The error that an answer means. @param what the call: `PUT https://registry/v2/…` */
export function answerError(
  what: string,
  answer: { readonly status: number; readonly body: string; readonly retryAfter: string | undefined },
  now: number,
): RegistryError {
  const { status, body } = answer;
  const errors = errorsIn(body);
  const reasons = errors.map(({ code }) => code);
  const [code, advice] = meaning(status, reasons);
  const said = errors.map((error) => `${error.code}: ${error.message}`).join("; ");
  return new RegistryError(code, `${what}: ${status}${said === "" ? "" : ` (${said})`}; ${advice}`, {
    status,
    reasons,
    transient: passing.has(status),
    retryAfterMs: retryAfter(answer.retryAfter, now),
  });
}

/** What broken connections are called, and what to do. The codes are Node's, OpenSSL's and undici's. */
const failures: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused; check that the registry runs and that the port is right",
  ENOTFOUND: "no such host; check the registry's name",
  EAI_AGAIN: "the name could not be looked up; check this machine's DNS",
  UND_ERR_CONNECT_TIMEOUT: "no connection in time; check the address and firewalls",
  UND_ERR_HEADERS_TIMEOUT: "no answer in time; look at the registry's log",
  UND_ERR_BODY_TIMEOUT: "the answer stopped in its middle; look at the registry's log",
  ERR_SSL_WRONG_VERSION_NUMBER: "does not speak TLS there; a registry without TLS must be allowed explicitly",
  ERR_SSL_PACKET_LENGTH_TOO_LONG: "does not speak TLS there; a registry without TLS must be allowed explicitly",
  CERT_HAS_EXPIRED: "the certificate has expired; renew it, and check this machine's clock",
  ERR_TLS_CERT_ALTNAME_INVALID: "the certificate is for another name; use a name that it has",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    "the certificate is signed by an unknown authority; give the authority's certificate",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    "the certificate is signed by an unknown authority; give the authority's certificate",
  SELF_SIGNED_CERT_IN_CHAIN: "the certificate is signed by an unknown authority; give the authority's certificate",
  DEPTH_ZERO_SELF_SIGNED_CERT: "the certificate is signed by an unknown authority; give the authority's certificate",
};

/** The error of a call that got no whole answer. A wrong certificate stays wrong; everything else may pass. */
export function connectionError(what: string, cause: unknown): RegistryError {
  let code = "";
  for (let error: unknown = cause, depth = 0; error instanceof Error && depth < 8; depth++) {
    const found = (error as { readonly code?: unknown }).code;
    if (typeof found === "string" && code === "") code = found;
    if (typeof found === "string" && failures[found] !== undefined) {
      code = found;
      break;
    }
    error = error instanceof AggregateError ? error.errors[0] : error.cause;
  }
  const text =
    failures[code] ?? `the connection broke (${quoted(cause instanceof Error ? cause.message : String(cause))})`;
  return new RegistryError("FW_CHECKPOINT_REGISTRY", `${what}: ${text}`, {
    transient: !/CERT|SSL|VERIFY/.test(code),
    cause,
  });
}
