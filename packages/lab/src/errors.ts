import { FleetwrightError } from "@fleetwright/kube";

/** Codes of this package, each with what it means; `docs/errors.md` lists them. */
export const labErrorCodes = {
  FW_LAB_BINARIES: "a program of the control plane is not on this machine",
  FW_LAB_START: "a component of the control plane did not start",
  FW_LAB_STATE: "the call does not fit the state of the lab",
} as const;

export type LabErrorCode = keyof typeof labErrorCodes;

/** An error of the lab. */
export const labError = (code: LabErrorCode, message: string, cause?: unknown): FleetwrightError =>
  new FleetwrightError(code, message, { cause });
