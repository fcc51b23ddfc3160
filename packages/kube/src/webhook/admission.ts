import type { KubeObject, Status } from "../core/object.ts";

export interface UserInfo {
  readonly username?: string;
  readonly uid?: string;
  readonly groups?: readonly string[];
  readonly extra?: Readonly<Record<string, readonly string[]>>;
}

export interface GroupVersionKind {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
}

export interface GroupVersionResource {
  readonly group: string;
  readonly version: string;
  readonly resource: string;
}

/** `admission.k8s.io/v1` AdmissionRequest. */
export interface AdmissionRequest {
  readonly uid: string;
  readonly kind: GroupVersionKind;
  readonly resource: GroupVersionResource;
  readonly subResource?: string;
  readonly requestKind?: GroupVersionKind;
  readonly requestResource?: GroupVersionResource;
  readonly requestSubResource?: string;
  /** May be empty on CREATE with generateName for mutating webhooks. */
  readonly name?: string;
  readonly namespace?: string;
  readonly operation: "CREATE" | "UPDATE" | "DELETE" | "CONNECT";
  readonly userInfo: UserInfo;
  readonly object?: KubeObject | null;
  readonly oldObject?: KubeObject | null;
  readonly dryRun?: boolean;
  readonly options?: Readonly<Record<string, unknown>> | null;
}

/** `admission.k8s.io/v1` AdmissionResponse, without the uid, which the server fills in. */
export interface AdmissionResponse {
  readonly allowed: boolean;
  readonly status?: Status;
  readonly warnings?: readonly string[];
  readonly patchType?: "JSONPatch";
  /** base64 of a JSON Patch. */
  readonly patch?: string;
  readonly auditAnnotations?: Readonly<Record<string, string>>;
}

export type AdmissionHandler = (request: AdmissionRequest, signal: AbortSignal) => Promise<AdmissionResponse>;

export function allowed(warnings?: readonly string[]): AdmissionResponse {
  return warnings && warnings.length > 0 ? { allowed: true, warnings } : { allowed: true };
}

/** A refusal. @param code HTTP status that the client sees. @default 403 */
export function denied(
  message: string,
  options: { code?: number; reason?: string; retryAfterSeconds?: number } = {},
): AdmissionResponse {
  const { code = 403, reason = code === 403 ? "Forbidden" : undefined, retryAfterSeconds } = options;
  return {
    allowed: false,
    status: {
      status: "Failure",
      message,
      code,
      ...(reason === undefined ? {} : { reason }),
      ...(retryAfterSeconds === undefined ? {} : { details: { retryAfterSeconds } }),
    },
  };
}
