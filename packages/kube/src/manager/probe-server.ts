import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Registry } from "prom-client";
import { FleetwrightError } from "../core/errors.ts";
import type { Logger } from "../core/logger.ts";
import { runChecks, type Check } from "./checks.ts";

/** What one address serves; what is absent is 404. */
export interface ProbeRoutes {
  readonly healthz?: ReadonlyMap<string, Check>;
  readonly readyz?: ReadonlyMap<string, Check>;
  readonly metrics?: Registry;
}

export interface ProbeServer {
  readonly port: number;
  close(): Promise<void>;
}

/**
 * Serves probes and metrics over plain HTTP.
 *
 * @param address `host:port` or `:port`; port 0 takes a free one
 * @throws FleetwrightError `FW_PROBE_LISTEN` when the address is unreadable or taken
 */
export async function startProbeServer(address: string, routes: ProbeRoutes, logger: Logger): Promise<ProbeServer> {
  const { host, port } = parseAddress(address);
  const server = createServer((request, response) => {
    serve(routes, request, response, logger).catch((error: unknown) => {
      logger.error({ error, url: request.url }, "a probe could not be answered");
      response.writeHead(500).end();
    });
  });
  await listen(server, host, port, address);
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function parseAddress(address: string): { readonly host: string; readonly port: number } {
  const colon = address.lastIndexOf(":");
  const port = Number(address.slice(colon + 1));
  if (colon < 0 || address.endsWith(":") || !Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new FleetwrightError(
      "FW_PROBE_LISTEN",
      `bind address ${JSON.stringify(address)} is not host:port; write for example "127.0.0.1:8081", ":8081", or "0" for off`,
    );
  }
  // Without a host Node listens on all addresses of both families.
  return { host: address.slice(0, colon).replace(/^\[|\]$/g, ""), port };
}

function listen(server: Server, host: string, port: number, address: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      const why =
        error.code === "EADDRINUSE" ? "another process has it; stop that one or choose another" : error.message;
      reject(new FleetwrightError("FW_PROBE_LISTEN", `cannot listen on ${address}: ${why}`, { cause: error }));
    });
    server.listen({ port, ...(host === "" ? {} : { host }) }, resolve);
  });
}

async function serve(
  routes: ProbeRoutes,
  request: IncomingMessage,
  response: ServerResponse,
  logger: Logger,
): Promise<void> {
  const url = new URL(request.url ?? "/", "http://probe");
  const [path = "", only] = url.pathname.split("/").filter((part) => part !== "");
  if (path === "metrics" && only === undefined && routes.metrics !== undefined) {
    const text = await routes.metrics.metrics();
    response.writeHead(200, { "content-type": routes.metrics.contentType }).end(text);
    return;
  }
  const checks = path === "healthz" ? routes.healthz : path === "readyz" ? routes.readyz : undefined;
  const options = { only, verbose: url.searchParams.has("verbose"), exclude: url.searchParams.getAll("exclude") };
  const report = checks === undefined ? undefined : await runChecks(path, checks, options);
  if (report === undefined) {
    response.writeHead(404, { "content-type": "text/plain" }).end("404 page not found\n");
    return;
  }
  for (const { name, error } of report.failures) logger.warn({ path, check: name, error }, "a check failed");
  response.writeHead(report.ok ? 200 : 500, { "content-type": "text/plain; charset=utf-8" }).end(report.text);
}
