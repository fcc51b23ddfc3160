import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { Agent, request as httpsRequest, type RequestOptions } from "node:https";
import type { IncomingMessage } from "node:http";
import { connect, type TLSSocket } from "node:tls";
import { gunzipSync } from "node:zlib";
import { createCertificateAuthority, type Logger, nextTurn, silentLogger, systemClock } from "@fleetwright/kube";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Call, Reply } from "../machinery/request.ts";
import { refusals } from "../machinery/status-error.ts";
import { type HttpServer, startHttpServer } from "./http-server.ts";

const authority = await createCertificateAuthority({ clock: systemClock, commonName: "test-ca" });
const stranger = await createCertificateAuthority({ clock: systemClock, commonName: "test-ca" });
const serving = await authority.issue({ usage: "server", commonName: "server", hosts: ["127.0.0.1"] });
const user = { usage: "client", commonName: "ada", organizations: ["devs", "system:masters"] } as const;
const client = await authority.issue(user);
const untrusted = await stranger.issue(user);
const forServers = await authority.issue({ ...user, usage: "server", hosts: ["x"] });
const tls = { certificate: serving.certificate, key: serving.key, clientCa: authority.certificate };

let handle: (call: Call) => Promise<Reply> = async () => ok("");
const failures: unknown[] = [];
const logger: Logger = { ...silentLogger, error: ({ error }) => void failures.push(error) };
let server: HttpServer;
const agent = new Agent({ keepAlive: true, ca: authority.certificate });

beforeAll(async () => {
  server = await startHttpServer({ handle: (call) => handle(call), tls, logger });
});
afterAll(async () => {
  agent.destroy();
  await server.stop();
});

const ok = (body: Reply["body"]): Reply => ({ status: 200, headers: { "content-type": "application/json" }, body });

interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
}

async function open(path: string, options: RequestOptions = {}, body?: string | Buffer): Promise<IncomingMessage> {
  const request = httpsRequest(`${server.url}${path}`, { agent, ...options });
  const answered = once(request, "response") as Promise<[IncomingMessage]>;
  request.end(body);
  const [response] = await answered;
  return response;
}

async function ask(path: string, options: RequestOptions = {}, body?: string | Buffer): Promise<Answer> {
  const response = await open(path, options, body);
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return { status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) };
}

async function secureSocket(): Promise<TLSSocket> {
  const socket = connect({ host: "127.0.0.1", port: server.port, ca: authority.certificate });
  socket.on("error", () => {});
  await once(socket, "secureConnect");
  return socket;
}

describe("a call", () => {
  it("comes with method, path as sent, query, headers in order, and its body", async () => {
    let seen: unknown;
    handle = async (call) => {
      seen = {
        method: call.method,
        path: call.path,
        selectors: call.query.getAll("labelSelector"),
        groups: call.headers["impersonate-group"],
        body: (await call.body()).toString(),
        certificate: call.clientCertificate,
      };
      await expect(call.body()).rejects.toThrow("has been read");
      return ok("{}");
    };
    const headers = { "Impersonate-Group": ["b", "a"] };
    const answer = await ask("/api/v1/a%2Fb?labelSelector=x%3Dy&labelSelector=z", { method: "PUT", headers }, "body");
    expect([answer.status, answer.body.toString(), answer.headers["content-length"]]).toEqual([200, "{}", "2"]);
    expect(seen).toEqual({
      method: "PUT",
      path: "/api/v1/a%2Fb",
      selectors: ["x=y", "z"],
      groups: ["b", "a"],
      body: "body",
      certificate: undefined,
    });
  });

  it("says who a client certificate names", async () => {
    let seen: unknown;
    handle = async (call) => {
      seen = call.clientCertificate;
      return ok("");
    };
    await ask("/", { agent: false, ca: authority.certificate, cert: client.certificate, key: client.key });
    const fingerprint = new X509Certificate(client.certificate).fingerprint256.replaceAll(":", "").toLowerCase();
    expect(seen).toEqual({ commonName: "ada", organizations: ["devs", "system:masters"], fingerprint });
  });

  it("with a certificate that is not trusted is 401, unless a token says who it is", async () => {
    const seen: unknown[] = [];
    handle = async (call) => {
      seen.push(call.clientCertificate);
      return ok("");
    };
    for (const { certificate, key } of [untrusted, forServers]) {
      const options = { agent: false as const, ca: authority.certificate, cert: certificate, key };
      const answer = await ask("/api", options);
      expect([answer.status, JSON.parse(answer.body.toString())]).toEqual([401, refusals.unauthorized().status]);
      expect((await ask("/api", { ...options, headers: { authorization: "Bearer x" } })).status).toBe(200);
    }
    expect(seen).toEqual([undefined, undefined]);
  });

  it("of more than the limit is refused as upstream, whether or not it says its length", async () => {
    handle = async (call) => ok(String((await call.body()).length));
    const size = 3 * 1024 * 1024;
    expect((await ask("/", { method: "POST" }, Buffer.alloc(size))).body.toString()).toBe(String(size));
    const chunked = { "transfer-encoding": "chunked" };
    for (const headers of [{}, chunked]) {
      const answer = await ask("/", { method: "POST", headers }, Buffer.alloc(size + 1));
      expect(answer.status).toBe(413);
      expect(JSON.parse(answer.body.toString())).toMatchObject({
        kind: "Status",
        status: "Failure",
        message: "Request entity too large: limit is 3145728",
        reason: "RequestEntityTooLarge",
        code: 413,
      });
    }
  });

  it("that breaks off in its body is 400 for the handler", async () => {
    const seen = new Promise<unknown>((resolve) => {
      handle = (call) =>
        call.body().then(
          () => ok(""),
          (error: unknown) => (resolve(error), Promise.reject(error as Error)),
        );
    });
    const socket = await secureSocket();
    socket.write("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhalf");
    await nextTurn();
    socket.destroy();
    expect(await seen).toMatchObject({ status: { code: 400, reason: "BadRequest" } });
  });

  it("that asks for an upgrade is answered", async () => {
    handle = async () => Promise.reject(refusals.badRequest("Upgrade request required"));
    for (const upgrade of ["SPDY/3.1", "websocket"]) {
      const headers = { connection: "Upgrade", upgrade };
      expect((await ask("/exec", { agent: false, ca: authority.certificate, method: "POST", headers })).status).toBe(
        400,
      );
    }
  });

  it("that is no HTTP gets 400 and its connection closed", async () => {
    const socket = await secureSocket();
    socket.write("nonsense\r\n\r\n");
    const chunks: Buffer[] = [];
    for await (const chunk of socket) chunks.push(chunk as Buffer);
    expect(Buffer.concat(chunks).toString()).toMatch(/^HTTP\/1.1 400 Bad Request\r\n/);
  });
});

