import { createServer, type Server } from "node:https";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { createSecureContext, type SecureContextOptions } from "node:tls";
import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import type { KeyPair } from "../core/certificate-authority.ts";
import { sleep, type Clock } from "../core/clock.ts";
import { FleetwrightError } from "../core/errors.ts";
import type { Logger } from "../core/logger.ts";
import { denied, type AdmissionHandler, type AdmissionRequest, type AdmissionResponse } from "./admission.ts";

/** Twice what etcd takes, for object and oldObject, and some: controller-runtime's limit. */
const maxBodyBytes = 7 * 2 ** 20;

export interface WebhookServerOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Where the metrics are registered. @default none are kept */
  readonly registry?: Registry;
  /** @default "0.0.0.0" */
  readonly host?: string;
  /** 0 takes a free one. @default 9443 */
  readonly port?: number;
  /** Requests in work at once; one more is answered 429 at once. @default 1000 */
  readonly maxInFlight?: number;
  /** An answer leaves at least this long before the API server's own timeout. @default 500 */
  readonly marginMs?: number;
  /** How long a stopping server still answers, telling callers to close their connections. @default 0 */
  readonly drainMs?: number;
}

/** HTTPS over HTTP/1.1 that answers AdmissionReviews. */
export interface WebhookServer {
  /** `name` is the metrics' label. Paths are exact. */
  handle(path: string, name: string, handler: AdmissionHandler): void;
  /** Replaces the certificate for connections to come; open ones go on. */
  setCertificate(pair: KeyPair): void;
  /** @throws {FleetwrightError} `FW_WEBHOOK_LISTEN` when the port is taken or no certificate was set */
  listen(): Promise<void>;
  /** 0 before `listen`. */
  readonly port: number;
  readonly listening: boolean;
  /** Answers what is in flight, then closes. */
  stop(): Promise<void>;
}

interface Metrics {
  readonly requests: Counter<"webhook" | "code">;
  readonly latency: Histogram<"webhook">;
  readonly inFlight: Gauge<"webhook">;
  readonly panics: Counter;
}

/** controller-runtime's names (pkg/webhook/internal/metrics), so that existing dashboards read them. */
function createMetrics(registry: Registry): Metrics {
  const registers = [registry];
  return {
    requests: new Counter({
      name: "controller_runtime_webhook_requests_total",
      help: "Total number of admission requests by HTTP status code.",
      labelNames: ["webhook", "code"],
      registers,
    }),
    latency: new Histogram({
      name: "controller_runtime_webhook_latency_seconds",
      help: "Histogram of the latency of processing admission requests",
      labelNames: ["webhook"],
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
      registers,
    }),
    inFlight: new Gauge({
      name: "controller_runtime_webhook_requests_in_flight",
      help: "Current number of admission requests being served.",
      labelNames: ["webhook"],
      registers,
    }),
    panics: new Counter({
      name: "controller_runtime_webhook_panics_total",
      help: "Total number of webhook panics",
      registers,
    }),
  };
}

const tooBusy = (message: string): AdmissionResponse =>
  denied(message, { code: 429, reason: "TooManyRequests", retryAfterSeconds: 1 });

