import { createReadStream } from "node:fs";
import { createServer } from "node:https";
import type { Server } from "node:https";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { createSecureContext } from "node:tls";
import type { PeerCertificate, TLSSocket } from "node:tls";
import { pipeline } from "node:stream/promises";
import { FleetwrightError } from "@fleetwright/kube";
import type { Clock, KeyPair, Logger } from "@fleetwright/kube";
import { openImages } from "../core/inspect/image-set.ts";
import { readProcesses } from "../core/inspect/processes.ts";
import { readMounts, readStatistics } from "../core/inspect/summary.ts";
import type { HostFacts } from "../core/image/annotations.ts";
import type { FailedDump } from "../core/verdict/refusal.ts";
import { openArchiveFile } from "./archive-file.ts";
import { readLiveContainer, summarizeContainer } from "./containers.ts";
import { leavesLocked, unlockCuda } from "./cuda-locks.ts";
import { readDumpErrors } from "./dump-log.ts";
import { readGpuMemory } from "./nvidia.ts";
import { imageOf } from "./store.ts";
import type { CheckpointStore, StoredCheckpoint } from "./store.ts";
import { verifyContainer } from "./verify-container.ts";

/** Organizations (`O`) of client certificates, and what they may. */
export const agentGroups = {
  /** List, verify, take in, push, pull and delete checkpoints; see what containers run. */
  manage: "fleetwright:checkpoints",
  /** Read what is in them: memory, environments, files. */
  contents: "fleetwright:checkpoint-contents",
} as const;

/** One line of the audit log. */
export interface AuditEntry {
  readonly time: string;
  /** The certificate's common name. */
  readonly user: string;
  readonly method: string;
  readonly path: string;
  readonly status: number;
  /** Bytes of an archive that were given away. */
  readonly contentBytes?: number;
}

/** What an agent tells of a checkpoint: never what is in it. */
export interface AgentCheckpoint extends StoredCheckpoint {
  /** Digest of the engine image's manifest. */
  readonly image: string;
}

export interface AgentServiceOptions {
  readonly store: CheckpointStore;
  readonly node: () => Promise<unknown>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly audit: (entry: AuditEntry) => void;
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** What else is served under `/v1/`, by method and path: for who may manage. */
  readonly routes?: readonly AgentRoute[];
}

/** @param body of the request, when it is JSON */
export interface AgentRoute {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  readonly path: RegExp;
  readonly right: keyof typeof agentGroups;
  handle(call: AgentCall): Promise<unknown>;
}

export interface AgentCall {
  /** The groups of the path's expression. */
  readonly parts: readonly string[];
  readonly query: URLSearchParams;
  readonly user: string;
  readonly may: (right: keyof typeof agentGroups) => boolean;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly signal: AbortSignal;
  json(): Promise<Readonly<Record<string, unknown>>>;
}

/** Mutual TLS before all else: a peer without a certificate of the agents' authority does not even get to HTTP. */
export interface AgentService {
  readonly port: number;
  /** New connections get these; those that are open go on. */
  setCertificate(pair: KeyPair, clientAuthority: string): void;
  close(): Promise<void>;
}

