import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:https";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { TLSSocket } from "node:tls";
import { type Clock, FleetwrightError, type Logger, silentLogger, systemClock } from "@fleetwright/kube";
import type { Call, Reply } from "../machinery/request.ts";
import { refusals } from "../machinery/status-error.ts";
import { type ClientIdentity, clientIdentity } from "./client-identity.ts";
import { failureReply } from "./failure.ts";
import { parseQuery } from "./query.ts";
import { defaultMaxBodyBytes, readBody } from "./request-body.ts";
import { sendReply } from "./response.ts";

/** k8s.io/apiserver/pkg/server/secure_serving.go. */
const limits = { headerBytes: 1 << 20, headersTimeoutMs: 32_000, idleTimeoutMs: 90_000, lingerMs: 500 } as const;

export interface HttpServerOptions {
  /** Answers a call; a thrown StatusError is an answer too. */
  readonly handle: (call: Call) => Promise<Reply>;
  /** PEM. Client certificates are asked for, and believed when `clientCa` signed them. */
  readonly tls: { readonly certificate: string; readonly key: string; readonly clientCa: string };
  /** @default "127.0.0.1" */
  readonly host?: string;
  /** 0 takes a free one. @default 0 */
  readonly port?: number;
  /** @default 3 MiB, kube-apiserver's */
  readonly maxBodyBytes?: number;
  /** By when a request's last byte must have come. @default 60_000 */
  readonly requestTimeoutMs?: number;
  /** How long a stopping server lets calls finish. @default 10_000 */
  readonly stopTimeoutMs?: number;
  /** @default `systemClock` */
  readonly clock?: Clock;
  /** @default says nothing */
  readonly logger?: Logger;
}

export interface HttpServer {
  /** `https://127.0.0.1:6443` */
  readonly url: string;
  readonly port: number;
  /** Ends watches, lets calls finish, closes all connections. */
  stop(): Promise<void>;
}

/** Node reads bytes as Latin-1; Go, and so every client, means UTF-8 (a user's name, for example). */
const textOf = (value: string): string =>
  // oxlint-disable-next-line no-control-regex
  /[^\x00-\x7f]/.test(value) ? Buffer.from(value, "latin1").toString() : value;

/** Names as sent in lower case; Node's own views join or drop repeated headers. */
function headersOf(request: IncomingMessage): Call["headers"] {
  const headers: Record<string, string | string[]> = Object.create(null) as Record<string, string | string[]>;
  const raw = request.rawHeaders;
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const name = (raw[index] ?? "").toLowerCase();
    const value = textOf(raw[index + 1] ?? "");
    const before = headers[name];
    headers[name] = before === undefined ? value : typeof before === "string" ? [before, value] : [...before, value];
  }
  return headers;
}

/** Go's HTTP server says no more of what is no request (net/http/server.go). */
function refusalOf(error: NodeJS.ErrnoException): string | undefined {
  const { code = "" } = error;
  if (code === "HPE_HEADER_OVERFLOW") return plainRefusal("431 Request Header Fields Too Large");
  if (code === "HPE_INVALID_TRANSFER_ENCODING")
    return plainRefusal("501 Not Implemented", "Unsupported transfer encoding");
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") return plainRefusal("408 Request Timeout");
  return code.startsWith("HPE_") ? plainRefusal("400 Bad Request") : undefined;
}

const plainRefusal = (status: string, text: string = status): string =>
  `HTTP/1.1 ${status}\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n${text}`;

/** What Node lets through and Go does not. */
function malformed(request: IncomingMessage): string | undefined {
  if (/%(?![0-9a-f]{2})/i.test((request.url ?? "").split("?", 1)[0] ?? "")) return plainRefusal("400 Bad Request");
  if (request.headers.host === undefined && request.httpVersion === "1.1") {
    return plainRefusal("400 Bad Request", "400 Bad Request: missing required Host header");
  }
  return undefined;
}

/** The path and the query of a request line, which proxies may send with scheme and host. */
function targetOf(target: string): { readonly path: string; readonly query: string } {
  const relative = target.startsWith("/") ? target : target.replace(/^[a-z]+:\/\/[^/?]*/i, "") || "/";
  const mark = relative.indexOf("?");
  return mark < 0 ? { path: relative, query: "" } : { path: relative.slice(0, mark), query: relative.slice(mark + 1) };
}

/**
 * HTTPS over HTTP/1.1, with kube-apiserver's limits. Requests that ask for an upgrade (exec, port-forward) are handled like any other: this
 * server switches no protocols.
 *
 * @throws FleetwrightError `FW_TWIN_LISTEN` when the address is taken
 */
