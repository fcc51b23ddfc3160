import {
  allowed,
  ApiError,
  denied,
  FleetwrightError,
  TransportError,
  type AdmissionHandler,
  type AdmissionRequest,
  type AdmissionResponse,
  type Clock,
  type Logger,
} from "@fleetwright/kube";
import { quotaErrors, type Refusal } from "../errors.ts";
import type { GroupWriter } from "./group-writer.ts";
import type { MayUse } from "./access-review.ts";
import type { OwnerLookup } from "./owner-lookup.ts";
import type { UsageCache } from "./usage-cache.ts";

/** What the webhooks' handlers share. */
export interface Admission {
  readonly cache: UsageCache;
  readonly writer: (group: string) => GroupWriter;
  readonly owners: OwnerLookup;
  readonly mayUse: MayUse;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Time for one decision in milliseconds; below the webhook's timeout. */
  readonly decisionMs: number;
  readonly onDecision?: (webhook: string, outcome: "allowed" | "refused" | "busy" | "error") => void;
}

function refuse(refusal: Refusal): AdmissionResponse {
  if (refusal.retryAfterSeconds === undefined) return denied(refusal.message);
  return denied(refusal.message, {
    code: 429,
    reason: "TooManyRequests",
    retryAfterSeconds: refusal.retryAfterSeconds,
  });
}

/** A handler that answers errors instead of throwing them: what can be tried again is 429, what is wrong with the object is 422. */
export function decide(
  admission: Admission,
  webhook: string,
  judge: (request: AdmissionRequest, signal: AbortSignal) => Promise<Refusal | undefined>,
): AdmissionHandler {
  const count = admission.onDecision ?? (() => {});
  return async (request, signal) => {
    if (!admission.cache.synced()) {
      count(webhook, "busy");
      return refuse({
        code: quotaErrors.busy,
        message: "the quota manager is still reading the cluster; try again",
        retryAfterSeconds: 1,
      });
    }
    try {
      const refusal = await judge(request, signal);
      count(webhook, refusal === undefined ? "allowed" : refusal.retryAfterSeconds === undefined ? "refused" : "busy");
      return refusal === undefined ? allowed() : refuse(refusal);
    } catch (error) {
      count(webhook, "error");
      if (error instanceof ApiError || error instanceof TransportError) {
        admission.logger.error({ error, webhook }, "could not decide");
        return refuse({
          code: quotaErrors.busy,
          message: `quota could not be checked, try again: ${error.message}`,
          retryAfterSeconds: 1,
        });
      }
      if (error instanceof FleetwrightError) return denied(error.message, { code: 422, reason: "Invalid" });
      throw error;
    }
  };
}

export const deadlineOf = ({ clock, decisionMs }: Admission): number => clock.now() + decisionMs;
