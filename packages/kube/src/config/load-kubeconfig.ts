import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join, resolve } from "node:path";
import { type Environment, proxyFromEnvironment } from "../client/proxy.ts";
import { FleetwrightError } from "../core/errors.ts";
import type { ClusterConfig, Identity, TextSource } from "./cluster-config.ts";
import { inClusterConfig } from "./in-cluster.ts";
import {
  type Kubeconfig,
  type KubeconfigCluster,
  type KubeconfigUser,
  mergeKubeconfigs,
  parseKubeconfig,
} from "./kubeconfig.ts";
import { kubeconfigErrorCode } from "./yaml-file.ts";

export interface LoadKubeconfigOptions {
  /** A file, and only it (`--kubeconfig`). @default the files of KUBECONFIG, or `~/.kube/config`, or the pod's service account */
  readonly kubeconfig?: string | undefined;
  /** @default the current context */
  readonly context?: string | undefined;
  /** @default the context's, or `default` */
  readonly namespace?: string | undefined;
  /** @default `process.env` */
  readonly env?: Environment | undefined;
  /** @default the user's */
  readonly homeDirectory?: string | undefined;
  /** @default "/var/run/secrets/kubernetes.io/serviceaccount" */
  readonly serviceAccountDirectory?: string | undefined;
}

/**
 * Finds out which server to talk to, and as whom, by kubectl's rules. Files that a kubeconfig names (certificates,
 * tokens) are read later, each time they change.
 *
 * @throws FleetwrightError `FW_KUBECONFIG`: nothing there, unreadable, malformed (with line and column), incomplete
 */
export function loadKubeconfig(options: LoadKubeconfigOptions = {}): ClusterConfig {
  const env = options.env ?? process.env;
  const paths = candidatePaths(options, env);
  const found = paths.filter((path) => options.kubeconfig !== undefined || existsSync(path));
  if (found.length === 0) {
    if (options.context === undefined) {
      const inCluster = inClusterConfig(env, options.serviceAccountDirectory);
      if (inCluster) return { ...inCluster, namespace: options.namespace ?? inCluster.namespace };
    }
    throw new FleetwrightError(
      kubeconfigErrorCode,
      `no kubeconfig: ${missing(paths)}; pass --kubeconfig or set KUBECONFIG`,
    );
  }
  const merged = mergeKubeconfigs(found.map((path) => parseKubeconfig(readKubeconfig(path), path)));
  return resolveContext(merged, {
    label: `kubeconfig ${found.map((path) => JSON.stringify(path)).join(" + ")}`,
    context: options.context,
    namespace: options.namespace,
    env,
  });
}

function candidatePaths(options: LoadKubeconfigOptions, env: Environment): readonly string[] {
  if (options.kubeconfig !== undefined) return [resolve(options.kubeconfig)];
  const fromEnvironment = (env["KUBECONFIG"] ?? "").split(delimiter).filter((path) => path !== "");
  if (fromEnvironment.length > 0) return [...new Set(fromEnvironment.map((path) => resolve(path)))];
  return [join(options.homeDirectory ?? env["HOME"] ?? homedir(), ".kube", "config")];
}

const missing = (paths: readonly string[]): string =>
  `${paths.map((path) => JSON.stringify(path)).join(" and ")} ${paths.length === 1 ? "does" : "do"} not exist`;

function readKubeconfig(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const reason = (error as { readonly code?: string }).code;
    const problem =
      reason === "ENOENT"
        ? "no such file"
        : reason === "EACCES"
          ? "no permission to read it"
          : String((error as Error).message);
    throw new FleetwrightError(
      kubeconfigErrorCode,
      `kubeconfig ${JSON.stringify(path)}: ${problem}; pass --kubeconfig or set KUBECONFIG`,
      { cause: error },
    );
  }
}

/** Turns one context into what a client needs. */
function resolveContext(
  kubeconfig: Kubeconfig,
  options: {
    readonly label: string;
    readonly context: string | undefined;
    readonly namespace: string | undefined;
    readonly env: Environment;
  },
): ClusterConfig {
  const { label } = options;
  const contextName = options.context ?? kubeconfig.currentContext;
  const fail = (message: string): FleetwrightError => new FleetwrightError(kubeconfigErrorCode, `${label}: ${message}`);
  if (contextName === "") throw fail(`no current-context; pass --context, one of: ${names(kubeconfig.contexts)}`);
  const context = kubeconfig.contexts.get(contextName);
  if (!context) throw fail(`no context ${JSON.stringify(contextName)}; it has: ${names(kubeconfig.contexts)}`);
  const at = `context ${JSON.stringify(contextName)}`;
  const cluster = kubeconfig.clusters.get(context.cluster);
  if (!cluster) {
    throw fail(
      `${at} names the cluster ${JSON.stringify(context.cluster)}, which is not there; it has: ${names(kubeconfig.clusters)}`,
    );
  }
  if (cluster.server === "") throw fail(`cluster ${JSON.stringify(context.cluster)} has no server; add its URL`);
  const user = context.user === "" ? {} : kubeconfig.users.get(context.user);
  if (!user) {
    throw fail(
      `${at} names the user ${JSON.stringify(context.user)}, which is not there; it has: ${names(kubeconfig.users)}`,
    );
  }
  const userFail = (message: string): FleetwrightError => fail(`user ${JSON.stringify(context.user)}: ${message}`);
  const ca = source(cluster.certificateAuthorityData, cluster.certificateAuthority);
  if (ca && cluster.insecureSkipTlsVerify === true) {
    throw fail(
      `cluster ${JSON.stringify(context.cluster)} has both a certificate-authority and insecure-skip-tls-verify; remove one`,
    );
  }
  const proxyUrl = cluster.proxyUrl ?? environmentProxy(cluster.server, options.env);
  const certificate = clientCertificateOf(user, userFail);
  return {
    source: `${label} ${at}`,
    server: cluster.server,
    namespace: options.namespace ?? context.namespace ?? "default",
    ...(ca === undefined ? {} : { ca }),
    ...(cluster.tlsServerName === undefined ? {} : { tlsServerName: cluster.tlsServerName }),
    ...(cluster.insecureSkipTlsVerify === undefined ? {} : { insecureSkipTlsVerify: cluster.insecureSkipTlsVerify }),
    ...(proxyUrl === undefined ? {} : { proxyUrl }),
    ...(cluster.disableCompression === undefined ? {} : { disableCompression: cluster.disableCompression }),
    identity: identityOf(user, cluster, certificate !== undefined, userFail),
    ...(certificate === undefined ? {} : { clientCertificate: certificate }),
    ...impersonationOf(user, userFail),
  };
}

