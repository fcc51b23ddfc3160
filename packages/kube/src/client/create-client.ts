import { readFileSync } from "node:fs";
import type { Registry } from "prom-client";
import { clusterCredentials } from "../config/cluster-credentials.ts";
import type { ClusterConfig, TextSource } from "../config/cluster-config.ts";
import { loadKubeconfig } from "../config/load-kubeconfig.ts";
import { kubeconfigErrorCode } from "../config/yaml-file.ts";
import type { Clock } from "../core/clock.ts";
import { systemClock } from "../core/clock.ts";
import { FleetwrightError } from "../core/errors.ts";
import { type Logger, silentLogger } from "../core/logger.ts";
import { withRequestMetrics } from "../manager/rest-client-metrics.ts";
import { ApiClient } from "./api-client.ts";
import { Caller } from "./caller.ts";
import type { Client, Impersonation } from "./client.ts";
import { createHttpTransport, type HttpTransport, type HttpTransportOptions } from "./http-transport.ts";
import { isLoopback } from "./proxy.ts";
import type { Transport } from "./transport.ts";
import { defaultUserAgent } from "./user-agent.ts";
import { warnOnce } from "./warnings.ts";

/** What all clients take. */
interface CommonOptions {
  /** @default `systemClock` */
  readonly clock?: Clock;
  /** @default `silentLogger` */
  readonly logger?: Logger;
  /** @default "fleetwright/<version>" */
  readonly userAgent?: string;
  /** Deadline of a call without one of its own, in milliseconds. @default 30_000 */
  readonly timeoutMs?: number;
  /** How often a call is sent again when the server answers 429 or 5xx with `Retry-After`. @default 10, client-go's */
  readonly maxRetries?: number;
  /** Of calls without one of their own. @default the kubeconfig's `as` */
  readonly impersonate?: Impersonation;
  /** Takes the server's `Warning` headers. @default logs each text once */
  readonly onWarning?: (text: string, call: { readonly method: string; readonly path: string }) => void;
  /** Ask for compressed lists. @default true, but not over loopback and not with the kubeconfig's `disable-compression` */
  readonly gzip?: boolean;
}

export type ClientOptions = CommonOptions &
  (
    | {
        /** How requests travel. Its `close`, if it has one, is the client's. */
        readonly transport: Transport & { readonly close?: () => Promise<void> };
        readonly kubeconfig?: undefined;
      }
    | (Pick<HttpTransportOptions, "connections" | "qps" | "burst" | "connectTimeoutMs"> & {
        /** Counts requests under client-go's names (`rest_client_requests_total`). One client per registry. @default none */
        readonly metrics?: Registry;
        /** A configuration, or the path of a kubeconfig file. @default what {@link loadKubeconfig} finds */
        readonly kubeconfig?: ClusterConfig | string | undefined;
        readonly transport?: undefined;
      })
  );

/**
 * A client of one API server. Opens no connection before the first call.
 *
 * @throws FleetwrightError `FW_KUBECONFIG` when there is no usable configuration
 *
 * @example
 * const client = createClient({ kubeconfig: "/home/me/.kube/config" });
 * const pods = await client.list(Pods, { namespace: "ml", labelSelector: "app=llm" });
 */
export function createClient(options: ClientOptions = {}): Client {
  const clock = options.clock ?? systemClock;
  const logger = options.logger ?? silentLogger;
  const connection = connectionOf(options, clock);
  const caller = new Caller({
    transport: connection.transport,
    clock,
    logger,
    userAgent: options.userAgent ?? defaultUserAgent,
    timeoutMs: options.timeoutMs ?? 30_000,
    maxRetries: options.maxRetries ?? 10,
    impersonate: options.impersonate ?? connection.impersonate,
    onWarning: options.onWarning ?? warnOnce(logger),
  });
  return new ApiClient({
    caller,
    gzip: options.gzip ?? connection.gzip,
    close: async () => connection.transport.close?.(),
  });
}

interface Connection {
  readonly transport: Transport & { readonly close?: () => Promise<void> };
  readonly gzip: boolean;
  readonly impersonate?: Impersonation | undefined;
}

function connectionOf(options: ClientOptions, clock: Clock): Connection {
  if (options.transport) return { transport: options.transport, gzip: false };
  const config =
    typeof options.kubeconfig === "object" ? options.kubeconfig : loadKubeconfig({ kubeconfig: options.kubeconfig });
  const { connections, qps, burst, connectTimeoutMs, metrics } = options;
  const local = URL.canParse(config.server) && isLoopback(new URL(config.server));
  const transport = connect(config, { connections, qps, burst, connectTimeoutMs, clock });
  const { host } = new URL(config.server);
  return {
    transport: metrics === undefined ? transport : withRequestMetrics(transport, { registry: metrics, clock, host }),
    // Over loopback, compressing costs both sides more than it saves.
    gzip: config.disableCompression !== true && !local,
    impersonate: config.impersonate,
  };
}

/** The transport for a configuration: its authority, identity and proxy. */
export function connect(
  config: ClusterConfig,
  options: Pick<HttpTransportOptions, "connections" | "qps" | "burst" | "connectTimeoutMs" | "clock"> = {},
): HttpTransport {
  return createHttpTransport({
    ...options,
    server: config.server,
    proxyUrl: config.proxyUrl,
    tls: {
      ca: config.ca === undefined ? undefined : authority(config.ca, config.source),
      serverName: config.tlsServerName,
      insecureSkipVerify: config.insecureSkipTlsVerify,
    },
    credentials: clusterCredentials(config, options.clock ?? systemClock),
  });
}

function authority(source: TextSource, from: string): string {
  if (source.kind === "data") return source.text;
  try {
    return readFileSync(source.path, "utf8");
  } catch (error) {
    throw new FleetwrightError(
      kubeconfigErrorCode,
      `${from}: certificate-authority ${JSON.stringify(source.path)} cannot be read ` +
        `(${(error as { code?: string }).code ?? String(error)}); put it there, or correct its path`,
      { cause: error },
    );
  }
}
