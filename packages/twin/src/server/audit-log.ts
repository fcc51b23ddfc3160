import { randomUUID } from "node:crypto";
import { open } from "node:fs/promises";
import { FleetwrightError, microTime } from "@fleetwright/kube";
import type { Clock, UserInfo } from "@fleetwright/kube";
import type { Call, Reply, RequestInfo } from "../machinery/request.ts";

/** A call whose answer is written down before it leaves. */
export interface AuditedCall {
  readonly call: Call;
  identified(user: UserInfo): void;
  answered(reply: Reply): Promise<void>;
}

/** Every write with its bodies, one `audit.k8s.io/v1` Event a line (k8s.io/apiserver/pkg/apis/audit/v1). */
export interface AuditLog {
  /** `undefined` for what is not written down. */
  begin(call: Call, info: RequestInfo): AuditedCall | undefined;
  close(): Promise<void>;
}

const writes: ReadonlySet<string> = new Set(["create", "update", "patch", "delete", "deletecollection"]);

/**
 * Appends to a file. The log is complete up to every answer that a client has (upstream's `--audit-log-mode=blocking-strict`).
 *
 * @throws FleetwrightError `FW_TWIN_AUDIT` when the file cannot be written
 */
export async function openAuditLog(path: string, clock: Clock): Promise<AuditLog> {
  const file = await open(path, "a", 0o600).catch((cause: unknown) => {
    throw new FleetwrightError("FW_TWIN_AUDIT", `audit log ${path} can't be written; choose another file`, { cause });
  });
  let last: Promise<void> = Promise.resolve();
  const append = (event: object): Promise<void> => {
    const line = `${JSON.stringify(event)}\n`;
    // One after the other: lines keep the order of the answers.
    last = last.then(() => file.appendFile(line));
    return last;
  };
  return {
    begin(call, info) {
      if (!info.isResource || !writes.has(info.verb)) return undefined;
      const receivedMs = clock.now();
      let user: UserInfo | undefined;
      let body: Buffer | undefined;
      return {
        // What is written down is text on both sides.
        call: {
          ...call,
          json: undefined,
          copyJson: () => undefined,
          takesValues: false,
          body: async () => (body = await call.body()),
        },
        identified: (known) => void (user = known),
        answered(reply) {
          const requestObject = parsed(body);
          const responseObject = parsed(reply.body);
          return append({
            kind: "Event",
            apiVersion: "audit.k8s.io/v1",
            level: "RequestResponse",
            auditID: randomUUID(),
            stage: "ResponseComplete",
            requestURI: call.query.size === 0 ? call.path : `${call.path}?${call.query.toString()}`,
            verb: info.verb,
            user: user ?? {},
            objectRef: referenceOf(info, requestObject, responseObject),
            responseStatus: { code: reply.status },
            ...(requestObject === undefined ? {} : { requestObject }),
            ...(responseObject === undefined ? {} : { responseObject }),
            requestReceivedTimestamp: microTime(receivedMs),
            stageTimestamp: microTime(clock.now()),
          });
        },
      };
    },
    async close() {
      await last;
      await file.close();
    },
  };
}

/** Bodies in other formats are left out. */
function parsed(body: Reply["body"] | undefined): unknown {
  if (typeof body !== "string" && !Buffer.isBuffer(body)) return undefined;
  try {
    return JSON.parse(body.toString());
  } catch {
    return undefined;
  }
}

function referenceOf(info: RequestInfo, ...objects: readonly unknown[]): object {
  const named = objects.map((object) => (object as { metadata?: { name?: string } } | undefined)?.metadata?.name);
  const name = info.name === "" ? (named.find((each) => typeof each === "string") ?? "") : info.name;
  return {
    resource: info.resource,
    ...(info.subresource === "" ? {} : { subresource: info.subresource }),
    ...(info.namespace === "" ? {} : { namespace: info.namespace }),
    ...(name === "" ? {} : { name }),
    ...(info.group === "" ? {} : { apiGroup: info.group }),
    apiVersion: info.version,
  };
}