const names = (entries: ReadonlyMap<string, unknown>): string =>
  entries.size === 0 ? "none" : [...entries.keys()].map((name) => JSON.stringify(name)).join(", ");

const environmentProxy = (server: string, env: Environment): string | undefined =>
  URL.canParse(server) ? proxyFromEnvironment(new URL(server), env) : undefined;

/** Data wins over a file, as in client-go. */
function source(base64: string | undefined, path: string | undefined): TextSource | undefined {
  if (base64 !== undefined) return { kind: "data", text: Buffer.from(base64, "base64").toString("utf8") };
  return path === undefined ? undefined : { kind: "file", path };
}

type Fail = (message: string) => FleetwrightError;

function clientCertificateOf(user: KubeconfigUser, fail: Fail): { cert: TextSource; key: TextSource } | undefined {
  const cert = source(user.clientCertificateData, user.clientCertificate);
  const key = source(user.clientKeyData, user.clientKey);
  if (cert === undefined && key === undefined) return undefined;
  if (cert === undefined) throw fail("it has a client-key without a client-certificate; add the other");
  if (key === undefined) throw fail("it has a client-certificate without a client-key; add the other");
  return { cert, key };
}

/** client-go: an exec plugin runs only when nothing else identifies the user (`exec.go`, UpdateTransportConfig). */
function identityOf(user: KubeconfigUser, cluster: KubeconfigCluster, hasCertificate: boolean, fail: Fail): Identity {
  const { token, tokenFile, username, password, exec } = user;
  if (user.authProvider !== undefined) {
    throw fail(
      `auth-provider ${JSON.stringify(user.authProvider)} is no longer supported by Kubernetes clients; use its exec plugin`,
    );
  }
  const hasToken = token !== undefined || tokenFile !== undefined;
  if (hasToken && username !== undefined) throw fail("it has both a token and a username; remove one");
  if (hasToken) {
    return {
      kind: "token",
      ...(token === undefined ? {} : { token }),
      ...(tokenFile === undefined ? {} : { file: tokenFile }),
    };
  }
  if (username !== undefined) return { kind: "basic", username, password: password ?? "" };
  if (exec === undefined || hasCertificate) return { kind: "anonymous" };
  return exec.provideClusterInfo ? { kind: "exec", exec, clusterInfo: clusterInfoOf(cluster) } : { kind: "exec", exec };
}

/** `ExecCredentialSpec.cluster`; the authority is passed as data, whichever way it was given. */
function clusterInfoOf(cluster: KubeconfigCluster): Readonly<Record<string, unknown>> {
  return {
    server: cluster.server,
    "tls-server-name": cluster.tlsServerName,
    "insecure-skip-tls-verify": cluster.insecureSkipTlsVerify,
    "certificate-authority-data": cluster.certificateAuthorityData ?? fileAsBase64(cluster.certificateAuthority),
    "proxy-url": cluster.proxyUrl,
    "disable-compression": cluster.disableCompression,
    config: cluster.execConfig,
  };
}

const fileAsBase64 = (path: string | undefined): string | undefined =>
  path === undefined || !existsSync(path) ? undefined : readFileSync(path).toString("base64");

function impersonationOf(user: KubeconfigUser, fail: Fail): Pick<ClusterConfig, "impersonate"> {
  const { impersonate, impersonateUid, impersonateGroups, impersonateExtra } = user;
  if (impersonate === undefined) {
    if (impersonateUid !== undefined || impersonateGroups !== undefined || impersonateExtra !== undefined) {
      throw fail("as-uid, as-groups and as-user-extra need `as`; add it");
    }
    return {};
  }
  return {
    impersonate: {
      user: impersonate,
      ...(impersonateUid === undefined ? {} : { uid: impersonateUid }),
      ...(impersonateGroups === undefined ? {} : { groups: impersonateGroups }),
      ...(impersonateExtra === undefined ? {} : { extra: impersonateExtra }),
    },
  };
}
