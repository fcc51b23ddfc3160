import type { IncomingMessage } from "node:http";
import { Agent, request as httpsRequest } from "node:https";
import { isIP } from "node:net";
import type { Clock } from "@fleetwright/kube";
import { jsonProblem } from "../schema/json-syntax.ts";

/** Where a webhook is: `clientConfig` of webhook configurations and of conversion. */
export interface WebhookAddress {
  readonly url?: string | undefined;
  /** PEM in base64. @default what the machine trusts */
  readonly caBundle?: string | undefined;
  readonly service?:
    | {
        readonly namespace: string;
        readonly name: string;
        readonly path?: string | undefined;
        readonly port?: number | undefined;
      }
    | undefined;
}

/** Where a service's port really is; throws with upstream's words (`service "x" not found`). */
export type ResolveService = (service: {
  readonly namespace: string;
  readonly name: string;
  readonly port: number;
}) => { readonly host: string; readonly port: number };

export interface WebhookCallOptions {
  readonly timeoutSeconds: number;
  readonly signal: AbortSignal;
  readonly resolveService: ResolveService;
  readonly clock: Clock;
}

/** How reviews reach webhooks: {@link callWebhook}, or a simulation's way without a connection. */
export type WebhookCaller = (address: WebhookAddress, body: object, options: WebhookCallOptions) => Promise<unknown>;

/** Upstream reads at most this much of an answer. */
const maximumAnswerBytes = 3 * 1024 * 1024;

/** The call did not work out; the message is what comes after `failed to call webhook: `. */
export class WebhookCallFailure extends Error {
  override readonly name = "WebhookCallFailure";
}

/** Connections stay open between calls; a certificate authority has an agent of its own. */
const agents = new Map<string, Agent>();
const maximumAgents = 64;

function agentOf(caBundle: string, serverName: string): Agent {
  const key = `${serverName}\n${caBundle}`;
  const known = agents.get(key);
  if (known !== undefined) return known;
  if (agents.size >= maximumAgents) {
    for (const agent of agents.values()) agent.destroy();
    agents.clear();
  }
  const agent = new Agent({
    keepAlive: true,
    maxFreeSockets: 4,
    minVersion: "TLSv1.2",
    servername: serverName,
    ...(caBundle === "" ? {} : { ca: Buffer.from(caBundle, "base64") }),
  });
  agents.set(key, agent);
  return agent;
}

/**
 * Posts JSON to a webhook over HTTPS and reads its answer. Redirects are not followed; answers are bounded in size and time.
 *
 * @throws {WebhookCallFailure} with the text of Go's client
 */
export async function callWebhook(
  address: WebhookAddress,
  body: object,
  options: WebhookCallOptions,
): Promise<unknown> {
  const target = targetOf(address, options.timeoutSeconds);
  const text = `Post ${JSON.stringify(`https://${target.authority}${target.path}`)}`;
  let endpoint: Endpoint;
  try {
    endpoint = target.service === undefined ? target : options.resolveService(target.service);
  } catch (error) {
    throw new WebhookCallFailure(`${text}: ${error instanceof Error ? error.message : String(error)}`);
  }
  const { status, content } = await post(target, endpoint, address.caBundle ?? "", body, options).catch(
    (error: unknown) => {
      throw error instanceof WebhookCallFailure ? error : new WebhookCallFailure(`${text}: ${goText(error, endpoint)}`);
    },
  );
  if (status < 200 || status > 206) throw new WebhookCallFailure(refusedText(status, content));
  if (content === "") {
    throw new WebhookCallFailure(`0-length response with status code: ${status} and content type: application/json`);
  }
  const problem = jsonProblem(content);
  if (problem === undefined) return JSON.parse(content) as unknown;
  // Upstream reads what is no JSON as YAML, to which any words are a string.
  const shown = /^[\w .,!-]+$/.test(content)
    ? `json: cannot unmarshal string into Go value of type ${goType}`
    : problem;
  throw new WebhookCallFailure(`couldn't get version/kind; json parse error: ${shown}`);
}

const goType = String.raw`struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }`;

interface Endpoint {
  readonly host: string;
  readonly port: number;
}

interface Target extends Endpoint {
  /** As the URL has it: with the port of a service, which is written even when it is 443. */
  readonly authority: string;
  readonly path: string;
  readonly service?: { readonly namespace: string; readonly name: string; readonly port: number };
}

