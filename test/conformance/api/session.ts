import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { Agent, request as httpsRequest } from "node:https";
import type { IncomingMessage } from "node:http";
import { text } from "node:stream/consumers";
import { sleep, systemClock } from "@fleetwright/kube";
import type { Answer, Caller, Request, Scenario, Session, WatchOptions } from "./scenario.ts";
import type { TestServer } from "./servers.ts";

/** What was seen before normalisation. */
export interface RawExchange {
  readonly request: string;
  readonly status?: number;
  readonly headers?: Answer["headers"];
  readonly body?: unknown;
  readonly events?: readonly unknown[];
  readonly stdout?: string;
  readonly stderr?: string;
  readonly exitCode?: number | null;
  /** Set the stage: its revisions are ranked, but it is not recorded. */
  readonly hidden?: boolean;
}

/** Where scenarios are run. */
export interface Stage {
  readonly server: TestServer;
  readonly kubectl: string | undefined;
  /** kubectl's home: its caches must not outlive a server. */
  readonly home: string;
  readonly agent: Agent;
}

const watchTimeoutMs = 2500;
const answerTimeoutMs = 30_000;

/** The connections of one run. */
export function createAgent(server: TestServer): Agent {
  return new Agent({
    keepAlive: true,
    maxSockets: 16,
    ca: server.caCertificate,
    cert: server.certificate,
    key: server.key,
  });
}

/** Runs one scenario; answers what was exchanged, and the revision before its first request. */
export async function play(
  stage: Stage,
  scenario: Scenario,
): Promise<{ readonly exchanges: readonly RawExchange[]; readonly baseRevision: number }> {
  const exchanges: RawExchange[] = [];
  const unique = `c${createHash("sha256").update(`${scenario.area}/${scenario.name}`).digest("hex").slice(0, 8)}`;
  const given: Session["given"] = async (method, path, body, headers) => {
    const answer = await exchange(stage, method, path, { body, ...(headers && { headers }) });
    if (answer.status >= 300)
      throw new Error(`${scenario.area}: ${scenario.name}: ${method} ${path}: ${JSON.stringify(answer.body)}`);
    exchanges.push({ request: `${method} ${path}`, body: answer.body, hidden: true });
    return answer;
  };
  const session: Session = {
    namespace: unique,
    unique,
    given,
    settled: (path) => untilAtRest(stage, path),
    served: (path, status) => untilStatus(stage, path, status),
    pause: (durationMs) => sleep(systemClock, durationMs),
    send: async (method, path, request = {}) => {
      const answer = await exchange(stage, method, path, request);
      const body = request.pick === undefined ? answer.body : request.pick(answer.body);
      exchanges.push({ request: describeRequest(method, path, request), ...answer, body });
      return answer;
    },
    watch: async (path, options) => {
      exchanges.push(await collect(stage, path, options));
    },
    kubectl: async (args, input) => {
      exchanges.push(await runKubectl(stage, unique, args, input));
    },
  };
  await given("POST", "/api/v1/namespaces", { metadata: { name: unique } });
  const account = { metadata: { name: "default" } };
  const { body } = await given("POST", `/api/v1/namespaces/${unique}/serviceaccounts`, account);
  const { metadata } = body as { readonly metadata: { readonly resourceVersion: string } };
  await scenario.run(session);
  return { exchanges, baseRevision: Number(metadata.resourceVersion) };
}

/** Until three reads in a row, 60 ms apart, say the same revision (or that there is nothing). */
async function untilAtRest(stage: Stage, path: string): Promise<void> {
  let last: string | undefined;
  for (let same = 0, tries = 0; same < 3; tries++) {
    const { status, body } = await exchange(stage, "GET", path, {});
    const { metadata } = (body ?? {}) as { readonly metadata?: { readonly resourceVersion?: string } };
    const now = `${status} ${metadata?.resourceVersion}`;
    same = now === last ? same + 1 : 0;
    last = now;
    if (tries > 100) throw new Error(`${path} did not come to rest: ${now}`);
    if (same < 3) await sleep(systemClock, 60);
  }
}

async function untilStatus(stage: Stage, path: string, status: number): Promise<void> {
  for (let tries = 0; ; tries++) {
    const answer = await exchange(stage, "GET", path, {});
    if (answer.status === status) return;
    if (tries === 200) throw new Error(`GET ${path} is answered with ${answer.status}, never with ${status}`);
    await sleep(systemClock, 50);
  }
}

