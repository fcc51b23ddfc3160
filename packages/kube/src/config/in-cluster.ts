import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Environment } from "../client/proxy.ts";
import type { ClusterConfig } from "./cluster-config.ts";

const defaultDirectory = "/var/run/secrets/kubernetes.io/serviceaccount";

/**
 * What a pod knows of its own cluster: the service account's token (rotated by the kubelet), authority and namespace.
 * Never through a proxy of the environment, as in client-go's `InClusterConfig`.
 *
 * @returns `undefined` outside a pod
 */
export function inClusterConfig(env: Environment, directory = defaultDirectory): ClusterConfig | undefined {
  const host = env["KUBERNETES_SERVICE_HOST"];
  const port = env["KUBERNETES_SERVICE_PORT"];
  const tokenFile = join(directory, "token");
  if (!host || !port || !existsSync(tokenFile)) return undefined;
  const ca = join(directory, "ca.crt");
  const namespaceFile = join(directory, "namespace");
  const namespace = existsSync(namespaceFile) ? readFileSync(namespaceFile, "utf8").trim() : "";
  return {
    source: "the pod's service account",
    server: `https://${host.includes(":") ? `[${host}]` : host}:${port}`,
    namespace: namespace || "default",
    ...(existsSync(ca) ? { ca: { kind: "file", path: ca } as const } : {}),
    identity: { kind: "token", file: tokenFile },
  };
}