describe("an answer", () => {
  it("of a handler that fails is 500 and logged; of one that refuses, its Status and headers", async () => {
    failures.length = 0;
    handle = async () => Promise.reject(new Error("a defect"));
    const defect = await ask("/");
    expect([defect.status, failures]).toEqual([500, [new Error("a defect")]]);
    expect(JSON.parse(defect.body.toString())).toMatchObject({ message: "Internal error occurred: a defect" });
    handle = async () => Promise.reject(refusals.tooManyRequests("slow down", 7));
    const refusal = await ask("/");
    expect([refusal.status, refusal.headers["retry-after"], failures.length]).toEqual([429, "7", 1]);
  });

  it("above 128 KiB is compressed for who takes it", async () => {
    const big = Buffer.from(JSON.stringify({ data: "x".repeat(200_000) }));
    handle = async () => ok(big);
    const headers = { "accept-encoding": "br, gzip" };
    const answer = await ask("/", { headers });
    expect([answer.headers["content-encoding"], answer.headers["vary"]]).toEqual(["gzip", "Accept-Encoding"]);
    expect(gunzipSync(answer.body).equals(big)).toBe(true);
    expect((await ask("/")).body.equals(big)).toBe(true);
    handle = async () => ok(big.subarray(0, 128 * 1024));
    expect((await ask("/", { headers })).headers["content-encoding"]).toBeUndefined();
  });
});

describe("a stream", () => {
  it("sends its head before there is anything to say, and each chunk as it comes", async () => {
    let say: (text: string | undefined) => void = () => {};
    async function* chunks(): AsyncGenerator<Buffer> {
      for (;;) {
        const text = await new Promise<string | undefined>((resolve) => {
          say = resolve;
        });
        if (text === undefined) return;
        yield Buffer.from(text);
      }
    }
    handle = async () => ok(chunks());
    const response = await open("/watch", { headers: { "accept-encoding": "gzip" } });
    const lines: string[] = [];
    say("one\n");
    for await (const chunk of response) {
      lines.push(String(chunk));
      say(lines.length < 2 ? "two\n" : undefined);
    }
    expect([lines, response.complete]).toEqual([["one\n", "two\n"], true]);
  });

  it("makes no more while the client does not read, and stops when it has gone", async () => {
    let made = 0;
    let ended: () => void = () => {};
    const gone = new Promise<void>((resolve) => {
      ended = resolve;
    });
    async function* chunks(): AsyncGenerator<Buffer> {
      try {
        for (;;) {
          made++;
          yield Buffer.alloc(64 * 1024);
        }
      } finally {
        ended();
      }
    }
    handle = async () => ok(chunks());
    const response = await open("/watch", { agent: false, ca: authority.certificate });
    // What sockets buffer is some megabytes at most; the generator alone would never come to rest.
    let before = -1;
    while (made > before) {
      before = made;
      for (let turn = 0; turn < 100; turn++) await nextTurn();
    }
    expect(made * 64).toBeLessThan(64 * 1024);
    response.destroy();
    await gone;
  });

  it("that fails breaks the connection, so that nobody takes it for complete", async () => {
    async function* chunks(): AsyncGenerator<Buffer> {
      yield Buffer.from("one\n");
      throw new Error("a defect in a stream");
    }
    handle = async () => ok(chunks());
    await expect(ask("/watch")).rejects.toThrow(/aborted|hang up/);
    expect(failures.at(-1)).toEqual(new Error("a defect in a stream"));
  });

  it("tells its handler by the signal when the client goes", async () => {
    const gone = new Promise<void>((resolve) => {
      handle = async (call) => {
        call.signal.addEventListener("abort", () => resolve());
        return ok(silence(call.signal));
      };
    });
    const response = await open("/watch", { agent: false, ca: authority.certificate });
    response.destroy();
    await expect(gone).resolves.toBeUndefined();
  });
});

