import { X509Certificate } from "node:crypto";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { silentLogger, sleep, systemClock, systemRandom } from "@fleetwright/kube";
import type { CertificateAuthority, Clock, KeyPair, Logger, Random } from "@fleetwright/kube";
import { findBinaries } from "./binaries.ts";
import type { Binaries } from "./binaries.ts";
import { lostItsPort, startComponent, startFailure } from "./component.ts";
import type { Component, Flags } from "./component.ts";
import { writeControlPlaneFiles } from "./control-plane-files.ts";
import type { ControlPlaneFiles } from "./control-plane-files.ts";
import {
  apiServerFlags,
  auditPolicyText,
  controllerManagerFlags,
  etcdFlags,
  schedulerFlags,
} from "./control-plane-flags.ts";
import type { AuditRule } from "./control-plane-flags.ts";
import { labError } from "./errors.ts";
import { freePort } from "./free-port.ts";
import { probe } from "./https-probe.ts";
import { writeKubeconfig } from "./kubeconfig-file.ts";
import { cleanUpLeftovers, createWorkspace } from "./workspace.ts";
import type { Workspace } from "./workspace.ts";

/** A program that serves the API in place of etcd and kube-apiserver. */
export interface ServerProgram {
  readonly path: string;
  readonly arguments: readonly string[];
  flags(files: ControlPlaneFiles, options: { readonly directory: string; readonly port: number }): Flags;
}

export interface ControlPlaneOptions {
  /** Who serves the API. @default etcd and kube-apiserver */
  readonly server?: ServerProgram;
  /** Run kube-controller-manager. @default false */
  readonly controllerManager?: boolean;
  /** Run kube-scheduler. @default false */
  readonly scheduler?: boolean;
  /** Besides `NodeRestriction` and the server's own defaults. */
  readonly admissionPlugins?: readonly string[];
  /** Write an audit log ({@link ControlPlane.auditLogPath}), complete up to every answered request. */
  readonly audit?: readonly AuditRule[];
  /** The server's own deadline of a call, in seconds. @default 60 */
  readonly requestTimeoutSeconds?: number;
  /** How often old versions are forgotten (then: 410), in seconds. @default 300 */
  readonly compactionIntervalSeconds?: number;
  /** Flags that win over ours; `undefined` removes one. */
  readonly apiServerFlags?: Flags;
  readonly controllerManagerFlags?: Flags;
  readonly schedulerFlags?: Flags;
  readonly etcdFlags?: Flags;
  /** Deadline for each component to get ready, in milliseconds. @default 60_000 */
  readonly readyTimeoutMs?: number;
  /** @default findBinaries() */
  readonly binaries?: Binaries;
  /** Where the API server listens; kubelets in namespaces of their own need one that is not loopback. @default "127.0.0.1" */
  readonly address?: string;
  /** Where workspaces are made. @default one folder per user below the temporary folder */
  readonly root?: string;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly logger?: Logger;
}

/** Someone who may talk to the server. */
export interface User extends KeyPair {
  readonly name: string;
  readonly kubeconfig: string;
  readonly kubeconfigPath: string;
}

