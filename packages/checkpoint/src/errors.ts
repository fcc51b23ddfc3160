import { FleetwrightError } from "@fleetwright/kube";

/** Codes of this package's errors, each with what it means; `docs/errors.md` lists them. */
export const checkpointErrorCodes = {
  FW_CHECKPOINT_ARCHIVE: "a checkpoint archive is malformed, truncated or hostile",
  FW_CHECKPOINT_LIMIT: "a checkpoint archive holds more than the reader's limits allow",
  FW_CHECKPOINT_IMAGE: "a CRIU image in a checkpoint cannot be decoded, or JSON cannot be encoded as one",
  FW_CHECKPOINT_AGENT: "a node's agent cannot be reached, or refuses",
  FW_CHECKPOINT_DISK: "a node's disk has no room for a checkpoint",
  FW_CHECKPOINT_DIGEST: "a checkpoint archive is not what it was when it was described",
} as const;

export type CheckpointErrorCode = keyof typeof checkpointErrorCodes;

/** An error of this package; its message names the place, the value and what to do. */
export const checkpointError = (code: CheckpointErrorCode, message: string, cause?: unknown): FleetwrightError =>
  new FleetwrightError(code, message, { cause });
