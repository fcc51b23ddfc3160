import type { Controllers } from "../context.ts";
import { daemonSetController } from "./daemon-set.ts";
import { deploymentController } from "./deployment.ts";
import { replicaSetController, replicationController } from "./replica-set.ts";
import { statefulSetController } from "./stateful-set.ts";

/** ReplicaSets and what is built on them and beside them. */
export const workloadControllers: readonly Controllers[] = [
  deploymentController,
  replicaSetController,
  replicationController,
  statefulSetController,
  daemonSetController,
];
