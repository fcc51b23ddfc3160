import { Agent, request } from "node:https";
import type { IncomingMessage } from "node:http";
import { pipeline } from "node:stream/promises";
import { FleetwrightError } from "@fleetwright/kube";
import type { KeyPair } from "@fleetwright/kube";
import type { FailedDump } from "../core/verdict/refusal.ts";
import type { AgentCheckpoint } from "../node/agent-service.ts";
import type { LiveContainer, LiveProcessSummary } from "../node/containers.ts";
import type { NodeFacts } from "../node/node-facts.ts";
import type { Tombstone, UnreadableFile } from "../node/store.ts";
import type { RestoreDifference } from "../core/inspect/verify-restore.ts";

/** Where an agent is, and what its certificate must be for. */
export interface AgentAddress {
  readonly host: string;
  readonly port: number;
  /** The node's name: whoever took over its address does not have that certificate. */
  readonly nodeName: string;
}

export interface AgentListing {
  readonly checkpoints: readonly AgentCheckpoint[];
  readonly unreadable: readonly UnreadableFile[];
  readonly tombstones: readonly Tombstone[];
}

export interface AgentNode extends NodeFacts {
  readonly freeBytes: number;
  readonly totalBytes: number;
  /** Of the images on localhost. */
  readonly imagePort: number;
}

/** An agent's answer that is no success. */
export class AgentError extends FleetwrightError {
  readonly status: number;
  /** The agent's own code, such as `FW_CHECKPOINT_DISK`. */
  readonly reason: string;
  constructor(nodeName: string, status: number, reason: string, message: string) {
    super("FW_CHECKPOINT_AGENT", `agent of node "${nodeName}": ${message}`);
    this.status = status;
    this.reason = reason;
  }
}

/** What the manager asks of an agent. All throw FW_CHECKPOINT_AGENT, `AgentError` when the agent itself refused. */
export interface AgentClient {
  node(signal?: AbortSignal): Promise<AgentNode>;
  list(signal?: AbortSignal): Promise<AgentListing>;
  get(digest: string, signal?: AbortSignal): Promise<AgentCheckpoint | undefined>;
  verify(digest: string, signal?: AbortSignal): Promise<void>;
  remove(digest: string, reason: string, signal?: AbortSignal): Promise<boolean>;
  container(
    id: string,
    signal?: AbortSignal,
    options?: { readonly gpuMemory?: boolean },
  ): Promise<LiveContainer<LiveProcessSummary>>;
  /** After a dump that failed: CRIU's own words, and CUDA programs that it left locked go on. @param path of its log, as the engine told it */
  failedDump(id: string, path: string, signal?: AbortSignal): Promise<FailedDump>;
  verifyContainer(
    id: string,
    digest: string,
    signal?: AbortSignal,
  ): Promise<{ readonly running: boolean; readonly differences: readonly RestoreDifference[] }>;
  push(digest: string, target: object, signal?: AbortSignal): Promise<{ readonly reference: string }>;
  pull(source: object, signal?: AbortSignal): Promise<AgentCheckpoint>;
  /**
   * Whether the node's engine has an image (`onNode`; absent when it does not answer), or else finds it at its registry without credentials (`problem`: why not).
   *
   * @param names of the same image, first the one that the engine goes by
   */
  findImage(
    names: readonly string[],
    signal?: AbortSignal,
  ): Promise<{ readonly onNode?: boolean; readonly problem?: string }>;
  /** Streams an archive from this agent to another one. */
  copyTo(digest: string, target: AgentClient, signal?: AbortSignal): Promise<AgentCheckpoint>;
  /** For {@link copyTo}. */
  put(
    digest: string,
    size: number,
    host: string,
    bytes: IncomingMessage,
    signal?: AbortSignal,
  ): Promise<AgentCheckpoint>;
}

/** How the manager shows itself to agents; read anew for every call, so that it can be replaced. */
export type AgentIdentity = () => { readonly pair: KeyPair; readonly authority: string };

async function textOf(response: IncomingMessage): Promise<string> {
  let text = "";
  response.setEncoding("utf8");
  for await (const chunk of response) text += chunk as string;
  return text;
}

