import { FleetwrightError } from "@fleetwright/kube";

/** Codes of this package's errors, each with what it means; `docs/errors.md` lists them. */
export const checkpointErrorCodes = {
  FW_CHECKPOINT_ARCHIVE: "a checkpoint archive is malformed, truncated or hostile",
  FW_CHECKPOINT_LIMIT: "a checkpoint archive holds more than the reader's limits allow",
  FW_CHECKPOINT_IMAGE: "a CRIU image in a checkpoint cannot be decoded, or JSON cannot be encoded as one",
  FW_CHECKPOINT_AGENT: "a node's agent cannot be reached, or refuses",
  FW_CHECKPOINT_KUBELET: "a kubelet cannot be reached, or does not take a checkpoint",
  FW_CHECKPOINT_EVIDENCE: "a node's chain of evidence was changed by hand",
  FW_CHECKPOINT_DISK: "a node's disk has no room for a checkpoint",
  FW_CHECKPOINT_DIGEST: "a checkpoint archive is not what it was when it was described",
  FW_CHECKPOINT_ARTIFACT: "a stored artifact is malformed, or lies about its chunks",
  FW_CHECKPOINT_ENCRYPTION: "a stored artifact cannot be encrypted for its readers, or not be opened",
  FW_CHECKPOINT_REFERENCE: "the name of an image in a registry is malformed",
  FW_CHECKPOINT_CREDENTIALS: "a registry's credentials cannot be read",
  FW_CHECKPOINT_REGISTRY: "a registry cannot be reached, or failed",
  FW_CHECKPOINT_REGISTRY_REFUSED: "a registry does not allow a call",
  FW_CHECKPOINT_REGISTRY_NOT_FOUND: "a registry does not have what was asked for",
  FW_CHECKPOINT_REGISTRY_UNSUPPORTED: "a registry, or we, do not support something",
  FW_CHECKPOINT_REGISTRY_TOO_LARGE: "something is larger than a registry takes, or than we take from it",
  FW_CHECKPOINT_REGISTRY_LIES: "a registry's answer is not what its digest, size or headers say",
  FW_CHECKPOINT_KEY: "a key for signatures cannot be read",
  FW_CHECKPOINT_SIGNATURE: "an image in a registry has no valid signature by the given key",
} as const;

export type CheckpointErrorCode = keyof typeof checkpointErrorCodes;

/** An error of this package; its message names the place, the value and what to do. */
export const checkpointError = (code: CheckpointErrorCode, message: string, cause?: unknown): FleetwrightError =>
  new FleetwrightError(code, message, { cause });
