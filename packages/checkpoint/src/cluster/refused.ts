import type { CheckpointVerdict } from "@fleetwright/api";

/** Ends a Checkpoint or a restore: trying again would not help. */
export class Refused extends Error {
  /** Of the condition `Ready`. */
  readonly reason: string;
  readonly verdicts: readonly CheckpointVerdict[];
  constructor(reason: string, message: string, verdicts: readonly CheckpointVerdict[] = []) {
    super(message);
    this.name = "Refused";
    this.reason = reason;
    this.verdicts = verdicts;
  }
}

/** An engine's own id of a container, of `containerd://<id>`. */
export const engineId = (containerID: string | undefined): string => (containerID ?? "").replace(/^[a-z-]+:\/\//, "");