export async function startHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  const { handle, tls, host = "127.0.0.1", maxBodyBytes = defaultMaxBodyBytes, stopTimeoutMs = 10_000 } = options;
  const { requestTimeoutMs = 60_000, clock = systemClock, logger = silentLogger } = options;
  const identities = new WeakMap<Socket, ClientIdentity>();
  const sockets = new Set<Socket>();
  /** Calls in work, and whether their answer is a stream. */
  const exchanges = new Map<AbortController, { streaming: boolean }>();
  const refused = new WeakSet<Duplex>();
  const answering = new WeakMap<Socket, ServerResponse>();
  let stopping = false;
  let onRest: (() => void) | undefined;

  function callOf(request: IncomingMessage, signal: AbortSignal): Call {
    const { path, query } = targetOf(request.url ?? "/");
    const identity = identities.get(request.socket);
    let trusted = identity?.kind === "verified" ? identity : undefined;
    if (trusted !== undefined && trusted.notAfterMs < clock.now()) trusted = undefined;
    const headers = headersOf(request);
    // An untrusted certificate is no anonymous caller, but a token may still say who it is (union authenticator).
    if (
      identity !== undefined &&
      identity.kind !== "none" &&
      trusted === undefined &&
      headers["authorization"] === undefined
    ) {
      throw refusals.unauthorized();
    }
    let read = false;
    return {
      method: request.method ?? "GET",
      path,
      query: parseQuery(query),
      headers,
      signal,
      body() {
        if (read) return Promise.reject(new Error(`${path}: the body has been read`));
        read = true;
        return readBody(request, maxBodyBytes);
      },
      ...(trusted === undefined || trusted.certificate.commonName === ""
        ? {}
        : { clientCertificate: trusted.certificate }),
    };
  }

  /** Reads on for a moment: a connection that is closed with bytes unread is reset, and the words are lost. */
  function refuse(socket: Duplex, text: string): void {
    refused.add(socket);
    socket.end(text);
    socket.resume();
    const timer = clock.setTimer(limits.lingerMs, () => socket.destroy());
    socket.once("close", () => timer.cancel());
  }

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const controller = new AbortController();
    const exchange = { streaming: false };
    exchanges.set(controller, exchange);
    answering.set(request.socket, response);
    // A broken connection is no defect; what waits for it hears of it by the signal.
    response.on("error", () => {});
    response.once("close", () => {
      // Nobody waits for the rest of a whole answer.
      if (!response.writableFinished) controller.abort(new Error("the client has closed the connection"));
    });
    try {
      let reply: Reply;
      try {
        reply = await handle(callOf(request, controller.signal));
      } catch (error) {
        if (controller.signal.aborted) return;
        reply = failureReply(error, { method: request.method ?? "", path: request.url ?? "" }, logger);
      }
      exchange.streaming = typeof reply.body !== "string" && !Buffer.isBuffer(reply.body);
      if (stopping) {
        response.setHeader("connection", "close");
        if (exchange.streaming) controller.abort(new Error("the server stops"));
      }
      await sendReply(request, response, reply, controller.signal);
    } catch (error) {
      if (!controller.signal.aborted) {
        logger.error({ error, method: request.method, path: request.url }, "an answer broke off");
      }
      // The head has left: only a broken connection says that the rest does not come.
      response.destroy();
    } finally {
      exchanges.delete(controller);
      if (exchanges.size === 0) onRest?.();
    }
  }

  const server = createServer(
    {
      cert: tls.certificate,
      key: tls.key,
      ca: tls.clientCa,
      requestCert: true,
      rejectUnauthorized: false,
      minVersion: "TLSv1.2",
      ALPNProtocols: ["http/1.1"],
      handshakeTimeout: limits.headersTimeoutMs,
      maxHeaderSize: limits.headerBytes,
      headersTimeout: Math.min(limits.headersTimeoutMs, requestTimeoutMs),
      keepAliveTimeout: limits.idleTimeoutMs,
      requestTimeout: requestTimeoutMs,
      connectionsCheckingInterval: Math.min(5000, requestTimeoutMs),
      noDelay: true,
      requireHostHeader: false,
    },
    (request, response) => {
      const refusal = malformed(request);
      if (refusal === undefined) void answer(request, response);
      else {
        request.resume();
        refuse(request.socket, refusal);
      }
    },
  );
  server.on("clientError", (error: NodeJS.ErrnoException, socket: Duplex) => {
    // The parser complains of each further piece.
    if (refused.has(socket)) return;
    const refusal = refusalOf(error);
    const response = answering.get(socket as Socket);
    // In the midst of an answer, words would look like a part of it.
    const isQuiet = response === undefined || response.writableFinished || !response.headersSent;
    if (refusal !== undefined && isQuiet && socket.writable) refuse(socket, refusal);
    else socket.destroy();
  });
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  server.on("secureConnection", (socket: TLSSocket) => void identities.set(socket, clientIdentity(socket)));
  server.on("tlsClientError", (error) => logger.debug({ error }, "TLS handshake failed"));
  const port = await listen(server, host, options.port ?? 0);
  server.on("error", (error) => logger.error({ error }, "HTTP server"));
  let stopped: Promise<void> | undefined;

  async function stop(): Promise<void> {
    stopping = true;
    const closed = new Promise<void>((resolve) => {
      server.close(() => resolve());
    });
    server.closeIdleConnections();
    for (const [controller, { streaming }] of exchanges) {
      if (streaming) controller.abort(new Error("the server stops"));
    }
    if (exchanges.size > 0) {
      const rest = new Promise<void>((resolve) => {
        onRest = resolve;
      });
      const timer = clock.setTimer(stopTimeoutMs, () => onRest?.());
      await rest;
      timer.cancel();
    }
    for (const controller of exchanges.keys()) controller.abort(new Error("the server stops"));
    for (const socket of sockets) socket.destroy();
    await closed;
  }

  return {
    url: `https://${host.includes(":") ? `[${host}]` : host}:${port}`,
    port,
    stop: () => (stopped ??= stop()),
  };
}

async function listen(server: ReturnType<typeof createServer>, host: string, port: number): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    const refuse = (error: NodeJS.ErrnoException): void => {
      const reason =
        error.code === "EADDRINUSE"
          ? "is taken by another process; choose another port"
          : `cannot be listened on (${error.message})`;
      reject(
        new FleetwrightError("FW_TWIN_LISTEN", `the API server's address ${host}:${port} ${reason}`, { cause: error }),
      );
    };
    server.once("error", refuse);
    server.listen(port, host, () => {
      server.off("error", refuse);
      resolve();
    });
  });
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : port;
}