/** Speaks with one agent; keeps no connection open. */
export function createAgentClient(address: AgentAddress, identity: AgentIdentity): AgentClient {
  const { host, port, nodeName } = address;
  const call = (
    method: string,
    path: string,
    {
      body,
      headers = {},
      signal,
    }: {
      body?: Buffer | IncomingMessage;
      headers?: Record<string, string | number>;
      signal?: AbortSignal | undefined;
    } = {},
  ): Promise<IncomingMessage> =>
    new Promise((resolve, reject) => {
      const { pair, authority } = identity();
      const fail = (error: Error): void => {
        if (signal?.aborted) reject(signal.reason as Error);
        else
          reject(
            new FleetwrightError(
              "FW_CHECKPOINT_AGENT",
              `agent of node "${nodeName}" at ${host}:${port}: ${error.message}; see that "fleetwright agent" runs there with a certificate for "${nodeName}"`,
              { cause: error },
            ),
          );
      };
      const outgoing = request({
        host,
        port,
        servername: nodeName,
        method,
        path,
        headers,
        cert: pair.certificate,
        key: pair.key,
        ca: authority,
        agent: new Agent({ keepAlive: false }),
        ...(signal && { signal }),
      });
      outgoing.setTimeout(10_000, () => {
        // Only for a connection that never comes: an answer may take minutes.
        if (outgoing.socket?.connecting) outgoing.destroy(new Error("no connection within 10 s"));
      });
      outgoing.once("error", fail);
      outgoing.once("response", resolve);
      if (body === undefined || Buffer.isBuffer(body)) outgoing.end(body);
      else pipeline(body, outgoing).catch(fail);
    });
  const checked = async (response: IncomingMessage): Promise<IncomingMessage> => {
    if (response.statusCode === 200) return response;
    const text = await textOf(response);
    let answer: { readonly code?: string; readonly message?: string } = {};
    try {
      answer = JSON.parse(text) as typeof answer;
    } catch {
      // Something else answers there.
    }
    throw new AgentError(nodeName, response.statusCode ?? 0, answer.code ?? "", answer.message ?? text.slice(0, 200));
  };
  const json = async <T>(method: string, path: string, signal?: AbortSignal, value?: object): Promise<T> => {
    const body = value === undefined ? undefined : Buffer.from(JSON.stringify(value));
    const response = await checked(
      await call(method, path, {
        signal,
        ...(body && { body, headers: { "content-type": "application/json", "content-length": body.length } }),
      }),
    );
    return JSON.parse(await textOf(response)) as T;
  };
  return {
    node: (signal) => json("GET", "/v1/node", signal),
    list: (signal) => json("GET", "/v1/checkpoints", signal),
    async get(digest, signal) {
      try {
        return await json<AgentCheckpoint>("GET", `/v1/checkpoints/${digest}`, signal);
      } catch (error) {
        if (error instanceof AgentError && error.status === 404) return undefined;
        throw error;
      }
    },
    async verify(digest, signal) {
      await json("POST", `/v1/checkpoints/${digest}/verify`, signal, {});
    },
    async remove(digest, reason, signal) {
      const path = `/v1/checkpoints/${digest}?reason=${encodeURIComponent(reason)}`;
      return (await json<{ deleted: boolean }>("DELETE", path, signal)).deleted;
    },
    container: (id, signal, { gpuMemory = false } = {}) =>
      json("GET", `/v1/containers/${id}${gpuMemory ? "?gpuMemory=true" : ""}`, signal),
    failedDump: (id, path, signal) => json("POST", `/v1/containers/${id}/failed-dump`, signal, { path }),
    verifyContainer: (id, digest, signal) => json("POST", `/v1/containers/${id}/verify`, signal, { digest }),
    push: (digest, target, signal) => json("POST", `/v1/checkpoints/${digest}/push`, signal, target),
    pull: (source, signal) => json("POST", "/v1/pull", signal, source),
    findImage: (names, signal) => json("POST", "/v1/images/find", signal, { names }),
    async copyTo(digest, target, signal) {
      const response = await checked(await call("GET", `/v1/checkpoints/${digest}/archive`, { signal }));
      try {
        const { "content-length": size, "x-fleetwright-host": from } = response.headers;
        return await target.put(digest, Number(size), String(from), response, signal);
      } finally {
        response.destroy();
      }
    },
    async put(digest, size, from, bytes, signal) {
      const headers = { "content-length": size, "x-fleetwright-host": from };
      const response = await checked(await call("PUT", `/v1/checkpoints/${digest}`, { body: bytes, headers, signal }));
      return JSON.parse(await textOf(response)) as AgentCheckpoint;
    },
  };
}
