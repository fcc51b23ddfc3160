import { formatKubeconfig, silentLogger, systemClock, systemRandom } from "@fleetwright/kube";
import type { Clock, KeyPair, Logger, Random, Transport, UserInfo } from "@fleetwright/kube";
import type { WebhookCaller } from "../admission/webhook-client.ts";
import { startHttpServer } from "../http/http-server.ts";
import { createInProcessTransport } from "../http/in-process-transport.ts";
import type { Kubelets } from "../machinery/kubelets.ts";
import { createMemoryStore } from "../storage/memory-store.ts";
import { openStateStore } from "../storage/state-store.ts";
import { createApiServer } from "./api-server.ts";
import { openAuditLog } from "./audit-log.ts";
import type { AuditLog } from "./audit-log.ts";
import { loadCredentials } from "./credentials.ts";
import type { ServerCredentials } from "./credentials.ts";

export interface TwinOptions {
  /** @default "127.0.0.1" */
  readonly host?: string;
  /** 0 takes a free one. @default 0 */
  readonly port?: number;
  /** Whether to serve HTTPS at all; without, only {@link Twin.transport} reaches it. @default true */
  readonly listen?: boolean;
  /** Keeps everything in this directory, and goes on from it. Absent: in memory. */
  readonly stateDirectory?: string;
  /** Given ones win over those of the state directory and over fresh ones. */
  readonly credentials?: ServerCredentials;
  /** For how long old versions can be listed and watched from. @default 300_000 */
  readonly historyWindowMs?: number;
  /** How much memory those may take, in bytes; beyond it the oldest go before their time. @default 512 MiB */
  readonly historyLimitBytes?: number;
  /** In which form objects are kept: as bytes for who comes over HTTP, or as objects for who is in this process. @default "bytes" */
  readonly keeps?: "bytes" | "objects";
  /** For tests: who changes an object that is kept in memory fails. @default false */
  readonly freezes?: boolean;
  /** Writes every write down here, one `audit.k8s.io/v1` Event a line, before it is answered. Absent: nowhere. */
  readonly auditLogPath?: string;
  /** Answers for the nodes: logs. @default nobody does */
  readonly kubelets?: Kubelets;
  /** Answers admission and conversion webhooks without a connection, in simulations. @default calls them over HTTPS */
  readonly callWebhook?: WebhookCaller;
  /** Addresses of Services. @default "10.96.0.0/16" */
  readonly serviceAddressRange?: string;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly logger?: Logger;
}

/** Someone who may talk to the twin. */
export interface TwinUser extends KeyPair {
  readonly name: string;
  readonly kubeconfig: string;
}

/** A cluster's API, served by this process. */
export interface Twin {
  /** `https://127.0.0.1:<port>`; `""` when it does not listen. */
  readonly url: string;
  readonly port: number;
  readonly caCertificate: string;
  /** In the group `system:masters`. */
  readonly admin: TwinUser;
  /** The admin's. */
  readonly kubeconfig: string;
  /** A client certificate of its own. Rights come from RBAC. */
  issueUser(name: string, groups?: readonly string[]): Promise<TwinUser>;
  /** Calls without a connection, as a user who needs no proof. @default a member of system:masters */
  transport(user?: UserInfo): Transport;
  /** Grows with every call over {@link Twin.transport} and every piece of its answers: for a `VirtualClock`. */
  readonly activity: number;
  /** Ends watches, lets calls finish, writes what is not yet written. Calling it again does nothing. */
  stop(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

const masterUser: UserInfo = { username: "fleetwright:twin", groups: ["system:masters", "system:authenticated"] };

/**
 * Starts an API server that behaves as kube-apiserver 1.36 does.
 *
 * @throws FleetwrightError `FW_TWIN_STATE` for a state directory that cannot be used, `FW_TWIN_LISTEN` for a taken port
 *
 * @example
 * await using twin = await startTwin();
 * const client = createClient({ transport: twin.transport() });
 */
export async function startTwin(options: TwinOptions = {}): Promise<Twin> {
  const {
    host = "127.0.0.1",
    port = 0,
    listen = true,
    clock = systemClock,
    random = systemRandom,
    logger = silentLogger,
    serviceAddressRange = "10.96.0.0/16",
  } = options;
  const window = {
    ...(options.historyWindowMs === undefined ? {} : { windowMs: options.historyWindowMs }),
    ...(options.historyLimitBytes === undefined ? {} : { historyLimitBytes: options.historyLimitBytes }),
    ...(options.keeps === undefined ? {} : { keeps: options.keeps }),
  };
  const store =
    options.stateDirectory === undefined
      ? createMemoryStore({ clock, ...window, freezes: options.freezes ?? false })
      : await openStateStore({ directory: options.stateDirectory, clock, ...window });
  let auditLog: AuditLog | undefined;
  try {
    if (options.auditLogPath !== undefined) auditLog = await openAuditLog(options.auditLogPath, clock);
    const credentials =
      options.credentials ??
      (await loadCredentials({
        clock,
        host,
        serviceAddress: serviceAddressRange.replace(/\.0\/\d+$/, ".1"),
        ...(options.stateDirectory === undefined ? {} : { directory: options.stateDirectory }),
      }));
    const server = await createApiServer({
      store,
      clock,
      random,
      logger,
      serviceAddressRange,
      serviceAccountKey: credentials.serviceAccountKey,
      clientCa: credentials.authority.certificate,
      ...(auditLog === undefined ? {} : { auditLog }),
      ...(options.callWebhook === undefined ? {} : { callWebhook: options.callWebhook }),
      ...(options.kubelets === undefined ? {} : { kubelets: options.kubelets }),
    });
    const http = listen
      ? await startHttpServer({
          handle: server.handle,
          tls: { ...credentials.serving, clientCa: credentials.authority.certificate },
          host,
          port,
          clock,
          logger,
        })
      : undefined;
    const url = http?.url ?? "";
    const issueUser = async (name: string, groups: readonly string[] = []): Promise<TwinUser> => {
      const pair = await credentials.authority.issue({ usage: "client", commonName: name, organizations: groups });
      const kubeconfig = formatKubeconfig({
        name: "twin",
        server: url,
        caCertificate: credentials.authority.certificate,
        userName: name,
        clientCertificate: pair,
      });
      return { name, kubeconfig, ...pair };
    };
    const admin = await issueUser("kubernetes-admin", ["system:masters"]);
    let activity = 0;
    const onActivity = (): void => void activity++;
    let stopping: Promise<void> | undefined;
    const stop = (): Promise<void> =>
      (stopping ??= (async () => {
        await http?.stop();
        await auditLog?.close();
        await store.close();
      })());
    return {
      url,
      port: http?.port ?? 0,
      caCertificate: credentials.authority.certificate,
      admin,
      kubeconfig: admin.kubeconfig,
      issueUser,
      transport: (user = masterUser) => createInProcessTransport(server.handle, user, { logger, onActivity }),
      get activity() {
        return activity;
      },
      stop,
      [Symbol.asyncDispose]: stop,
    };
  } catch (error) {
    await auditLog?.close();
    await store.close();
    throw error;
  }
}
