import type { UserInfo } from "@fleetwright/kube";
import { createMemo } from "../machinery/memo.ts";
import type { Call, RequestContext, RequestInfo } from "../machinery/request.ts";

/** A context with the warnings that it gathered. */
export interface GatheredContext extends RequestContext {
  readonly warnings: ReadonlySet<string>;
}

/** Clients are few, and each says its name with every call. */
const managers = createMemo<string>();

/** The manager's name when the query gives none: the user agent up to its first slash (`managerOrUserAgent`). */
function managerOfUserAgent(userAgent: string): string {
  const slash = userAgent.indexOf("/");
  // eslint-disable-next-line no-control-regex
  const name = (slash < 0 ? userAgent : userAgent.slice(0, slash)).replaceAll(/[^\u0020-\u007e]/g, "");
  return name.slice(0, 128);
}

const single = (value: string | readonly string[] | undefined): string =>
  typeof value === "string" ? value : (value?.[0] ?? "");

export function requestContext(
  call: Call,
  info: RequestInfo,
  user: UserInfo,
  nowMs: number,
  options: { readonly dryRun: boolean; readonly fieldManager: string },
): GatheredContext {
  const warnings = new Set<string>();
  return {
    info,
    user,
    dryRun: options.dryRun,
    fieldManager: options.fieldManager || managers(single(call.headers["user-agent"]), managerOfUserAgent) || "unknown",
    signal: call.signal,
    nowMs,
    warn: (text) => void warnings.add(text),
    warnings,
  };
}

/** `Warning` headers (KEP-1693, RFC 7234): code 299, no agent, the text quoted. */
export function warningHeaders(warnings: ReadonlySet<string>): Readonly<Record<string, readonly string[]>> {
  if (warnings.size === 0) return {};
  return {
    warning: [...warnings].map(
      (text) =>
        `299 - "${text
          .replaceAll(/[\r\n]+/g, " ")
          .replaceAll("\\", "\\\\")
          .replaceAll('"', String.raw`\"`)}"`,
    ),
  };
}