const callerName = (caller: Caller): string =>
  typeof caller === "string" ? caller : "token" in caller ? "token" : caller.user;

function describeRequest(method: string, path: string, { as, headers }: Request): string {
  const type = headers?.["content-type"];
  return `${method} ${path}${type === undefined ? "" : ` (${type})`}${as === undefined ? "" : ` as ${callerName(as)}`}`;
}

function headersOf({ as = "admin", headers = {}, body }: Request): Record<string, string | string[]> {
  const identity: Record<string, string | string[]> =
    typeof as === "string"
      ? {}
      : "token" in as
        ? { authorization: `Bearer ${as.token}` }
        : { "impersonate-user": as.user, ...(as.groups && { "impersonate-group": [...as.groups] }) };
  return {
    accept: "application/json",
    ...(body !== undefined && { "content-type": "application/json" }),
    ...identity,
    ...headers,
  };
}

/** Only the administrator shows the certificate, under whose name others are impersonated. */
const showsCertificate = (as: Caller = "admin"): boolean =>
  as !== "anonymous" && !(typeof as === "object" && "token" in as);

function open(stage: Stage, method: string, path: string, request: Request): Promise<IncomingMessage> {
  const { server } = stage;
  return new Promise((resolve, reject) => {
    const content = request.raw ?? (request.body === undefined ? undefined : JSON.stringify(request.body));
    const headers = headersOf(request);
    if (content !== undefined) headers["content-length"] = String(Buffer.byteLength(content));
    const outgoing = httpsRequest(`${server.url}${path}`, {
      method,
      headers,
      timeout: answerTimeoutMs,
      ...(showsCertificate(request.as) ? { agent: stage.agent } : { agent: false, ca: server.caCertificate }),
    });
    outgoing.once("response", resolve);
    outgoing.once("timeout", () =>
      outgoing.destroy(new Error(`${method} ${path}: no answer in ${answerTimeoutMs} ms`)),
    );
    outgoing.once("error", reject);
    outgoing.end(content);
  });
}

async function exchange(stage: Stage, method: string, path: string, request: Request): Promise<Answer> {
  const response = await open(stage, method, path, request);
  const content = await text(response);
  return { status: response.statusCode ?? 0, headers: response.headers, body: parsed(content) };
}

function parsed(content: string): unknown {
  if (content === "") return undefined;
  try {
    return JSON.parse(content) as unknown;
  } catch {
    return content;
  }
}

async function collect(stage: Stage, path: string, options: WatchOptions): Promise<RawExchange> {
  const request = describeRequest("GET", path, options);
  const response = await open(stage, "GET", path, options);
  const { statusCode: status = 0, headers } = response;
  if (status !== 200 || !path.includes("watch")) {
    await options.during?.();
    return { request, status, headers, body: parsed(await text(response)) };
  }
  const events: unknown[] = [];
  let rest = "";
  const done = new Promise<void>((resolve) => {
    response.setEncoding("utf8");
    response.on("data", (chunk: string) => {
      const lines = (rest + chunk).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) if (events.length < options.events) events.push(parsed(line));
      if (events.length >= options.events) resolve();
    });
    response.once("close", () => resolve());
    response.once("error", () => resolve());
  });
  await options.during?.();
  const enough = new AbortController();
  await Promise.race([done, sleep(systemClock, watchTimeoutMs, enough.signal).catch(() => undefined)]);
  enough.abort();
  response.destroy();
  if (events.length < options.events) events.push(`<${options.events - events.length} more never came>`);
  return { request, status, headers, events };
}

function runKubectl(stage: Stage, namespace: string, args: readonly string[], input = ""): Promise<RawExchange> {
  if (stage.kubectl === undefined) throw new Error("kubectl is missing: run `make kubernetes`");
  const program = stage.kubectl;
  const shown = args.join(" ");
  const all = ["--kubeconfig", stage.server.kubeconfigPath, "--namespace", namespace, ...args];
  const env = {
    HOME: stage.home,
    PATH: process.env["PATH"],
    KUBECACHEDIR: `${stage.home}/cache`,
    TZ: "UTC",
    LC_ALL: "C",
  };
  return new Promise((resolve) => {
    const child = execFile(program, all, { env, timeout: 60_000, maxBuffer: 1 << 26 }, (error, stdout, stderr) => {
      const exitCode = error === null ? 0 : typeof error.code === "number" ? error.code : null;
      resolve({ request: `kubectl ${shown}`, exitCode, stdout, stderr });
    });
    child.stdin?.end(input);
  });
}
