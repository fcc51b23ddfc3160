import { isIPv4 } from "node:net";
import { Readable } from "node:stream";
import { getCACertificates } from "node:tls";
import { systemClock, systemRandom } from "@fleetwright/kube";
import type { Clock, Random } from "@fleetwright/kube";
import { Agent } from "undici";
import type { Dispatcher } from "undici";
import { createAuthorizer } from "./authorization.ts";
import type { Scopes } from "./authorization.ts";
import { anonymous } from "./docker-config.ts";
import type { FindCredential } from "./docker-config.ts";
import { answerError, connectionError, RegistryError, registryLies } from "./registry-error.ts";
import { startRetries } from "./retries.ts";
import type { Retries, RetryPolicy } from "./retries.ts";

export interface ConnectionOptions {
  /** `host` or `host:port`. */
  readonly registry: string;
  /** @default none */
  readonly credentials?: FindCredential;
  /** PEM of a certificate authority, trusted beside the machine's. */
  readonly ca?: string | undefined;
  /** HTTP without TLS: passwords and memory go over the network as they are. @default only to loopback addresses, and not with `ca` */
  readonly plainHttp?: boolean;
  readonly retries?: RetryPolicy;
  /** Connections at once. @default 8 */
  readonly connections?: number;
  /** How long a connection may be silent; ten times as long after a PUT, when the registry checks what it got. @default 60_000 */
  readonly idleTimeoutMs?: number;
  readonly clock?: Clock;
  readonly random?: Random;
}

export interface RegistryCall {
  readonly method: "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** A path below `/v2/`, or an address that the registry gave. */
  readonly to: string | URL;
  /** Whose credentials. */
  readonly repository: string;
  readonly scopes: Scopes;
  readonly headers?: Readonly<Record<string, string>>;
  /** A stream is read once: a call with one is never repeated here. */
  readonly body?: Uint8Array | AsyncIterable<Uint8Array>;
  /** The answers that are no errors. */
  readonly expect: readonly number[];
  readonly signal?: AbortSignal | undefined;
}

export interface RegistryAnswer {
  /** Where it came from, after redirects. */
  readonly url: URL;
  readonly status: number;
  /** By name in small letters. */
  readonly headers: Readonly<Record<string, string>>;
  /** Must be read to its end, or left early, or {@link dropBody dropped}. */
  readonly body: Dispatcher.ResponseData["body"];
}

/** Nothing is expected of a body: a little is read, so that the connection can be used again; one that does not end breaks it. */
export const dropBody = ({ body }: RegistryAnswer): void => void body.dump().catch(() => undefined);

/** HTTP with one registry: authorized, and repeated when that may help. */
export interface RegistryConnection {
  readonly registry: string;
  /** One call, without repeating it but after a 401. Throws {@link RegistryError} for any answer that was not expected. */
  once(call: RegistryCall): Promise<RegistryAnswer>;
  /** The same, repeated while its failures may pass. */
  call(call: RegistryCall): Promise<RegistryAnswer>;
  /** For work that repeats its calls itself. */
  retries(signal?: AbortSignal): Retries;
  /** An address that the registry gave: relative to `base`, and never from TLS to plain text. */
  resolve(location: string | undefined, base: URL, what: string): URL;
  close(): Promise<void>;
}

const isLoopback = (hostname: string): boolean =>
  hostname === "localhost" || hostname === "[::1]" || (isIPv4(hostname) && hostname.startsWith("127."));

/** An error's text is short, and so is a token. */
const smallBodyBytes = 256 * 1024;

/** The first bytes of a body as text; the rest is not read. */
async function smallBody(body: Readable): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    size += chunk.length;
    if (size > smallBodyBytes) break;
  }
  return Buffer.concat(chunks).toString("utf8");
}

interface Sent {
  readonly method: RegistryCall["method"];
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array | AsyncIterable<Uint8Array> | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Without its query, which may hold a signature or a state. */
const describe = ({ method, url }: { readonly method: string; readonly url: URL }): string =>
  `${method} ${url.origin}${url.pathname}`;

const isStream = (body: Sent["body"]): body is AsyncIterable<Uint8Array> =>
  body !== undefined && typeof body !== "string" && !(body instanceof Uint8Array);

/** A body's stream, which remembers what its source threw: a broken connection is thrown into the stream as well. */
function watched(body: AsyncIterable<Uint8Array>): {
  readonly stream: Readable;
  failure?: { readonly error: unknown };
} {
  const read = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
    const iterator = body[Symbol.asyncIterator]();
    try {
      for (;;) {
        let next: IteratorResult<Uint8Array>;
        try {
          next = await iterator.next();
        } catch (error) {
          source.failure = { error };
          throw error;
        }
        if (next.done === true) return;
        yield next.value;
      }
    } finally {
      await iterator.return?.();
    }
  };
  const source: ReturnType<typeof watched> = { stream: Readable.from(read(), { objectMode: false }) };
  return source;
}

const maxRedirects = 5;

