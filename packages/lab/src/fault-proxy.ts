import { Agent, createServer, request as httpsRequest } from "node:https";
import type { ClientRequest, IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import { join } from "node:path";
import { Transform } from "node:stream";
import type { TLSSocket } from "node:tls";
import { seededRandom, sleep, systemClock } from "@fleetwright/kube";
import type { Clock, KeyPair } from "@fleetwright/kube";
import type { ControlPlane, User } from "./control-plane.ts";
import { FaultPlan, describeRequest } from "./fault-rules.ts";
import type { Fault, FaultRule, ProxiedRequest } from "./fault-rules.ts";
import { writeKubeconfig } from "./kubeconfig-file.ts";
import { listen, openNetworkGate } from "./network-gate.ts";
import type { NetworkGate } from "./network-gate.ts";

export interface FaultProxyOptions {
  readonly target: Pick<ControlPlane, "url" | "caCertificate" | "authority" | "admin" | "credentialsOf" | "directory">;
  /** Decides every probability and amount; print it when a test fails. */
  readonly seed: number;
  readonly rules?: readonly FaultRule[];
  /** Called for each request, with the fault that it meets (`undefined`: none). */
  readonly observe?: (request: ProxiedRequest, fault: Fault["kind"] | undefined) => void;
  readonly clock?: Clock;
}

/**
 * Stands between clients and an API server and makes the network as bad as wanted. It ends TLS with a certificate of the
 * same CA and speaks HTTP/1.1. Who calls stays who calls: the proxy presents the caller's own client certificate upstream
 * (it knows those that the control plane issued); bearer tokens are passed on as they are.
 */
export interface FaultProxy extends Pick<NetworkGate, "partition" | "freeze" | "cut" | "connections"> {
  readonly url: string;
  readonly port: number;
  /** The admin's, through the proxy. */
  readonly kubeconfigPath: string;
  /** How often each kind of fault has struck. */
  readonly injected: Readonly<Partial<Record<Fault["kind"], number>>>;
  /** Requests seen so far. */
  readonly requests: number;
  setRules(rules: readonly FaultRule[]): void;
  addRule(rule: FaultRule): () => void;
  /** A user of the control plane, through the proxy: the path of a kubeconfig. */
  kubeconfigFor(user: User): Promise<string>;
  stop(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Starts a proxy before a control plane.
 *
 * @example
 * await using proxy = await startFaultProxy({ target: controlPlane, seed: 1 });
 * proxy.addRule({ match: (request) => request.verb === "watch", probability: 0.1, fault: { kind: "cut-during", afterBytes: [0, 4000] } });
 * proxy.partition("blackhole");
 */
export async function startFaultProxy(options: FaultProxyOptions): Promise<FaultProxy> {
  const { target } = options;
  const clock = options.clock ?? systemClock;
  const plan = new FaultPlan(seededRandom(options.seed), options.rules);
  const upstream = new Upstream(target);
  const injected: Partial<Record<Fault["kind"], number>> = {};
  const count = (kind: Fault["kind"]): void => {
    injected[kind] = (injected[kind] ?? 0) + 1;
  };
  let requests = 0;

  const serving = await target.authority.issue({
    usage: "server",
    commonName: "fault-proxy",
    hosts: ["127.0.0.1", "localhost"],
  });
  const server = createServer(
    {
      cert: serving.certificate,
      key: serving.key,
      ca: target.caCertificate,
      requestCert: true,
      rejectUnauthorized: false,
      // Idle connections are the client's to end, as with the API server.
      keepAliveTimeout: 0,
      requestTimeout: 0,
    },
    (incoming, outgoing) => {
      const seen = describeRequest(incoming.method ?? "GET", incoming.url ?? "/");
      const { delayMs, fault } = plan.draw(seen);
      requests++;
      if (delayMs > 0) count("delay");
      if (fault) count(fault.kind);
      options.observe?.(seen, fault?.kind ?? (delayMs > 0 ? "delay" : undefined));
      const go = (): void => answer(incoming, outgoing, fault, plan, upstream);
      if (delayMs === 0) go();
      else void sleep(clock, delayMs).then(go);
    },
  );
  // A client that resets its connection during the handshake is what this is for.
  server.on("tlsClientError", () => {});
  const gate = await openNetworkGate(await listen(server));
  const url = `https://127.0.0.1:${gate.port}`;

  const kubeconfigFor = async (user: User): Promise<string> => {
    const path = join(target.directory, `proxy-${gate.port}-${user.kubeconfigPath.split("/").at(-1) ?? ""}`);
    await writeKubeconfig(path, {
      name: user.name,
      server: url,
      caCertificate: target.caCertificate,
      credentials: user,
    });
    return path;
  };
  const stop = async (): Promise<void> => {
    await gate.close();
    server.closeAllConnections();
    upstream.close();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  };
  return {
    url,
    port: gate.port,
    kubeconfigPath: await kubeconfigFor(target.admin),
    injected,
    get requests() {
      return requests;
    },
    get connections() {
      return gate.connections;
    },
    partition: (how) => gate.partition(how),
    freeze: () => gate.freeze(),
    cut: () => gate.cut(),
    setRules: (rules) => plan.set(rules),
    addRule: (rule) => plan.add(rule),
    kubeconfigFor,
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

/** Connections to the real server, one pool for each identity. */
class Upstream {
  readonly #target: FaultProxyOptions["target"];
  readonly #agents = new Map<string, Agent>();

  constructor(target: FaultProxyOptions["target"]) {
    this.#target = target;
  }

  request(incoming: IncomingMessage): ClientRequest {
    const url = new URL(this.#target.url);
    return httpsRequest({
      host: url.hostname,
      port: url.port,
      method: incoming.method ?? "GET",
      path: incoming.url ?? "/",
      headers: forwardedHeaders(incoming),
      agent: this.#agentFor(incoming.socket as TLSSocket),
    });
  }

  #agentFor(socket: TLSSocket): Agent {
    const fingerprint = socket.authorized ? socket.getPeerCertificate().fingerprint256 : "";
    let agent = this.#agents.get(fingerprint);
    if (agent === undefined) {
      const credentials: KeyPair | undefined = this.#target.credentialsOf(fingerprint);
      agent = new Agent({
        keepAlive: true,
        ca: this.#target.caCertificate,
        ...(credentials && { cert: credentials.certificate, key: credentials.key }),
      });
      this.#agents.set(fingerprint, agent);
    }
    return agent;
  }

  close(): void {
    for (const agent of this.#agents.values()) agent.destroy();
  }
}

/** Headers that belong to one connection, not to the request (RFC 9110, 7.6.1). */
const hopByHop = new Set(["connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "host"]);

function forwardedHeaders(incoming: IncomingMessage): Record<string, string | string[]> {
  // Repeated headers (Impersonate-Group) stay repeated: `headers` would join or drop them.
  return Object.fromEntries(
    Object.entries(incoming.headersDistinct).flatMap(([name, values]) =>
      hopByHop.has(name) || values === undefined ? [] : [[name, values.length === 1 ? (values[0] ?? "") : values]],
    ),
  );
}

function answer(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  fault: Exclude<Fault, { kind: "delay" }> | undefined,
  plan: FaultPlan,
  upstream: Upstream,
): void {
  // The gate turns the end of its inner connection into one of the client's.
  const reset = (): void => {
    if (!outgoing.writableEnded) incoming.socket.destroy();
  };
  if (fault?.kind === "cut-before") return reset();
  if (fault?.kind === "refuse") return refuse(incoming, outgoing, fault);
  if (fault?.kind === "silence" && fault.afterBytes === undefined) return;

  const call = upstream.request(incoming);
  incoming.pipe(call);
  outgoing.on("close", () => call.destroy());
  // The server is away or has ended the connection: so does the proxy.
  call.on("error", reset);
  call.on("response", (response) => {
    if (fault?.kind === "cut-after") {
      response.on("end", reset);
      response.resume();
      return;
    }
    response.on("error", reset);
    const reshaped = fault !== undefined;
    outgoing.writeHead(response.statusCode ?? 502, responseHeaders(response.headers, reshaped));
    outgoing.flushHeaders();
    if (fault === undefined) {
      response.pipe(outgoing);
      return;
    }
    const body = new PartOfBody(fault, plan.amount(fault.afterBytes ?? 0), reset);
    response.pipe(body).pipe(outgoing);
    // A part of nothing is over before the first byte.
    body.begin();
  });
}

function responseHeaders(headers: IncomingHttpHeaders, reshaped: boolean): Record<string, string | string[]> {
  return Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) =>
      hopByHop.has(name) || value === undefined || (reshaped && name === "content-length") ? [] : [[name, value]],
    ),
  );
}

function refuse(incoming: IncomingMessage, outgoing: ServerResponse, fault: Extract<Fault, { kind: "refuse" }>): void {
  incoming.resume();
  outgoing.writeHead(fault.status, {
    "content-type": "application/json",
    ...(fault.retryAfterSeconds !== undefined && { "retry-after": String(fault.retryAfterSeconds) }),
  });
  outgoing.end(JSON.stringify(statusOf(fault)));
}

const reasons: Readonly<Record<number, string>> = {
  409: "Conflict",
  410: "Expired",
  429: "TooManyRequests",
  500: "InternalError",
  503: "ServiceUnavailable",
  504: "Timeout",
};

function statusOf(fault: { status: number; reason?: string; message?: string; retryAfterSeconds?: number }): object {
  return {
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Failure",
    message: fault.message ?? `refused by the fault proxy with ${fault.status}`,
    reason: fault.reason ?? reasons[fault.status] ?? "",
    ...(fault.retryAfterSeconds !== undefined && { details: { retryAfterSeconds: fault.retryAfterSeconds } }),
    code: fault.status,
  };
}

type BodyFault = Extract<Fault, { kind: "error-event" | "cut-during" | "cut-after" | "silence" | "truncate" }>;

/** Lets so many bytes of a body through, then does what the fault says. An error event waits for the end of a line. */
class PartOfBody extends Transform {
  readonly #fault: BodyFault;
  readonly #reset: () => void;
  #left: number;
  #struck = false;
  #atLineStart = true;

  constructor(fault: BodyFault, bytes: number, reset: () => void) {
    super();
    this.#fault = fault;
    this.#left = bytes;
    this.#reset = reset;
  }

  begin(): void {
    if (this.#left === 0) this.#strike();
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    if (!this.#struck) {
      const part = this.#partOf(chunk);
      this.#left = Math.max(0, this.#left - chunk.length);
      if (part.length > 0) this.push(part);
      this.#atLineStart = part.length === 0 ? this.#atLineStart : part.at(-1) === 0x0a;
      if (this.#left === 0 && (this.#fault.kind !== "error-event" || this.#atLineStart)) this.#strike();
    }
    done();
  }

  override _flush(done: () => void): void {
    // An answer that was shorter than the fault allowed for ends as it is; one that went silent never does.
    if (!this.#struck || this.#fault.kind !== "silence") done();
  }

  #partOf(chunk: Buffer): Buffer {
    if (this.#fault.kind !== "error-event" || this.#left >= chunk.length) return chunk.subarray(0, this.#left);
    const lineEnd = chunk.indexOf(0x0a, this.#left);
    return lineEnd < 0 ? chunk : chunk.subarray(0, lineEnd + 1);
  }

  #strike(): void {
    if (this.#struck) return;
    this.#struck = true;
    switch (this.#fault.kind) {
      case "error-event":
        this.push(`${JSON.stringify({ type: "ERROR", object: statusOf(this.#fault) })}\n`);
        this.push(null);
        break;
      case "truncate":
        this.push(null);
        break;
      case "cut-during":
        this.#reset();
        break;
      default:
        break;
    }
  }
}
