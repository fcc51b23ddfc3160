import { dirname, isAbsolute, join } from "node:path";
import { parseYamlFile } from "./yaml-file.ts";
import { YamlFields } from "./yaml-fields.ts";

/** An entry of `clusters`. Paths are absolute. */
export interface KubeconfigCluster {
  readonly server: string;
  readonly certificateAuthority?: string;
  /** Base64 of PEM, as in the file. */
  readonly certificateAuthorityData?: string;
  readonly tlsServerName?: string;
  readonly insecureSkipTlsVerify?: boolean;
  readonly proxyUrl?: string;
  readonly disableCompression?: boolean;
  /** What the cluster wants its exec plugin to know: the extension `client.authentication.k8s.io/exec`. */
  readonly execConfig?: unknown;
}

/** How to run a program that prints credentials (`client.authentication.k8s.io`). */
export interface ExecConfig {
  readonly apiVersion: "client.authentication.k8s.io/v1" | "client.authentication.k8s.io/v1beta1";
  /** Absolute, or a name that is looked up in PATH. */
  readonly command: string;
  readonly args: readonly string[];
  readonly env: readonly { readonly name: string; readonly value: string }[];
  readonly installHint?: string;
  readonly provideClusterInfo: boolean;
  readonly interactiveMode: "Never" | "IfAvailable" | "Always";
}

/** An entry of `users`. Paths are absolute. */
export interface KubeconfigUser {
  readonly clientCertificate?: string;
  readonly clientCertificateData?: string;
  readonly clientKey?: string;
  readonly clientKeyData?: string;
  readonly token?: string;
  readonly tokenFile?: string;
  readonly username?: string;
  readonly password?: string;
  readonly impersonate?: string;
  readonly impersonateUid?: string;
  readonly impersonateGroups?: readonly string[];
  readonly impersonateExtra?: Readonly<Record<string, readonly string[]>>;
  readonly exec?: ExecConfig;
  /** Name of a legacy provider that Kubernetes clients no longer have. */
  readonly authProvider?: string;
}

interface KubeconfigContext {
  readonly cluster: string;
  readonly user: string;
  readonly namespace?: string;
}

/** A kubeconfig, or several merged. */
export interface Kubeconfig {
  readonly currentContext: string;
  readonly clusters: ReadonlyMap<string, KubeconfigCluster>;
  readonly users: ReadonlyMap<string, KubeconfigUser>;
  readonly contexts: ReadonlyMap<string, KubeconfigContext>;
}

/**
 * Reads one file's text.
 *
 * @param path the file's absolute path: relative paths in it are relative to its folder
 * @throws FleetwrightError `FW_KUBECONFIG` with line and column
 */
export function parseKubeconfig(text: string, path: string): Kubeconfig {
  const file = parseYamlFile(text, `kubeconfig ${JSON.stringify(path)}`);
  const root = new YamlFields(file, file.value ?? {}, []);
  const folder = dirname(path);
  return {
    currentContext: root.text("current-context") ?? "",
    clusters: named(root, "clusters", "cluster", (fields) => clusterOf(fields, folder)),
    users: named(root, "users", "user", (fields) => userOf(fields, folder)),
    contexts: named(root, "contexts", "context", contextOf),
  };
}

/**
 * kubectl's rule (client-go `tools/clientcmd/loader.go`): the first file that has an entry of some name gives the
 * whole entry; the first that names a current context gives it.
 */
export function mergeKubeconfigs(configs: readonly Kubeconfig[]): Kubeconfig {
  const backwards = configs.toReversed();
  return {
    currentContext: configs.find((config) => config.currentContext !== "")?.currentContext ?? "",
    clusters: new Map(backwards.flatMap((config) => [...config.clusters])),
    users: new Map(backwards.flatMap((config) => [...config.users])),
    contexts: new Map(backwards.flatMap((config) => [...config.contexts])),
  };
}

