/** Labels and annotations that users write. Namespaces play no part in charging: a workload's own labels decide. */

/** On a workload: the name of the business group (`bizrq`) that it is charged to. */
export const groupLabel = "biz.group.resource.quota";

/** On a workload: the CPU model that it uses, for example `A4`. Charged as `limits.cpu.A4` beside `limits.cpu`. */
export const cpuTypeLabel = "biz.group.resource.quota/cpu-type";

/** On a workload: the GPU model that it uses, for example `A30`. Charged as `requests.nvidia.com/gpu.A30` beside `requests.nvidia.com/gpu`. */
export const gpuTypeLabel = "biz.group.resource.quota/gpu-type";

/** On a workload: the memory model that it uses, for example `DDR5`. Charged as `limits.memory.DDR5` beside `limits.memory`. */
export const memoryTypeLabel = "biz.group.resource.quota/memory-type";

/** On a namespace, with the value `"true"`: workloads in it must carry {@link groupLabel}. */
export const requireGroupLabel = "fleetwright.dev/require-biz-group";

/** The API group of every resource of ours. */
export const apiGroup = "fleetwright.dev";

/** On a pod: a new value takes a checkpoint, where a CheckpointSchedule selects the pod. */
export const checkpointAnnotation = "fleetwright.dev/checkpoint";

/** On a Checkpoint or a CheckpointRestore: the CheckpointSchedule that made it. */
export const checkpointScheduleLabel = "fleetwright.dev/checkpoint-schedule";

/** On a Checkpoint: what asked for it (`schedule`, `annotation`, `drain`, `preemption`, `threshold`, `manual`, `pause`, `forensics`). */
export const checkpointTriggerLabel = "fleetwright.dev/checkpoint-trigger";

/** On a pod: the CheckpointRestore that it came from. */
export const restoredByAnnotation = "fleetwright.dev/restored-by";

/** On a pod: the value of {@link checkpointAnnotation} that was last followed. */
export const checkpointTakenAnnotation = "fleetwright.dev/checkpoint-taken";

/** On a CheckpointRestore: what asked for it (`failure`, `drain`, `rehearsal`, `manual`). */
export const restoreTriggerLabel = "fleetwright.dev/restore-trigger";