/** Opens no connection until it is used. */
export function openConnection(options: ConnectionOptions): RegistryConnection {
  const { registry, credentials = anonymous, ca, retries: policy = {}, idleTimeoutMs = 60_000 } = options;
  const { clock = systemClock, random = systemRandom } = options;
  const { hostname } = new URL(`http://${registry}`);
  const plainHttp = options.plainHttp ?? (ca === undefined && isLoopback(hostname));
  const root = new URL(`${plainHttp ? "http" : "https"}://${registry}/v2/`);
  const agent = new Agent({
    connections: options.connections ?? 8,
    allowH2: false,
    pipelining: 1,
    bodyTimeout: idleTimeoutMs,
    connect: { timeout: 10_000, ...(ca === undefined ? {} : { ca: [...getCACertificates("default"), ca] }) },
  });
  const mayAsk = (url: URL): boolean =>
    url.protocol === "https:" ||
    (url.protocol === "http:" && (plainHttp || (isLoopback(hostname) && isLoopback(url.hostname))));

  const resolve: RegistryConnection["resolve"] = (location, base, what) => {
    if (location === undefined || !URL.canParse(location, base.href))
      throw registryLies(`${what}: gave no usable Location`);
    const url = new URL(location, base);
    if (!mayAsk(url)) throw registryLies(`${what}: points to ${url.origin}, which is not reached by TLS`);
    return url;
  };

  /** One exchange. What the source of a body throws is thrown as it is: that is no failure of the registry. */
  const send = async ({ method, url, headers, body, signal }: Sent): Promise<RegistryAnswer> => {
    const source = isStream(body) ? watched(body) : undefined;
    try {
      const answer = await agent.request({
        origin: url.origin,
        path: `${url.pathname}${url.search}`,
        method,
        headers: { "user-agent": "fleetwright", "accept-encoding": "identity", ...headers },
        body: source?.stream ?? (isStream(body) ? null : (body ?? null)),
        signal: signal ?? null,
        headersTimeout: method === "PUT" ? 10 * idleTimeoutMs : idleTimeoutMs,
      });
      const flat = Object.entries(answer.headers).flatMap(([name, value]) =>
        value === undefined ? [] : [[name.toLowerCase(), Array.isArray(value) ? value.join(", ") : value]],
      );
      // A body that breaks before anyone reads it must not end the process.
      answer.body.on("error", () => undefined);
      return {
        url,
        status: answer.statusCode,
        headers: Object.fromEntries(flat) as Record<string, string>,
        body: answer.body,
      };
    } catch (error) {
      if (source?.failure !== undefined) throw source.failure.error;
      if (signal?.aborted) throw signal.reason;
      throw connectionError(describe({ method, url }), error);
    }
  };

  const authorizer = createAuthorizer({
    registry,
    credentials,
    clock,
    mayAsk,
    async ask(call) {
      for (const retries = startRetries(policy, { clock, random }); ;) {
        try {
          const { status, headers, body } = await send(call);
          const text = await smallBody(body).catch((cause: unknown) => {
            throw connectionError(describe(call), cause);
          });
          const error = answerError(
            describe(call),
            { status, body: text, retryAfter: headers["retry-after"] },
            clock.now(),
          );
          if (status < 400 || !error.transient) return { status, body: text };
          throw error;
        } catch (error) {
          await retries.pause(error);
        }
      }
    },
  });

  const once = async (call: RegistryCall): Promise<RegistryAnswer> => {
    const { method, repository, scopes, signal, body } = call;
    let url = typeof call.to === "string" ? new URL(call.to, root) : call.to;
    let header = url.origin === root.origin ? await authorizer.header(repository, scopes) : undefined;
    let renewed = false;
    for (let redirects = 0; ;) {
      // Credentials are for the registry, not for the storage that it sends us to.
      const own = url.origin === root.origin;
      const headers = { ...call.headers, ...(own && header !== undefined ? { authorization: header } : {}) };
      const answer = await send({ method, url, headers, body, signal });
      const { status } = answer;
      if (call.expect.includes(status)) return answer;
      const what = describe({ method, url });
      const isRead = method === "GET" || method === "HEAD";
      if (isRead && [301, 302, 303, 307, 308].includes(status)) {
        dropBody(answer);
        if (++redirects > maxRedirects) throw registryLies(`${what}: redirected more than ${maxRedirects} times`);
        url = resolve(answer.headers["location"], url, what);
        continue;
      }
      const text = await smallBody(answer.body).catch(() => "");
      const error = answerError(what, { status, body: text, retryAfter: answer.headers["retry-after"] }, clock.now());
      if (status !== 401 || !own || renewed) throw error;
      renewed = true;
      const challenge = answer.headers["www-authenticate"] ?? "";
      header = await authorizer.renew(repository, scopes, { challenge, refused: header });
      if (header === undefined) throw error;
      // A stream has been read: whoever opened it must do so again, with the new token.
      if (isStream(body))
        throw new RegistryError("FW_CHECKPOINT_REGISTRY_REFUSED", error.message, {
          status,
          transient: true,
        });
    }
  };

  const retries = (signal?: AbortSignal): Retries => startRetries(policy, { clock, random, signal });
  return {
    registry,
    once,
    retries,
    resolve,
    async call(call) {
      for (const attempts = retries(call.signal); ;) {
        try {
          return await once(call);
        } catch (error) {
          await attempts.pause(error);
        }
      }
    },
    close: () => agent.destroy(),
  };
}