function named<T>(root: YamlFields, list: string, entry: string, read: (fields: YamlFields) => T): Map<string, T> {
  const entries = new Map<string, T>();
  for (const item of root.list(list)) {
    const name = item.required("name");
    const fields = item.child(entry);
    if (fields === undefined) throw item.error(entry, `${list} entry ${JSON.stringify(name)} lacks ${entry}; add it`);
    // kubectl refuses this too; only between files does the first win.
    if (entries.has(name)) throw item.error("name", `${list} has two entries ${JSON.stringify(name)}; remove one`);
    entries.set(name, read(fields));
  }
  return entries;
}

/** Drops what is absent, so that merged entries compare and print as written. */
const present = <T extends object>(fields: { readonly [K in keyof T]: T[K] | undefined }): T =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as T;

function clusterOf(fields: YamlFields, folder: string): KubeconfigCluster {
  const exec = fields.list("extensions").find((item) => item.text("name") === "client.authentication.k8s.io/exec");
  return present<KubeconfigCluster>({
    server: fields.text("server") ?? "",
    certificateAuthority: fields.path("certificate-authority", folder),
    certificateAuthorityData: fields.text("certificate-authority-data"),
    tlsServerName: fields.text("tls-server-name"),
    insecureSkipTlsVerify: fields.flag("insecure-skip-tls-verify"),
    proxyUrl: fields.text("proxy-url"),
    disableCompression: fields.flag("disable-compression"),
    execConfig: exec?.raw("extension"),
  });
}

function contextOf(fields: YamlFields): KubeconfigContext {
  return present<KubeconfigContext>({
    cluster: fields.text("cluster") ?? "",
    user: fields.text("user") ?? "",
    namespace: fields.text("namespace"),
  });
}

function userOf(fields: YamlFields, folder: string): KubeconfigUser {
  const extra = fields.child("as-user-extra");
  const exec = fields.child("exec");
  return present<KubeconfigUser>({
    clientCertificate: fields.path("client-certificate", folder),
    clientCertificateData: fields.text("client-certificate-data"),
    clientKey: fields.path("client-key", folder),
    clientKeyData: fields.text("client-key-data"),
    token: fields.text("token"),
    tokenFile: fields.path("tokenFile", folder),
    username: fields.text("username"),
    password: fields.text("password"),
    impersonate: fields.text("as"),
    impersonateUid: fields.text("as-uid"),
    impersonateGroups: fields.texts("as-groups"),
    impersonateExtra: extra && Object.fromEntries(extra.keys().map((key) => [key, extra.texts(key) ?? []])),
    exec: exec && execOf(exec, folder),
    authProvider: fields.child("auth-provider")?.text("name"),
  });
}

const execVersions = ["client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"] as const;
const interactiveModes = ["Never", "IfAvailable", "Always"] as const;

function execOf(fields: YamlFields, folder: string): ExecConfig {
  const version = fields.required("apiVersion");
  const apiVersion = execVersions.find((known) => known === version);
  if (apiVersion === undefined) {
    throw fields.error(
      "apiVersion",
      `exec apiVersion ${JSON.stringify(version)} is unknown; use ${execVersions.join(" or ")}`,
    );
  }
  const mode = fields.text("interactiveMode");
  // v1 demands the mode; v1beta1 is from before it was there.
  const interactiveMode =
    mode === undefined && version.endsWith("v1beta1")
      ? "IfAvailable"
      : interactiveModes.find((known) => known === mode);
  if (interactiveMode === undefined) {
    throw fields.error("interactiveMode", `exec interactiveMode must be one of ${interactiveModes.join(", ")}`);
  }
  const command = fields.required("command");
  return present<ExecConfig>({
    apiVersion,
    command: command.includes("/") && !isAbsolute(command) ? join(folder, command) : command,
    args: fields.texts("args") ?? [],
    env: fields.list("env").map((item) => ({ name: item.required("name"), value: item.text("value") ?? "" })),
    installHint: fields.text("installHint"),
    provideClusterInfo: fields.flag("provideClusterInfo") ?? false,
    interactiveMode,
  });
}
