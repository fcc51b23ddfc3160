import { Agent, type Dispatcher, ProxyAgent } from "undici";

/** How to speak TLS with an API server. All text is PEM. */
export interface TlsSettings {
  /** Certificate authorities. Absent: the machine's. */
  readonly ca?: string | undefined;
  /** Name that the server's certificate must have. @default the URL's host */
  readonly serverName?: string | undefined;
  /** @default false */
  readonly insecureSkipVerify?: boolean | undefined;
  readonly clientCertificate?: ClientCertificate | undefined;
}

export interface ClientCertificate {
  readonly cert: string;
  readonly key: string;
}

export interface PoolSettings {
  readonly tls: TlsSettings;
  readonly proxyUrl?: string | undefined;
  /** Most connections for calls at once; more calls wait for one. */
  readonly connections: number;
  readonly connectTimeoutMs: number;
}

/** The connections to one server, as one identity. */
export interface ConnectionPool {
  /** Bounded, kept alive. */
  readonly calls: Dispatcher;
  /** Unbounded: one watch, one connection, so that a hundred idle watches never starve a call. */
  readonly watches: Dispatcher;
  /** Says that an exchange begins; the function that comes back must be called when it is over. */
  hold(): () => void;
  /** Ends the connections once no exchange is held; `then` is called after that. */
  retire(then: () => void): void;
  /** Breaks those in flight. */
  destroy(error: Error): Promise<void>;
}

/**
 * kube-apiserver closes a connection that was idle for 90 s (`IdleTimeout` in apiserver's `secure_serving.go`);
 * leaving it first keeps a request from meeting the close.
 */
const keepAliveTimeoutMs = 60_000;

/** Opens no connection until it is used. */
export function createConnectionPool(settings: PoolSettings): ConnectionPool {
  const calls = createDispatcher(settings, settings.connections);
  const watches = createDispatcher(settings, null);
  let held = 0;
  let onIdle: (() => void) | undefined;
  const destroy = async (error: Error): Promise<void> => {
    await Promise.all([calls.destroy(error), watches.destroy(error)]);
  };
  return {
    calls,
    watches,
    hold() {
      held++;
      return () => {
        held--;
        if (held === 0) onIdle?.();
      };
    },
    // Not undici's own close(): an Agent that is closing forgets its connections, and cannot be destroyed any more.
    retire(then) {
      onIdle = () => {
        onIdle = undefined;
        void destroy(new Error("retired")).finally(then);
      };
      if (held === 0) onIdle();
    },
    destroy,
  };
}

function createDispatcher(settings: PoolSettings, connections: number | null): Dispatcher {
  const { tls, proxyUrl, connectTimeoutMs } = settings;
  const secure = {
    ...(tls.ca === undefined ? {} : { ca: tls.ca }),
    ...(tls.serverName === undefined ? {} : { servername: tls.serverName }),
    ...(tls.clientCertificate === undefined ? {} : tls.clientCertificate),
    rejectUnauthorized: tls.insecureSkipVerify !== true,
    timeout: connectTimeoutMs,
  };
  const options = {
    connections,
    // HTTP/2 would put all calls and watches on one connection, to stall and to break together.
    allowH2: false,
    pipelining: 1,
    keepAliveTimeout: keepAliveTimeoutMs,
    // Deadlines are the caller's, on the injected clock.
    headersTimeout: 0,
    bodyTimeout: 0,
  };
  if (proxyUrl === undefined) return new Agent({ ...options, connect: secure });
  return new ProxyAgent({
    ...options,
    uri: proxyUrl,
    // A plain-text server is reached by CONNECT as well: watches need a connection, not a forwarded request.
    proxyTunnel: true,
    requestTls: { ...secure, allowH2: false },
    proxyTls: { timeout: connectTimeoutMs, allowH2: false },
  });
}
