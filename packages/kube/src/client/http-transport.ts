import type { Clock } from "../core/clock.ts";
import { systemClock } from "../core/clock.ts";
import { FleetwrightError, TransportError } from "../core/errors.ts";
import { discard, gunzip } from "./body.ts";
import { connectionFailure } from "./connection-error.ts";
import { type ConnectionPool, createConnectionPool, type TlsSettings } from "./connection-pool.ts";
import { type Credential, type Credentials, noCredentials } from "./credentials.ts";
import { abortable } from "./deadline.ts";
import { tokenBucket } from "./rate-limit.ts";
import type { TransportRequest, TransportResponse } from "./transport.ts";

export interface HttpTransportOptions {
  /** `https://host:port`, with a path when the API is not at the root. */
  readonly server: string;
  readonly tls?: Omit<TlsSettings, "clientCertificate">;
  readonly credentials?: Credentials;
  /** `http://`, `https://` or `socks5://`. @default a direct connection */
  readonly proxyUrl?: string | undefined;
  /** Connections for calls, kept alive; watches come on top. @default 16 */
  readonly connections?: number | undefined;
  /** Calls per second; watches are not counted. @default no limit: API priority and fairness is the server's */
  readonly qps?: number | undefined;
  /** @default `qps` */
  readonly burst?: number | undefined;
  /** @default 10_000 */
  readonly connectTimeoutMs?: number | undefined;
  /** @default `systemClock` */
  readonly clock?: Clock | undefined;
}

/** A {@link Transport} over HTTP/1.1. */
export interface HttpTransport {
  (request: TransportRequest, signal?: AbortSignal): Promise<TransportResponse>;
  /** Breaks what is in flight; later calls fail. */
  close(): Promise<void>;
}

/**
 * Talks to one API server over a pool of kept-alive connections (undici). Deadlines are the caller's signal.
 *
 * A GET on a connection that broke before an answer came is sent once more: a server may close an idle connection in
 * the moment we use it. Other verbs are not, though PUT and DELETE are idempotent in HTTP's terms: a repeated
 * compare-and-swap that had succeeded would come back as a conflict, and its caller would believe that it lost.
 * What was never written to a connection goes to the next one, whatever the verb (undici's queue does so).
 *
 * @throws FleetwrightError `FW_KUBECONFIG` when `server` is not a URL
 */
export function createHttpTransport(options: HttpTransportOptions): HttpTransport {
  const clock = options.clock ?? systemClock;
  const server = parseServer(options.server);
  const prefix = server.pathname.replace(/\/+$/, "");
  const credentials = options.credentials ?? noCredentials;
  const limit = options.qps === undefined ? undefined : tokenBucket({ qps: options.qps, burst: options.burst, clock });
  let pool: { readonly connections: ConnectionPool; readonly identity: string } | undefined;
  /** Of earlier client certificates, with exchanges still in flight. */
  const draining = new Set<ConnectionPool>();
  let closed = false;

  const retire = (connections: ConnectionPool): void => {
    draining.add(connections);
    connections.retire(() => draining.delete(connections));
  };

  /** A new client certificate needs new connections; the old ones end with the calls that they carry. */
  const poolFor = (credential: Credential): ConnectionPool => {
    const certificate = credential.clientCertificate;
    const identity = certificate === undefined ? "" : `${certificate.cert}\n${certificate.key}`;
    if (pool?.identity === identity) return pool.connections;
    if (pool) retire(pool.connections);
    const connections = createConnectionPool({
      tls: { ...options.tls, clientCertificate: certificate },
      proxyUrl: options.proxyUrl,
      connections: options.connections ?? 16,
      connectTimeoutMs: options.connectTimeoutMs ?? 10_000,
    });
    pool = { connections, identity };
    return connections;
  };

  const exchange = async (
    request: TransportRequest,
    credential: Credential,
    signal: AbortSignal | undefined,
  ): Promise<TransportResponse> => {
    const what = `${request.method} ${server.origin}${prefix}${request.path}`;
    for (let attempt = 0; ; attempt++) {
      if (closed) throw new TransportError(`${what}: the client is closed`);
      const connections = poolFor(credential);
      const release = connections.hold();
      try {
        const dispatcher = request.kind === "watch" ? connections.watches : connections.calls;
        const answer = dispatcher.request({
          origin: server.origin,
          path: `${prefix}${request.path}`,
          method: request.method,
          headers: headersOf(request, credential),
          body: request.body ?? null,
          signal: signal ?? null,
          responseHeaders: null,
        });
        answer.then(({ body }) => body.once("close", release), release);
        // undici hears of an abort only once it has a connection: to a black hole, that is after its connect timeout.
        // An await in `try` on purpose: what fails here failed before an answer.
        const response = await abortable(answer, signal);
        const headers = flatten(response.headers);
        const raw = guarded(response.body, what, signal);
        return {
          status: response.statusCode,
          headers,
          body: headers["content-encoding"] === "gzip" ? guardedBody(gunzip(raw), what, signal) : raw,
        };
      } catch (error) {
        if (signal?.aborted) throw signal.reason;
        if (error instanceof FleetwrightError) throw error;
        if (attempt === 0 && request.method === "GET" && isBrokenConnection(error)) continue;
        throw transportError(what, error);
      }
    }
  };

  const send = async (request: TransportRequest, signal?: AbortSignal): Promise<TransportResponse> => {
    signal?.throwIfAborted();
    if (request.kind !== "watch") await limit?.take(signal);
    // A plugin may hang, or wait for a person: that is no reason to miss the caller's deadline.
    const credential = await abortable(credentials.current(signal), signal);
    const response = await exchange(request, credential, signal);
    if (response.status !== 401) return response;
    let renewed: Credential | undefined;
    try {
      renewed = await abortable(credentials.renew(credential, signal), signal);
    } catch (error) {
      await discard(response.body);
      throw error;
    }
    if (renewed === undefined) return response;
    await discard(response.body);
    return exchange(request, renewed, signal);
  };

  return Object.assign(send, {
    async close() {
      closed = true;
      const all = [...draining, ...(pool ? [pool.connections] : [])];
      await Promise.all(all.map((connections) => connections.destroy(new TransportError("the client was closed"))));
    },
  });
}

