import { autoscalingControllers } from "../controllers/autoscaling/horizontal.ts";
import { batchControllers } from "../controllers/batch/batch-controllers.ts";
import { clusterControllers } from "../controllers/cluster/cluster-controllers.ts";
import type { Controllers } from "../controllers/context.ts";
import { volumeControllers } from "../controllers/volumes/volume-controllers.ts";
import { workloadControllers } from "../controllers/workloads/workload-controllers.ts";

/** What kube-controller-manager runs by default, as far as this cluster has it. */
export const builtinControllers: readonly Controllers[] = [
  ...clusterControllers,
  ...workloadControllers,
  ...batchControllers,
  ...autoscalingControllers,
  ...volumeControllers,
];