/** A real control plane that runs on loopback ports of its own. */
export interface ControlPlane {
  /** `https://<address>:<port>`; stays the same when the API server is restarted. */
  readonly url: string;
  readonly port: number;
  /** Data, certificates, logs. Removed by {@link stop}. */
  readonly directory: string;
  /** In the group `system:masters`. */
  readonly admin: User;
  /** The admin's kubeconfig file. */
  readonly kubeconfigPath: string;
  readonly caCertificate: string;
  /** Signs users and servers of this control plane. */
  readonly authority: CertificateAuthority;
  readonly binaries: Binaries;
  /** `undefined` unless {@link ControlPlaneOptions.audit} is set. One JSON event per line. */
  readonly auditLogPath: string | undefined;
  /** Where a component writes its log. */
  logPath(component: ComponentName): string;
  /** The process id of a component that runs. */
  pid(component: ComponentName): number | undefined;
  /** A client certificate of its own for a user and its groups, and the kubeconfig for it. Rights come from RBAC. */
  issueUser(name: string, groups?: readonly string[]): Promise<User>;
  /** Those issued so far, by the SHA-256 fingerprint of their certificate (`AA:BB:…`). */
  credentialsOf(fingerprint: string): KeyPair | undefined;
  /**
   * Ends the API server alone: by SIGTERM (and, with watches that nobody ends, SIGKILL 5 s later), or at once with `kill`.
   * Its port is kept for {@link startApiServer}.
   */
  stopApiServer(how?: "gracefully" | "kill"): Promise<void>;
  /** Starts the API server again on its port and waits until it is ready. */
  startApiServer(): Promise<void>;
  /** Ends all components and removes the folder. Calling it again does nothing. */
  stop(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export type ComponentName = "etcd" | "kube-apiserver" | "kube-controller-manager" | "kube-scheduler";

const portAttempts = 6;

/** A server program alone needs none of them. */
const noBinaries: Binaries = {
  etcd: "",
  "kube-apiserver": "",
  "kube-controller-manager": "",
  "kube-scheduler": "",
  kubectl: "",
};

/**
 * Starts etcd and kube-apiserver, on request kube-controller-manager and kube-scheduler, and waits until they are ready
 * (about 3 s). Several can run side by side. Processes that earlier runs left behind are ended first.
 *
 * @throws FleetwrightError `FW_LAB_BINARIES` when programs are missing, `FW_LAB_START` with a component's last lines
 *
 * @example
 * await using controlPlane = await startControlPlane({ controllerManager: true });
 * const client = createClient({ kubeconfig: controlPlane.kubeconfigPath });
 */
export async function startControlPlane(options: ControlPlaneOptions = {}): Promise<ControlPlane> {
  const clock = options.clock ?? systemClock;
  const logger = options.logger ?? silentLogger;
  const needsBinaries = options.server === undefined || options.controllerManager || options.scheduler;
  const binaries = options.binaries ?? (needsBinaries ? await findBinaries() : noBinaries);
  const leftovers = await cleanUpLeftovers({ clock, ...(options.root ? { root: options.root } : {}) });
  if (leftovers.removedFolders > 0) logger.info({ ...leftovers }, "cleaned up after an earlier run that was killed");
  const workspace = await createWorkspace(options.root);
  const running = new RunningControlPlane(options, { clock, logger, binaries, workspace });
  try {
    await running.start();
  } catch (error) {
    await running.stopComponents();
    // The error names a log file: the folder goes with the next start, the data at once.
    await rm(join(workspace.directory, "etcd"), { recursive: true, force: true });
    throw error;
  }
  return running;
}

class RunningControlPlane implements ControlPlane {
  readonly binaries: Binaries;
  readonly #options: ControlPlaneOptions;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #random: Random;
  readonly #workspace: Workspace;
  readonly #components = new Map<ComponentName, Component>();
  readonly #credentials = new Map<string, KeyPair>();
  #files: ControlPlaneFiles | undefined;
  #admin: User | undefined;
  #ports = { apiServer: 0, etcd: 0 };
  #stopping: Promise<void> | undefined;

  constructor(
    options: ControlPlaneOptions,
    parts: { clock: Clock; logger: Logger; binaries: Binaries; workspace: Workspace },
  ) {
    this.#options = options;
    this.#clock = parts.clock;
    this.#logger = parts.logger;
    this.#random = options.random ?? systemRandom;
    this.#workspace = parts.workspace;
    this.binaries = parts.binaries;
  }

  get #address(): string {
    return this.#options.address ?? "127.0.0.1";
  }
  get directory(): string {
    return this.#workspace.directory;
  }
  get port(): number {
    return this.#ports.apiServer;
  }
  get url(): string {
    return `https://${this.#address}:${this.port}`;
  }
  get admin(): User {
    return started(this.#admin);
  }
  get kubeconfigPath(): string {
    return this.admin.kubeconfigPath;
  }
  get authority(): CertificateAuthority {
    return started(this.#files).authority;
  }
  get caCertificate(): string {
    return this.authority.certificate;
  }
  get auditLogPath(): string | undefined {
    return this.#options.audit ? join(this.directory, "logs", "audit.jsonl") : undefined;
  }

  logPath(component: ComponentName): string {
    return join(this.directory, "logs", `${component}.log`);
  }

  pid(component: ComponentName): number | undefined {
    const found = this.#components.get(component);
    return found?.endedBy() === undefined ? found?.pid : undefined;
  }

  credentialsOf(fingerprint: string): KeyPair | undefined {
    return this.#credentials.get(fingerprint);
  }

  async start(): Promise<void> {
    const began = this.#clock.now();
    await mkdir(join(this.directory, "logs"), { recursive: true });
    const [files] = await Promise.all([
      writeControlPlaneFiles(this.directory, this.#clock, this.#address),
      this.#options.audit && writeFile(join(this.directory, "audit-policy.json"), auditPolicyText(this.#options.audit)),
    ]);
    this.#files = files;
    if (this.#options.server === undefined) await this.#startEtcd();
    await this.#startFirstApiServer(files);
    this.#admin = await this.#keepUser("admin", "admin", files.admin);
    await this.#startOthers(files);
    this.#logger.info(
      { url: this.url, directory: this.directory, tookMs: this.#clock.now() - began },
      "control plane ready",
    );
  }

  async #startEtcd(): Promise<void> {
    await this.#withFreePorts(async () => {
      const [client, peer] = [await freePort(this.#random), await freePort(this.#random)];
      // A member that failed to listen has written its address down already.
      await rm(join(this.directory, "etcd"), { recursive: true, force: true });
      const etcd = await this.#launch("etcd", {
        ...etcdFlags(this.directory, client, peer),
        ...this.#options.etcdFlags,
      });
      await this.#untilReady(etcd, async () => {
        const response = await fetch(`http://127.0.0.1:${client}/health`).catch(() => undefined);
        return response?.ok === true;
      });
      this.#ports = { ...this.#ports, etcd: client };
      return etcd;
    });
  }