/** An answer other than 200. */
export class AgentRefusal extends Error {
  readonly status: number;
  readonly code: string;
  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

const maxJsonBytes = 1024 * 1024;
/** What each error of ours is over HTTP; others are 500. */
const statusOf: Readonly<Record<string, number>> = {
  FW_CHECKPOINT_DISK: 507,
  FW_CHECKPOINT_DIGEST: 422,
  FW_CHECKPOINT_ARCHIVE: 422,
  FW_CHECKPOINT_IMAGE: 422,
  FW_CHECKPOINT_LIMIT: 413,
};

const organizations = (certificate: PeerCertificate): readonly string[] => {
  const { O: organization } = certificate.subject as { O?: string | readonly string[] };
  return organization === undefined ? [] : typeof organization === "string" ? [organization] : organization;
};

const withImage = (checkpoint: StoredCheckpoint): AgentCheckpoint => ({
  ...checkpoint,
  image: imageOf(checkpoint).manifest.digest,
});

const digestPath = "(sha256:[0-9a-f]{64})";

function storeRoutes({ store, node, clock }: AgentServiceOptions): readonly AgentRoute[] {
  const required = async (digest = "") => {
    const found = await store.find(digest);
    if (!found) throw new AgentRefusal(404, "NotFound", `no checkpoint ${digest} in ${store.directory}`);
    return found;
  };
  return [
    { method: "GET", path: /^\/v1\/node$/, right: "manage", handle: node },
    {
      method: "GET",
      path: /^\/v1\/checkpoints$/,
      right: "manage",
      async handle() {
        const { checkpoints, ...rest } = await store.list();
        return { ...rest, checkpoints: checkpoints.map(withImage) };
      },
    },
    {
      method: "GET",
      path: new RegExp(`^/v1/checkpoints/${digestPath}$`),
      right: "manage",
      handle: async ({ parts: [digest] }) => withImage((await required(digest)).checkpoint),
    },
    {
      method: "PUT",
      path: new RegExp(`^/v1/checkpoints/${digestPath}$`),
      right: "manage",
      async handle({ parts: [digest = ""], request }) {
        const size = Number(request.headers["content-length"]);
        if (!Number.isSafeInteger(size))
          throw new AgentRefusal(411, "LengthRequired", "an archive is sent with its Content-Length");
        const host = hostOf(request.headers["x-fleetwright-host"]);
        return withImage(await store.receive({ digest, size, host }, request as AsyncIterable<Uint8Array>));
      },
    },
    {
      method: "DELETE",
      path: new RegExp(`^/v1/checkpoints/${digestPath}$`),
      right: "manage",
      async handle({ parts: [digest = ""], query, user }) {
        const deleted = await store.remove(digest, `${user}: ${query.get("reason") ?? "no reason given"}`);
        return { deleted };
      },
    },
    {
      method: "POST",
      path: new RegExp(`^/v1/checkpoints/${digestPath}/verify$`),
      right: "manage",
      async handle({ parts: [digest = ""] }) {
        const { checkpoint } = await required(digest);
        await store.verify(checkpoint.file, digest);
        return { digest, verified: true };
      },
    },
    {
      method: "GET",
      path: new RegExp(`^/v1/checkpoints/${digestPath}/archive$`),
      right: "contents",
      async handle({ parts: [digest], response }) {
        const { checkpoint, path } = await required(digest);
        response.setHeader("content-type", "application/x-tar");
        response.setHeader("content-length", checkpoint.layer.size);
        response.setHeader("x-fleetwright-host", JSON.stringify(checkpoint.host));
        await pipeline(createReadStream(path, { highWaterMark: 1024 * 1024 }), response);
        return undefined;
      },
    },
    {
      method: "GET",
      path: new RegExp(`^/v1/checkpoints/${digestPath}/inspect$`),
      right: "manage",
      async handle({ parts: [digest], query, may }) {
        const contents = query.get("contents") === "true";
        if (contents && !may("contents"))
          throw new AgentRefusal(
            403,
            "Forbidden",
            `reading commands' arguments and environments needs a certificate with the organization ${agentGroups.contents}`,
          );
        const { path } = await required(digest);
        await using archive = await openArchiveFile(path, { workDirectory: store.directory });
        const images = openImages(archive.images);
        return {
          metadata: archive.metadata,
          sizes: archive.sizes,
          processes: await readProcesses(images, { commandLines: contents, environments: contents }),
          mounts: await readMounts(images),
          statistics: await readStatistics(images),
          problems: images.problems,
        };
      },
    },
    {
      method: "GET",
      path: /^\/v1\/containers\/([0-9a-f]{64})$/,
      right: "manage",
      handle: async ({ parts: [id = ""], query }) =>
        summarizeContainer(
          await readLiveContainer(id, { gpuMemory: query.get("gpuMemory") === "true" ? readGpuMemory : undefined }),
        ),
    },
    {
      method: "POST",
      path: /^\/v1\/containers\/([0-9a-f]{64})\/failed-dump$/,
      right: "manage",
      async handle({ parts: [id = ""], json }) {
        const path = (await json())["path"];
        const errors = typeof path === "string" ? await readDumpErrors(id, path) : [];
        return { errors, ...(leavesLocked(errors) && (await unlockCuda(id))) } satisfies FailedDump;
      },
    },
    {
      method: "POST",
      path: /^\/v1\/containers\/([0-9a-f]{64})\/verify$/,
      right: "manage",
      async handle({ parts: [id = ""], json }) {
        const digest = (await json())["digest"];
        const { path } = await required(typeof digest === "string" ? digest : "");
        await using archive = await openArchiveFile(path, { workDirectory: store.directory });
        return await verifyContainer(openImages(archive.images), () => readLiveContainer(id), clock);
      },
    },
  ];
}

function hostOf(header: string | readonly string[] | undefined): HostFacts {
  try {
    const host = JSON.parse(typeof header === "string" ? header : "") as HostFacts;
    if (typeof host.architecture === "string") return host;
  } catch {
    // Told below.
  }
  throw new AgentRefusal(
    400,
    "BadRequest",
    "X-Fleetwright-Host must be the JSON of the host that the archive was taken on",
  );
}

async function readJson(request: IncomingMessage): Promise<Readonly<Record<string, unknown>>> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxJsonBytes) throw new AgentRefusal(413, "TooLarge", `the body is larger than ${maxJsonBytes} bytes`);
    chunks.push(chunk);
  }
  try {
    const value: unknown = JSON.parse(Buffer.concat(chunks).toString("utf8") || "{}");
    if (typeof value === "object" && value !== null && !Array.isArray(value))
      return value as Readonly<Record<string, unknown>>;
  } catch {
    // Told below.
  }
  throw new AgentRefusal(400, "BadRequest", "the body must be a JSON object");
}

