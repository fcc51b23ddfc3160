import { BizGroupResourceQuotas } from "./biz-group-resource-quota.ts";
import { CheckpointRestores } from "./checkpoint-restore.ts";
import { CheckpointSchedules } from "./checkpoint-schedule.ts";
import { Checkpoints } from "./checkpoint.ts";
import type { CustomResource } from "./custom-resource.ts";

/** Every resource of ours, in the order in which they are installed. */
export const customResources: readonly CustomResource[] = [
  BizGroupResourceQuotas,
  Checkpoints,
  CheckpointRestores,
  CheckpointSchedules,
];