  async #startFirstApiServer(files: ControlPlaneFiles): Promise<void> {
    await this.#withFreePorts(async () => {
      this.#ports = { ...this.#ports, apiServer: await freePort(this.#random) };
      const apiServer = await this.#launchApiServer(files);
      await this.#untilReady(apiServer, () => this.#apiServerReady(files));
      return apiServer;
    });
  }

  async #startOthers(files: ControlPlaneFiles): Promise<void> {
    const launches: Promise<void>[] = [];
    if (this.#options.controllerManager === true) launches.push(this.#startControllerManager(files));
    if (this.#options.scheduler === true) launches.push(this.#startScheduler(files));
    await Promise.all(launches);
  }

  async #startControllerManager(files: ControlPlaneFiles): Promise<void> {
    const kubeconfigPath = await this.#componentKubeconfig("kube-controller-manager", files.controllerManager);
    const component = await this.#launch("kube-controller-manager", {
      ...controllerManagerFlags(files, kubeconfigPath),
      ...this.#contentType(),
      ...this.#options.controllerManagerFlags,
    });
    // Pods are refused until their namespace has a service account: its first one shows that the controllers run.
    await this.#untilReady(component, async () => {
      const path = "/api/v1/namespaces/default/serviceaccounts/default";
      return (await this.#probe(files, path))?.status === 200;
    });
  }

  async #startScheduler(files: ControlPlaneFiles): Promise<void> {
    const kubeconfigPath = await this.#componentKubeconfig("kube-scheduler", files.scheduler);
    await this.#launch("kube-scheduler", {
      ...schedulerFlags(kubeconfigPath),
      ...this.#contentType(),
      ...this.#options.schedulerFlags,
    });
  }

  /** A server of our own speaks JSON. */
  #contentType(): Flags {
    return this.#options.server === undefined ? {} : { "kube-api-content-type": "application/json" };
  }

  async #componentKubeconfig(name: string, credentials: KeyPair): Promise<string> {
    const path = join(this.directory, `${name}.kubeconfig`);
    await writeKubeconfig(path, { name, server: this.url, caCertificate: this.caCertificate, credentials });
    return path;
  }

  /** A port that was free may be taken a moment later: such a start is tried again on others. */
  async #withFreePorts(launch: () => Promise<Component>): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        await launch();
        return;
      } catch (error) {
        const failed = [...this.#components.values()].find((component) => component.endedBy() !== undefined);
        if (!failed || attempt === portAttempts || !lostItsPort(failed)) throw error;
        this.#components.delete(failed.name as ComponentName);
        await rm(failed.logPath, { force: true });
      }
    }
  }

  #launchApiServer(files: ControlPlaneFiles): Promise<Component> {
    const { server } = this.#options;
    if (server !== undefined) {
      const { directory, port } = this;
      return this.#launch("kube-apiserver", server.flags(files, { directory, port }), server);
    }
    const { audit, requestTimeoutSeconds, compactionIntervalSeconds, admissionPlugins } = this.#options;
    const base = apiServerFlags(files, this.directory, this.#ports, this.#address);
    return this.#launch("kube-apiserver", {
      ...base,
      ...(audit && {
        "audit-policy-file": join(this.directory, "audit-policy.json"),
        "audit-log-path": this.auditLogPath,
        "audit-log-mode": "blocking-strict",
        "audit-log-maxsize": 0,
      }),
      ...(requestTimeoutSeconds !== undefined && { "request-timeout": `${requestTimeoutSeconds}s` }),
      ...(compactionIntervalSeconds !== undefined && { "etcd-compaction-interval": `${compactionIntervalSeconds}s` }),
      ...(admissionPlugins && { "enable-admission-plugins": ["NodeRestriction", ...admissionPlugins] }),
      ...this.#options.apiServerFlags,
    });
  }

  async #launch(name: ComponentName, flags: Flags, program?: ServerProgram): Promise<Component> {
    const component = await startComponent({
      name,
      path: program?.path ?? this.binaries[name],
      ...(program === undefined ? {} : { arguments: program.arguments }),
      flags,
      workspace: this.#workspace,
      logPath: this.logPath(name),
      clock: this.#clock,
    });
    this.#components.set(name, component);
    void component.ended.then((how) => this.#logger.debug({ component: name, how }, "component ended"));
    return component;
  }

  async #untilReady(component: Component, ready: () => Promise<boolean>): Promise<void> {
    const timeoutMs = this.#options.readyTimeoutMs ?? 60_000;
    const deadline = this.#clock.now() + timeoutMs;
    for (;;) {
      // Its end first: another server that took the port may well answer.
      const how = component.endedBy();
      if (how !== undefined) throw startFailure(component, `ended (${how}) before it was ready`);
      if ((await ready()) && component.endedBy() === undefined) return;
      if (this.#clock.now() >= deadline)
        throw startFailure(component, `was not ready within ${Math.round(timeoutMs / 1000)} s`);
      await sleep(this.#clock, 50);
    }
  }

  #probe(files: ControlPlaneFiles, path: string): ReturnType<typeof probe> {
    return probe(`${this.url}${path}`, { caCertificate: files.authority.certificate, credentials: files.admin });
  }

  async #apiServerReady(files: ControlPlaneFiles): Promise<boolean> {
    return (await this.#probe(files, "/readyz"))?.status === 200;
  }

  async issueUser(name: string, groups: readonly string[] = []): Promise<User> {
    const pair = await this.authority.issue({ usage: "client", commonName: name, organizations: groups });
    const fingerprint = fingerprintOf(pair.certificate);
    return this.#keepUser(name, `user-${fingerprint.replaceAll(":", "").slice(0, 16).toLowerCase()}`, pair);
  }

  async #keepUser(name: string, file: string, pair: KeyPair): Promise<User> {
    const kubeconfigPath = join(this.directory, `${file}.kubeconfig`);
    const kubeconfig = await writeKubeconfig(kubeconfigPath, {
      name,
      server: this.url,
      caCertificate: this.caCertificate,
      credentials: pair,
    });
    this.#credentials.set(fingerprintOf(pair.certificate), pair);
    return { name, kubeconfig, kubeconfigPath, ...pair };
  }

  async stopApiServer(how: "gracefully" | "kill" = "gracefully"): Promise<void> {
    const component = this.#components.get("kube-apiserver");
    this.#components.delete("kube-apiserver");
    await component?.stop(how === "kill" ? 0 : 5000);
  }

  async startApiServer(): Promise<void> {
    if (this.#stopping) throw labError("FW_LAB_STATE", `the control plane ${this.url} is stopped: start another one`);
    if (this.pid("kube-apiserver") !== undefined)
      throw labError("FW_LAB_STATE", `the API server ${this.url} runs already: call stopApiServer() first`);
    const files = started(this.#files);
    const component = await this.#launchApiServer(files);
    await this.#untilReady(component, () => this.#apiServerReady(files));
  }

  /** Clients before servers, so that none of them complains on its way out. */
  async stopComponents(): Promise<void> {
    const [scheduler, controllerManager] = [
      this.#components.get("kube-scheduler"),
      this.#components.get("kube-controller-manager"),
    ];
    await Promise.all([scheduler?.stop(3000), controllerManager?.stop(3000)]);
    // What is stored is thrown away: there is nothing that a longer grace would save.
    await this.#components.get("kube-apiserver")?.stop(3000);
    await this.#components.get("etcd")?.stop(1000);
  }

  stop(): Promise<void> {
    this.#stopping ??= (async () => {
      await this.stopComponents();
      await this.#workspace.remove();
    })();
    return this.#stopping;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

function started<T>(value: T | undefined): T {
  if (value === undefined) throw labError("FW_LAB_STATE", "the control plane has not been started");
  return value;
}

const fingerprintOf = (certificate: string): string => new X509Certificate(certificate).fingerprint256;
