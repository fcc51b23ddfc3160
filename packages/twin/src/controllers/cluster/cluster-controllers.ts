import type { Controllers } from "../context.ts";
import { garbageCollector } from "./garbage-collector.ts";
import { namespaceController } from "./namespace.ts";
import { rootCertificateController, serviceAccountController } from "./service-accounts.ts";

/** What looks after namespaces, nodes, ownership and traffic. */
export const clusterControllers: readonly Controllers[] = [
  serviceAccountController,
  rootCertificateController,
  namespaceController,
  garbageCollector,
];