function parseServer(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || (url.protocol !== "https:" && url.protocol !== "http:") || url.hostname === "") {
    throw new FleetwrightError(
      "FW_KUBECONFIG",
      `server ${JSON.stringify(text)} is not an http or https URL; write it as https://host:port`,
    );
  }
  return url;
}

type OutgoingHeaders = Record<string, string | string[]>;

function headersOf(request: TransportRequest, credential: Credential): OutgoingHeaders {
  const headers: OutgoingHeaders = {};
  for (const [name, value] of Object.entries({ ...request.headers, ...credential.headers })) {
    headers[name] = typeof value === "string" ? value : [...value];
  }
  return headers;
}

function flatten(headers: Readonly<Record<string, string | string[] | undefined>>): Record<string, string> {
  const flat: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined) flat[name.toLowerCase()] = typeof value === "string" ? value : value.join(", ");
  }
  return flat;
}

const brokenCodes = new Set(["UND_ERR_SOCKET", "ECONNRESET", "EPIPE", "UND_ERR_CLOSED"]);

function isBrokenConnection(error: unknown): boolean {
  const code = (error as { readonly code?: unknown } | null)?.code;
  return typeof code === "string" && brokenCodes.has(code);
}

function transportError(what: string, error: unknown): TransportError {
  if (error instanceof TransportError) return error;
  const { problem, advice } = connectionFailure(error);
  return new TransportError(`${what}: ${problem}; ${advice}`, { cause: error });
}

/** undici's body: destroyed when it is left early, so that its connection is never held by nobody. */
function guarded(
  body: AsyncIterable<Uint8Array> & { destroy(): unknown; on(event: "error", listener: () => void): unknown },
  what: string,
  signal: AbortSignal | undefined,
): AsyncIterable<Uint8Array> {
  // A body that is aborted before anyone reads it must not raise an unhandled "error".
  body.on("error", () => undefined);
  return guardedBody(body, what, signal, () => body.destroy());
}

function guardedBody(
  body: AsyncIterable<Uint8Array>,
  what: string,
  signal: AbortSignal | undefined,
  destroy?: () => void,
): AsyncIterable<Uint8Array> {
  return {
    [Symbol.asyncIterator]() {
      const iterator = body[Symbol.asyncIterator]();
      return {
        async next() {
          try {
            return await iterator.next();
          } catch (error) {
            if (signal?.aborted) throw signal.reason;
            throw transportError(what, error);
          }
        },
        async return() {
          destroy?.();
          // A generator that never ran does not run its `finally`: destroy above does the work.
          await iterator.return?.().catch(() => undefined);
          return { done: true, value: undefined };
        },
      };
    },
  };
}
