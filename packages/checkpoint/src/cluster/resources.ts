import {
  CheckpointRestores,
  Checkpoints,
  CheckpointSchedules,
  type Checkpoint,
  type CheckpointRestore,
  type CheckpointSchedule,
} from "@fleetwright/api";
import type { KubeObject, Resource } from "@fleetwright/kube";

export type CheckpointObject = Checkpoint & KubeObject;
export type RestoreObject = CheckpointRestore & KubeObject;
export type ScheduleObject = CheckpointSchedule & KubeObject;

export const checkpoints = Checkpoints as Resource<CheckpointObject>;
export const restores = CheckpointRestores as Resource<RestoreObject>;
export const schedules = CheckpointSchedules as Resource<ScheduleObject>;
