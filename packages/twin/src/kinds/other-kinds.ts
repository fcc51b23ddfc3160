import type { Strategy, Subresource } from "../machinery/kind.ts";
import { configMapStrategy, secretStrategy, serviceAccountStrategy } from "./core-config.ts";
import { finalizeSubresource, namespaceStrategy } from "./core-namespace.ts";
import { nodeStrategy } from "./core-node.ts";
import { limitRangeStrategy, resourceQuotaStrategy } from "./core-quota.ts";
import { serviceStrategy } from "./service.ts";

/** The rules of every built-in kind but pods and workloads, by `group/Kind`. */
export const otherStrategies: Readonly<Record<string, Strategy>> = {
  "/ConfigMap": configMapStrategy,
  "/LimitRange": limitRangeStrategy,
  "/Namespace": namespaceStrategy,
  "/Node": nodeStrategy,
  "/ResourceQuota": resourceQuotaStrategy,
  "/Secret": secretStrategy,
  "/Service": serviceStrategy,
  "/ServiceAccount": serviceAccountStrategy,
};

/** What those kinds have below themselves, besides `status`. */
export const otherSubresources: Readonly<Record<string, readonly Omit<Subresource, "kind" | "schema" | "verbs">[]>> = {
  "/Namespace": [finalizeSubresource],
};
