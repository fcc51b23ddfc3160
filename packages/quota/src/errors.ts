/** Codes of this package's errors and refusals; each is explained in `docs/errors.md`. */
export const quotaErrors = {
  exceeded: "FW_QUOTA_EXCEEDED",
  unknownGroup: "FW_QUOTA_UNKNOWN_GROUP",
  unspecified: "FW_QUOTA_UNSPECIFIED_RESOURCE",
  template: "FW_QUOTA_TEMPLATE_LABEL",
  notAllowed: "FW_QUOTA_NOT_ALLOWED",
  labelRequired: "FW_QUOTA_LABEL_REQUIRED",
  closing: "FW_QUOTA_GROUP_CLOSING",
  busy: "FW_QUOTA_BUSY",
  resize: "FW_QUOTA_RESIZE",
  quantity: "FW_QUOTA_QUANTITY",
  group: "FW_QUOTA_GROUP",
  groupInUse: "FW_QUOTA_GROUP_IN_USE",
  ledger: "FW_QUOTA_LEDGER",
} as const;

export type QuotaErrorCode = (typeof quotaErrors)[keyof typeof quotaErrors];

/** Why a request is refused, in words for whoever asked. */
export interface Refusal {
  readonly code: QuotaErrorCode;
  readonly message: string;
  /** Set when trying again may help: HTTP 429 instead of 403. */
  readonly retryAfterSeconds?: number;
}
