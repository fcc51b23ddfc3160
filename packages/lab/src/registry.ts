import { createSign, generateKeyPairSync, randomBytes } from "node:crypto";
import { access, mkdir, readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import { join } from "node:path";
import { createCertificateAuthority, sleep, systemClock } from "@fleetwright/kube";
import type { Clock } from "@fleetwright/kube";
import { startComponent, startFailure } from "./component.ts";
import { labError } from "./errors.ts";
import { listen } from "./network-gate.ts";
import { nodeDirectory } from "./node-programs.ts";
import { cleanUpLeftovers, createWorkspace } from "./workspace.ts";

export interface RegistryOptions {
  /** `token`: by a token server of its own, which knows {@link registryUser} and {@link registryRefreshToken}. @default `none` */
  readonly auth?: "none" | "basic" | "token";
  /** TLS, with a certificate of an authority of its own. @default false */
  readonly tls?: boolean;
  /** Where it listens; with port 0 on a free one. @default `127.0.0.1:0` */
  readonly address?: string;
  /** What tokens last. @default 300 */
  readonly tokenSeconds?: number;
  readonly clock?: Clock;
}

/** The one user of a registry with authentication. */
export const registryUser = { username: "lab", password: "lab password" } as const;

/** What the token server takes in place of the password. */
export const registryRefreshToken = "lab-refresh-token";

/** Of {@link registryUser}, by `htpasswd -B -C 4`: the registry takes no other hash than bcrypt. */
const passwordFile = "lab:$2a$04$ksfmQYA/4PxBSHO2393vxufXIsDY2PWpSB5sPz/hXI53fX8vlQaQy\n";

/** The distribution project's registry 3.0.0, with deleting allowed. */
export interface RealRegistry {
  /** `host:port`, as image names begin. */
  readonly address: string;
  readonly port: number;
  /** Of its certificate; `undefined` without TLS. */
  readonly caCertificate: string | undefined;
  readonly logPath: string;
  /** What its token server was asked for, in order: `GET repository:a:pull`. */
  readonly tokenRequests: readonly string[];
  stop(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

const service = "lab-registry";
const issuer = "lab-tokens";

/** Where `make node` puts the registry. */
export const registryPath = (): string => join(nodeDirectory(), "registry");

interface TokenServer {
  readonly realm: string;
  /** Of the key that signs its tokens. */
  readonly keySet: string;
  readonly requests: readonly string[];
  close(): Promise<void>;
}

/** `repository:team/web:pull,push`, as tokens name it. */
function accessOf(scope: string): {
  readonly type: string;
  readonly name: string;
  readonly actions: readonly string[];
} {
  const [type = "", ...rest] = scope.split(":");
  const actions = rest.pop() ?? "";
  return { type, name: rest.join(":"), actions: actions.split(",") };
}

/** A token server (distribution, docs/spec/auth): grants its user whatever is asked for, and everybody else to pull. */
async function startTokenServer(lifetimeSeconds: number, clock: Clock): Promise<TokenServer> {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const kid = "lab";
  const requests: string[] = [];
  const encoded = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const token = (subject: string, scopes: readonly string[], all: boolean): string => {
    const now = Math.floor(clock.now() / 1000);
    const text = [
      encoded({ typ: "JWT", alg: "ES256", kid }),
      encoded({
        iss: issuer,
        sub: subject,
        aud: service,
        exp: now + lifetimeSeconds,
        nbf: now - 10,
        iat: now,
        jti: randomBytes(8).toString("hex"),
        access: scopes.map(accessOf).map((access) => ({
          ...access,
          actions: all ? access.actions : access.actions.filter((action) => action === "pull"),
        })),
      }),
    ].join(".");
    const signature = createSign("sha256").update(text).sign({ key: privateKey, dsaEncoding: "ieee-p1363" });
    return `${text}.${signature.toString("base64url")}`;
  };
  const expected = `Basic ${Buffer.from(`${registryUser.username}:${registryUser.password}`).toString("base64")}`;
  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url ?? "/", "http://localhost");
    let form = url.searchParams;
    if (request.method === "POST") {
      let body = "";
      for await (const chunk of request as AsyncIterable<Buffer>) body += chunk.toString();
      form = new URLSearchParams(body);
    }
    const scopes = form.getAll("scope").flatMap((scope) => scope.split(" "));
    requests.push(`${request.method} ${scopes.join(" ")}`);
    const offered = request.method === "POST" ? form.get("refresh_token") : request.headers.authorization;
    const known = offered === (request.method === "POST" ? registryRefreshToken : expected);
    if (offered && !known) response.writeHead(401).end("{}");
    else
      response.writeHead(200, { "content-type": "application/json" }).end(
        JSON.stringify({
          [request.method === "POST" ? "access_token" : "token"]: token(known ? "lab" : "", scopes, known),
          expires_in: lifetimeSeconds,
        }),
      );
  };
  const server = createServer((request, response) => {
    handle(request, response).catch((error: unknown) => response.destroy(error as Error));
  });
  const port = await listen(server);
  return {
    realm: `http://127.0.0.1:${port}/token`,
    keySet: JSON.stringify({ keys: [{ ...publicKey.export({ format: "jwk" }), kid, use: "sig", alg: "ES256" }] }),
    requests,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/**
 * Starts a registry on loopback, with its storage in a folder that goes away with it.
 *
 * @throws FleetwrightError `FW_LAB_BINARIES` without the program, `FW_LAB_START`
 *
 * @example
 * ```ts
 * await using registry = await startRegistry({ auth: "token" });
 * const reference = `${registry.address}/team/web:1`;
 * ```
 */
export async function startRegistry(options: RegistryOptions = {}): Promise<RealRegistry> {
  const { auth = "none", tls = false, address = "127.0.0.1:0", tokenSeconds = 300, clock = systemClock } = options;
  const path = registryPath();
  await access(path).catch((error: unknown) => {
    throw labError("FW_LAB_BINARIES", `${path} not found: run "make node" on Linux`, error);
  });
  await cleanUpLeftovers({ clock });
  const workspace = await createWorkspace();
  const { directory } = workspace;
  const tokens = auth === "token" ? await startTokenServer(tokenSeconds, clock) : undefined;
  const file = async (name: string, text: string): Promise<string> => {
    await writeFile(join(directory, name), text, { mode: 0o600 });
    return join(directory, name);
  };
  const authority = tls ? await createCertificateAuthority({ clock, commonName: "lab-registry-ca" }) : undefined;
  const serving = await authority?.issue({
    usage: "server",
    commonName: "registry",
    hosts: [address.slice(0, address.lastIndexOf(":")), "127.0.0.1", "localhost"],
  });
  await mkdir(join(directory, "storage"));
  const configuration = {
    version: "0.1",
    log: { level: "info", formatter: "text" },
    storage: {
      filesystem: { rootdirectory: join(directory, "storage") },
      delete: { enabled: true },
      maintenance: { uploadpurging: { enabled: false } },
    },
    http: {
      addr: address,
      secret: randomBytes(16).toString("hex"),
      ...(serving && {
        tls: {
          certificate: await file("registry.crt", serving.certificate),
          key: await file("registry.key", serving.key),
        },
      }),
    },
    ...(auth === "basic" && { auth: { htpasswd: { realm: "lab", path: await file("htpasswd", passwordFile) } } }),
    ...(tokens && {
      auth: { token: { realm: tokens.realm, service, issuer, jwks: await file("jwks.json", tokens.keySet) } },
    }),
  };
  const logPath = join(directory, "registry.log");
  const component = await startComponent({
    name: "registry",
    // By default it looks for a collector of traces.
    path: "env",
    // JSON is YAML.
    arguments: ["OTEL_TRACES_EXPORTER=none", path, "serve", await file("config.yml", JSON.stringify(configuration))],
    flags: {},
    workspace,
    logPath,
    clock,
  });
  const stop = async (): Promise<void> => {
    await component.stop(5000);
    await tokens?.close();
    await workspace.remove();
  };
  try {
    for (const deadline = clock.now() + 30_000; ; await sleep(clock, 20)) {
      const port = /listening on \S+?:(\d+)/.exec(await readFile(logPath, "utf8"))?.[1];
      if (port !== undefined) {
        return {
          address: `${address.slice(0, address.lastIndexOf(":"))}:${port}`,
          port: Number(port),
          caCertificate: authority?.certificate,
          logPath,
          tokenRequests: tokens?.requests ?? [],
          stop,
          [Symbol.asyncDispose]: stop,
        };
      }
      if (component.endedBy() !== undefined) throw startFailure(component, `ended (${component.endedBy()})`);
      if (clock.now() > deadline) throw startFailure(component, "did not listen within 30 s");
    }
  } catch (error) {
    await stop();
    throw error;
  }
}