function targetOf({ url, service }: WebhookAddress, timeoutSeconds: number): Target {
  const timeout = `timeout=${timeoutSeconds}s`;
  if (service !== undefined) {
    const port = service.port ?? 443;
    const host = `${service.name}.${service.namespace}.svc`;
    const path = `/${(service.path ?? "").replace(/^\//, "")}`;
    return { host, port, authority: `${host}:${port}`, path: `${path}?${timeout}`, service: { ...service, port } };
  }
  let parsed: URL;
  try {
    parsed = new URL(url ?? "");
  } catch {
    throw new WebhookCallFailure(`Unparsable URL: ${url ?? ""}`);
  }
  return {
    host: parsed.hostname.replace(/^\[|\]$/g, ""),
    port: Number(parsed.port === "" ? 443 : parsed.port),
    authority: parsed.host,
    path: `${parsed.pathname}?${timeout}`,
  };
}

interface Answer {
  readonly status: number;
  readonly content: string;
}

function post(
  target: Target,
  endpoint: Endpoint,
  caBundle: string,
  body: object,
  { timeoutSeconds, signal, clock }: WebhookCallOptions,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const payload = Buffer.from(JSON.stringify(body));
    // A name is asked for; addresses have none.
    const serverName = isIP(target.host) === 0 ? target.host : "";
    const call = httpsRequest(
      {
        method: "POST",
        host: endpoint.host,
        port: endpoint.port,
        path: target.path,
        agent: agentOf(caBundle, serverName),
        headers: {
          host: target.authority,
          accept: "application/json, */*",
          "content-type": "application/json",
          "content-length": payload.length,
          "user-agent": "kube-apiserver-admission",
        },
      },
      (response) => {
        collect(response).then(finish, fail);
      },
    );
    const timer = clock.setTimer(timeoutSeconds * 1000, () => fail(new Error("context deadline exceeded")));
    const onAbort = () => fail(new Error("context canceled"));
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) onAbort();
    function settle(): void {
      timer.cancel();
      signal.removeEventListener("abort", onAbort);
    }
    function finish(answer: Answer): void {
      settle();
      resolve(answer);
    }
    function fail(error: unknown): void {
      settle();
      call.destroy();
      reject(error instanceof Error ? error : new Error(String(error)));
    }
    call.on("error", fail);
    call.end(payload);
  });
}

async function collect(response: IncomingMessage): Promise<Answer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > maximumAnswerBytes) {
      throw new WebhookCallFailure(`webhook response is larger than ${maximumAnswerBytes} bytes`);
    }
    chunks.push(chunk);
  }
  return { status: response.statusCode ?? 0, content: Buffer.concat(chunks).toString() };
}

const certificateTexts: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: "certificate has expired or is not yet valid",
  DEPTH_ZERO_SELF_SIGNED_CERT: "certificate signed by unknown authority",
  SELF_SIGNED_CERT_IN_CHAIN: "certificate signed by unknown authority",
  UNABLE_TO_GET_ISSUER_CERT: "certificate signed by unknown authority",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "certificate signed by unknown authority",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "certificate signed by unknown authority",
};

/** Errors of Node in Go's words. */
function goText(error: unknown, { host, port }: Endpoint): string {
  const { code = "", message = "" } = error as { code?: string; message?: string };
  const address = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
  switch (code) {
    case "ECONNREFUSED":
      return `dial tcp ${address}: connect: connection refused`;
    case "ENOTFOUND":
      return `dial tcp: lookup ${host}: no such host`;
    case "EHOSTUNREACH":
      return `dial tcp ${address}: connect: no route to host`;
    case "ECONNRESET":
      return "EOF";
    case "ERR_TLS_CERT_ALTNAME_INVALID":
      return `tls: failed to verify certificate: x509: ${message.replace(/^.*altnames: /s, "")}`;
    case "EPROTO":
      return message.includes("wrong version number") || message.includes("http request")
        ? "http: server gave HTTP response to HTTPS client"
        : `remote error: ${message}`;
    default:
      return Object.hasOwn(certificateTexts, code)
        ? `tls: failed to verify certificate: x509: ${certificateTexts[code] ?? ""}`
        : message;
  }
}

/** apimachinery's `NewGenericServerResponse`, as far as webhooks see it. */
function refusedText(status: number, content: string): string {
  const texts: Readonly<Record<number, string>> = {
    400: "the server rejected our request for an unknown reason",
    401: "the server has asked for the client to provide credentials",
    404: "the server could not find the requested resource",
    405: "the server does not allow this method on the requested resource",
    413: "Request entity too large: limit is 3145728",
    415: "the body of the request was in an unknown format - accepted media types include: ",
    429: "the server has received too many requests and has asked us to try again later",
    503: "the server is currently unable to handle the request",
    504: "the server was unable to return a response in the time allotted, but may still be processing the request",
  };
  const known = texts[status];
  if (known !== undefined) return known;
  if (status === 403) return content.trimEnd();
  if (status >= 500) {
    const shown = content.length > 2048 ? `${content.slice(0, 2048)}` : content;
    return `an error on the server (${JSON.stringify(shown === "" ? "unknown" : shown.trimEnd())}) has prevented the request from succeeding`;
  }
  return `the server responded with the status code ${status} but did not return more information`;
}
