import type { Controllers } from "../context.ts";
import { disruptionController } from "./disruption.ts";
import { endpointSliceController } from "./endpoint-slices.ts";
import { endpointsController } from "./endpoints.ts";
import { garbageCollector } from "./garbage-collector.ts";
import { namespaceController } from "./namespace.ts";
import { nodeLifecycleController } from "./node-lifecycle.ts";
import { podCollector } from "./pod-collector.ts";
import { resourceQuotaController } from "./resource-quota.ts";
import { rootCertificateController, serviceAccountController } from "./service-accounts.ts";
import { taintEvictionController } from "./taint-eviction.ts";

/** What looks after namespaces, nodes, ownership and traffic. */
export const clusterControllers: readonly Controllers[] = [
  serviceAccountController,
  rootCertificateController,
  namespaceController,
  garbageCollector,
  podCollector,
  nodeLifecycleController,
  taintEvictionController,
  endpointsController,
  endpointSliceController,
  disruptionController,
  resourceQuotaController,
];