/**
 * Starts the agent's service: JSON over HTTPS with client certificates. Every call is told to `audit`, refused ones too.
 * Errors are `{"code", "message"}`.
 */
export async function startAgentService(
  options: AgentServiceOptions,
  pair: KeyPair,
  clientAuthority: string,
): Promise<AgentService> {
  const { clock, logger, audit } = options;
  const routes = [...storeRoutes(options), ...(options.routes ?? [])];
  const answer = async (
    request: IncomingMessage,
    response: ServerResponse,
    user: string,
    groups: readonly string[],
  ) => {
    const { pathname, searchParams } = new URL(request.url ?? "/", "https://agent");
    const matching = routes.filter(({ path }) => path.test(pathname));
    const route = matching.find(({ method }) => method === request.method);
    if (matching.length === 0) throw new AgentRefusal(404, "NotFound", `nothing is served under ${pathname}`);
    if (!route)
      throw new AgentRefusal(
        405,
        "MethodNotAllowed",
        `${pathname} takes ${matching.map(({ method }) => method).join(", ")}`,
      );
    const may = (right: keyof typeof agentGroups): boolean => groups.includes(agentGroups[right]);
    if (!may(route.right))
      throw new AgentRefusal(
        403,
        "Forbidden",
        `${user} needs a certificate with the organization ${agentGroups[route.right]}`,
      );
    const gone = new AbortController();
    response.once("close", () => gone.abort());
    const parts = [...(route.path.exec(pathname) ?? [])].slice(1);
    const json = () => readJson(request);
    const result = await route.handle({
      parts,
      query: searchParams,
      user,
      may,
      request,
      response,
      signal: gone.signal,
      json,
    });
    if (result === undefined) return;
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify(result));
  };
  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const certificate = (request.socket as TLSSocket).getPeerCertificate();
    const user = String(certificate.subject.CN);
    try {
      await answer(request, response, user, organizations(certificate));
    } catch (error) {
      if (response.headersSent) response.destroy();
      else {
        const refusal = error instanceof AgentRefusal ? error : undefined;
        const code = refusal?.code ?? (error instanceof FleetwrightError ? error.code : "InternalError");
        const status = refusal?.status ?? statusOf[code] ?? 500;
        if (status === 500) logger.error({ error, path: request.url }, "an agent's call failed");
        response.writeHead(status, { "content-type": "application/json", connection: "close" });
        response.end(JSON.stringify({ code, message: error instanceof Error ? error.message : String(error) }));
      }
    }
    const contents = request.url?.endsWith("/archive") === true && response.statusCode === 200;
    audit({
      time: new Date(clock.now()).toISOString(),
      user,
      method: request.method ?? "",
      path: request.url ?? "",
      status: response.statusCode,
      ...(contents ? { contentBytes: Number(response.getHeader("content-length") ?? 0) } : {}),
    });
  };
  const secure = (keys: KeyPair, ca: string) => ({
    cert: keys.certificate,
    key: keys.key,
    ca,
    requestCert: true,
    rejectUnauthorized: true,
  });
  createSecureContext(secure(pair, clientAuthority));
  const server: Server = createServer(
    { ...secure(pair, clientAuthority), minVersion: "TLSv1.3", requestTimeout: 0 },
    (request, response) => {
      void handle(request, response);
    },
  );
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port, options.host, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    setCertificate: (keys, ca) => server.setSecureContext(secure(keys, ca)),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