async function* silence(signal: AbortSignal): AsyncGenerator<Buffer> {
  yield Buffer.from("{}\n");
  await new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason as Error));
  });
}

describe("the server", () => {
  it("ends watches properly when it stops, lets calls finish, and closes idle connections", async () => {
    let finish: () => void = () => {};
    const finishing = new Promise<void>((resolve) => {
      finish = resolve;
    });
    let arrive: () => void = () => {};
    const arrived = new Promise<void>((resolve) => {
      arrive = resolve;
    });
    const stopping = await startHttpServer({
      tls,
      async handle(call) {
        if (call.path === "/watch") return ok(silence(call.signal));
        arrive();
        await finishing;
        return ok("done");
      },
    });
    const own = new Agent({ keepAlive: true, ca: authority.certificate });
    const at = (path: string) => {
      const request = httpsRequest(`${stopping.url}${path}`, { agent: own });
      const response = once(request, "response") as Promise<[IncomingMessage]>;
      request.end();
      return response;
    };
    const idle = connect({ host: "127.0.0.1", port: stopping.port, ca: authority.certificate });
    await once(idle, "secureConnect");
    const idleClosed = once(idle, "close");
    const [watch] = await at("/watch");
    const lines: string[] = [];
    const watched = (async () => {
      for await (const chunk of watch) lines.push(String(chunk));
    })();
    const called = at("/call");
    await arrived;
    const stopped = stopping.stop();
    await watched;
    expect([lines, watch.complete]).toEqual([["{}\n"], true]);
    finish();
    const [call] = await called;
    expect([call.statusCode, call.headers.connection]).toEqual([200, "close"]);
    call.resume();
    await Promise.all([stopped, idleClosed]);
    await stopping.stop();
    own.destroy();
  });

  it("ends a request that does not come to its end", async () => {
    const impatient = await startHttpServer({
      tls,
      requestTimeoutMs: 100,
      handle: async (call) => ok(String((await call.body()).length)),
    });
    const socket = connect({ host: "127.0.0.1", port: impatient.port, ca: authority.certificate });
    await once(socket, "secureConnect");
    socket.write("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhalf");
    const chunks: Buffer[] = [];
    for await (const chunk of socket) chunks.push(chunk as Buffer);
    expect(Buffer.concat(chunks).toString()).toMatch(/^HTTP\/1.1 40[08] /);
    await impatient.stop();
  });

  it.each([
    ["hello there\r\n\r\n", "HTTP/1.1 400 Bad Request", "400 Bad Request"],
    ["GET /a%zz HTTP/1.1\r\nhost: x\r\n\r\n", "HTTP/1.1 400 Bad Request", "400 Bad Request"],
    ["GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 Bad Request", "400 Bad Request: missing required Host header"],
    [
      "POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: explode\r\n\r\n",
      "HTTP/1.1 501 Not Implemented",
      "Unsupported transfer encoding",
    ],
    [
      `GET / HTTP/1.1\r\nhost: x\r\nlong: ${"x".repeat(2 << 20)}\r\n\r\n`,
      "HTTP/1.1 431 Request Header Fields Too Large",
      "431 Request Header Fields Too Large",
    ],
  ])("answers what is no request as Go does, and closes: %#", async (bytes, status, text) => {
    handle = async () => ok("{}");
    const socket = await secureSocket();
    socket.write(bytes);
    const chunks: Buffer[] = [];
    for await (const chunk of socket) chunks.push(chunk as Buffer);
    expect(socket.errored).toBeNull();
    const [head = "", body] = Buffer.concat(chunks).toString().split("\r\n\r\n");
    expect(head.split("\r\n")).toEqual([status, "Content-Type: text/plain; charset=utf-8", "Connection: close"]);
    expect(body).toBe(text);
  });

  it("takes headers as UTF-8", async () => {
    let seen: unknown;
    handle = async (call) => {
      seen = call.headers["impersonate-user"];
      return ok("{}");
    };
    await ask("/", { headers: { "impersonate-user": Buffer.from("jürgen").toString("latin1") } });
    expect(seen).toBe("jürgen");
  });

  it("says which address is taken", async () => {
    await expect(startHttpServer({ handle: async () => ok(""), tls, port: server.port })).rejects.toMatchObject({
      code: "FW_TWIN_LISTEN",
      message: `the API server's address 127.0.0.1:${server.port} is taken by another process; choose another port`,
    });
  });
});