/** The API server's `?timeout=10s` (a Go duration of whole or fractional seconds, or `1m0s`), in milliseconds. */
export function webhookTimeoutMs(query: URLSearchParams): number {
  const match = /^(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?$/.exec(query.get("timeout") ?? "");
  const ms = (Number(match?.[1] ?? 0) * 60 + Number(match?.[2] ?? 0)) * 1000;
  // admissionregistration's default; its maximum is 30.
  return ms > 0 ? ms : 10_000;
}

class BadRequest extends Error {
  readonly httpStatus: number;
  constructor(httpStatus: number, message: string) {
    super(message);
    this.httpStatus = httpStatus;
  }
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxBodyBytes) throw new BadRequest(413, `the AdmissionReview is larger than ${maxBodyBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** Takes an AdmissionReview apart. Exported for tests and fuzzing. */
export function parseAdmissionReview(body: string): AdmissionRequest {
  let review: unknown;
  try {
    review = JSON.parse(body);
  } catch (error) {
    throw new BadRequest(400, `the body is not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  const { apiVersion, kind, request } = (review ?? {}) as { apiVersion?: unknown; kind?: unknown; request?: unknown };
  if (apiVersion !== "admission.k8s.io/v1" || kind !== "AdmissionReview") {
    throw new BadRequest(
      400,
      `expected an admission.k8s.io/v1 AdmissionReview, got ${String(apiVersion)} ${String(kind)}`,
    );
  }
  if (typeof request !== "object" || request === null || typeof (request as AdmissionRequest).uid !== "string") {
    throw new BadRequest(400, "the AdmissionReview has no request with a uid");
  }
  return request as AdmissionRequest;
}

/**
 * An AdmissionReview server. Only HTTP/1.1 is offered: the API server would otherwise put all calls to a loopback address on
 * one HTTP/2 connection, and a balancer before several replicas would send all of them to one.
 */
export function createWebhookServer(options: WebhookServerOptions): WebhookServer {
  const { clock, logger, host = "0.0.0.0", maxInFlight = 1000, marginMs = 500, drainMs = 0 } = options;
  const metrics = options.registry ? createMetrics(options.registry) : undefined;
  const handlers = new Map<string, { readonly name: string; readonly handler: AdmissionHandler }>();
  let certificate: SecureContextOptions | undefined;
  let server: Server | undefined;
  let port = 0;
  let inFlight = 0;
  let draining = false;
  /** Answers that have not left yet. */
  const open = new Set<ServerResponse>();
  let allAnswered: (() => void) | undefined;
  const sockets = new Set<Socket>();

  /** Answers by the deadline, whatever the handler does. */
  async function decide(
    name: string,
    handler: AdmissionHandler,
    request: AdmissionRequest,
    timeoutMs: number,
  ): Promise<AdmissionResponse> {
    const controller = new AbortController();
    let expire: (response: AdmissionResponse) => void = () => {};
    const expired = new Promise<AdmissionResponse>((resolve) => {
      expire = resolve;
    });
    const timer = clock.setTimer(Math.max(timeoutMs - marginMs, timeoutMs / 2), () => {
      controller.abort(
        new FleetwrightError("FW_WEBHOOK_DEADLINE", `webhook ${name}: no answer within the API server's timeout`),
      );
      expire(tooBusy(`${name} could not answer in time; try again`));
    });
    const run = async (): Promise<AdmissionResponse> => handler(request, controller.signal);
    const answer = run().catch((error: unknown): AdmissionResponse => {
      if (controller.signal.aborted) return tooBusy(`${name} could not answer in time; try again`);
      metrics?.panics.inc();
      logger.error({ error, webhook: name, uid: request.uid }, "webhook failed");
      return denied(`${name} failed: ${error instanceof Error ? error.message : String(error)}`, {
        code: 500,
        reason: "InternalError",
      });
    });
    try {
      return await Promise.race([answer, expired]);
    } finally {
      timer.cancel();
    }
  }

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "/", "https://webhook");
    const entry = handlers.get(url.pathname);
    const started = clock.now();
    const finish = (code: number, body: string, contentType: string): void => {
      metrics?.requests.inc({ webhook: entry?.name ?? "unknown", code: String(code) });
      response.writeHead(code, {
        "content-type": contentType,
        "content-length": Buffer.byteLength(body),
        ...(draining ? { connection: "close" } : {}),
      });
      response.end(body);
    };
    try {
      if (!entry) throw new BadRequest(404, `no webhook at ${url.pathname}`);
      if (request.method !== "POST") throw new BadRequest(405, `${request.method} is not POST`);
      if (!(request.headers["content-type"] ?? "").startsWith("application/json")) {
        throw new BadRequest(
          415,
          `content type ${request.headers["content-type"] ?? "(none)"} is not application/json`,
        );
      }
      inFlight++;
      metrics?.inFlight.inc({ webhook: entry.name });
      try {
        const admission = parseAdmissionReview(await readBody(request));
        const result =
          inFlight > maxInFlight
            ? tooBusy(`${entry.name} has ${maxInFlight} requests in work; try again`)
            : await decide(
                entry.name,
                entry.handler,
                admission,
                webhookTimeoutMs(url.searchParams) - (clock.now() - started),
              );
        const review = {
          apiVersion: "admission.k8s.io/v1",
          kind: "AdmissionReview",
          response: { uid: admission.uid, ...result },
        };
        finish(200, JSON.stringify(review), "application/json");
      } finally {
        inFlight--;
        metrics?.inFlight.dec({ webhook: entry.name });
        metrics?.latency.observe({ webhook: entry.name }, (clock.now() - started) / 1000);
      }
    } catch (error) {
      if (response.headersSent || response.destroyed) return;
      const known = error instanceof BadRequest;
      if (!known) logger.error({ error, path: url.pathname }, "webhook request failed");
      finish(known ? error.httpStatus : 500, known ? error.message : "internal error", "text/plain; charset=utf-8");
    }
  }

  return {
    handle(path, name, handler) {
      handlers.set(path, { name, handler });
    },
    setCertificate(pair) {
      certificate = { cert: pair.certificate, key: pair.key, minVersion: "TLSv1.2" };
      createSecureContext(certificate); // a broken pair throws here and not at the next handshake
      server?.setSecureContext(certificate);
    },
    async listen() {
      if (!certificate)
        throw new FleetwrightError(
          "FW_WEBHOOK_LISTEN",
          "the webhook server has no certificate: call setCertificate first",
        );
      const wanted = options.port ?? 9443;
      const created = createServer({ ...certificate, ALPNProtocols: ["http/1.1"] }, (request, response) => {
        open.add(response);
        response.once("close", () => {
          open.delete(response);
          if (open.size === 0) allAnswered?.();
        });
        void answer(request, response);
      });
      created.on("connection", (socket: Socket) => {
        sockets.add(socket);
        socket.once("close", () => sockets.delete(socket));
      });
      // The API server keeps idle connections for 90 s; closing first would break a call that is on its way.
      created.keepAliveTimeout = 120_000;
      created.headersTimeout = 125_000;
      created.on("tlsClientError", (error) => logger.debug({ error }, "TLS handshake failed"));
      await new Promise<void>((resolve, reject) => {
        created.once("error", (error: NodeJS.ErrnoException) => {
          const reason =
            error.code === "EADDRINUSE"
              ? "is taken by another process; choose another port"
              : `cannot be listened on (${error.message})`;
          reject(
            new FleetwrightError("FW_WEBHOOK_LISTEN", `webhook address ${host}:${wanted} ${reason}`, { cause: error }),
          );
        });
        created.listen(wanted, host, resolve);
      });
      created.on("error", (error) => logger.error({ error }, "webhook server"));
      server = created;
      const address = created.address();
      port = typeof address === "object" && address !== null ? address.port : wanted;
    },
    get port() {
      return port;
    },
    get listening() {
      return server?.listening === true && !draining;
    },
    async stop() {
      const stopping = server;
      if (!stopping) return;
      draining = true;
      if (drainMs > 0) await sleep(clock, drainMs);
      const closed = new Promise<void>((resolve) => {
        stopping.close(() => resolve());
      });
      stopping.closeIdleConnections();
      if (open.size > 0) {
        await new Promise<void>((resolve) => {
          allAnswered = resolve;
        });
      }
      // Go's transport dials ahead: connections that never carried a request, or whose handshake is not over, would hold the stop up.
      for (const socket of sockets) socket.destroy();
      await closed;
      server = undefined;
    },
  };
}
