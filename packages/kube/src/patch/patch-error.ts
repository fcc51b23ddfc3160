import { FleetwrightError } from "../core/errors.ts";

/** A patch that cannot be applied: the API server would refuse it, too. */
export const patchError = (reason: string): FleetwrightError => new FleetwrightError("FW_PATCH", `patch: ${reason}`);
