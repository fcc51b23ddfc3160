import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { connect as connectSocket, createServer } from "node:net";
import type { TLSSocket } from "node:tls";
import { gzipSync } from "node:zlib";
import { beforeAll, describe, expect, it } from "vitest";
import { type CertificateAuthority, createCertificateAuthority } from "../core/certificate-authority.ts";
import { systemClock } from "../core/clock.ts";
import { TransportError } from "../core/errors.ts";
import { VirtualClock } from "../core/virtual-clock.ts";
import { readBytes } from "./body.ts";
import type { Credentials } from "./credentials.ts";
import { createHttpTransport, type HttpTransport } from "./http-transport.ts";
import { answerJson, listen, rawValues, rejection, serve, serveTls } from "./scripted-server.ts";
import type { TransportRequest } from "./transport.ts";

const get = (path: string): TransportRequest => ({ method: "GET", path });

async function text(transport: HttpTransport, request: TransportRequest, signal?: AbortSignal): Promise<string> {
  const response = await transport(request, signal);
  return (await readBytes(response.body)).toString();
}

describe("connections", () => {
  it("are kept and used again, and never more than the bound", async () => {
    await using server = await serve((_request, response) => response.end("ok"));
    const transport = createHttpTransport({ server: server.url, connections: 3 });
    await Promise.all(Array.from({ length: 50 }, () => text(transport, get("/"))));
    expect(server.connections()).toBeLessThanOrEqual(3);
    await text(transport, get("/"));
    expect(server.connections()).toBeLessThanOrEqual(3);
    await transport.close();
  });

  it("a watch has one of its own, so that calls go on while many are open", async () => {
    await using server = await serve((request, response) => {
      if (request.url === "/watch") response.flushHeaders();
      else response.end("ok");
    });
    const transport = createHttpTransport({ server: server.url, connections: 1 });
    const watches = await Promise.all(Array.from({ length: 5 }, () => transport({ ...get("/watch"), kind: "watch" })));
    expect(await text(transport, get("/"))).toBe("ok");
    expect(server.connections()).toBe(6);
    expect(watches.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
    await transport.close();
    for (const { body } of watches) expect(await rejection(readBytes(body))).toBeInstanceOf(TransportError);
  });

  it("a body that is left early gives its place in the pool back", async () => {
    await using server = await serve((request, response) => {
      if (request.url === "/endless") response.write("x".repeat(100_000));
      else response.end("ok");
    });
    const transport = createHttpTransport({ server: server.url, connections: 1 });
    const { body } = await transport(get("/endless"));
    for await (const chunk of body) {
      expect(chunk.length).toBeGreaterThan(0);
      break;
    }
    expect(await text(transport, get("/"))).toBe("ok");
    await transport.close();
  });

  it("a body that nobody began to read does not raise an unhandled error when the call is aborted", async () => {
    await using server = await serve((_request, response) => response.write("x"));
    const transport = createHttpTransport({ server: server.url });
    const controller = new AbortController();
    const { body } = await transport(get("/"), controller.signal);
    controller.abort(new Error("enough"));
    expect((await rejection(readBytes(body))).message).toBe("enough");
    await transport.close();
  });

  it("an abort ends the exchange with the signal's reason, and its connection", async () => {
    await using server = await serve(() => undefined);
    const transport = createHttpTransport({ server: server.url });
    const controller = new AbortController();
    const answer = rejection(transport(get("/"), controller.signal));
    controller.abort(new Error("enough"));
    expect((await answer).message).toBe("enough");
    await transport.close();
  });

  it("after close, calls fail", async () => {
    const transport = createHttpTransport({ server: "http://127.0.0.1:1" });
    await transport.close();
    expect((await rejection(transport(get("/")))).message).toContain("the client is closed");
  });
});

/** Answers the first request of each connection, and closes without a word at the second. */
function closesAtSecondRequest(requests: string[]): ReturnType<typeof createServer> {
  return createServer((socket) => {
    let answered = false;
    socket.on("data", (data) => {
      requests.push(data.toString().split(" ")[0] ?? "");
      if (answered) socket.destroy();
      else socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
      answered = true;
    });
  });
}

describe("a connection that the server closes in the moment we use it", () => {
  it("costs a GET nothing: it is sent once more on a new one", async () => {
    const requests: string[] = [];
    await using server = await listen(closesAtSecondRequest(requests));
    const transport = createHttpTransport({ server: server.url, connections: 1 });
    expect(await text(transport, get("/"))).toBe("ok");
    expect(await text(transport, get("/"))).toBe("ok");
    expect(requests).toEqual(["GET", "GET", "GET"]);
    expect(server.connections()).toBe(2);
    await transport.close();
  });

  it.each(["POST", "PUT", "PATCH", "DELETE"] as const)(
    "fails a %s, which may have been carried out",
    async (method) => {
      const requests: string[] = [];
      await using server = await listen(closesAtSecondRequest(requests));
      const transport = createHttpTransport({ server: server.url, connections: 1 });
      await text(transport, get("/"));
      const error = await rejection(transport({ method, path: "/", body: "{}" }));
      expect(error).toBeInstanceOf(TransportError);
      expect(error.message).toContain("may or may not have been carried out");
      expect(requests).toEqual(["GET", method]);
      await transport.close();
    },
  );

  it("a GET is not sent for ever", async () => {
    await using server = await listen(createServer((socket) => socket.on("data", () => socket.destroy())));
    const transport = createHttpTransport({ server: server.url });
    expect(await rejection(transport(get("/")))).toBeInstanceOf(TransportError);
    expect(server.connections()).toBe(2);
    await transport.close();
  });

  it("a call that waited for that connection, and was never written, goes to the next, whatever its verb", async () => {
    const requests: string[] = [];
    await using server = await serve((request, response) => {
      requests.push(request.method ?? "");
      if (requests.length === 1) response.socket?.destroy();
      else response.end("ok");
    });
    const transport = createHttpTransport({ server: server.url, connections: 1 });
    const first = rejection(transport({ method: "POST", path: "/", body: "1" }));
    const second = text(transport, { method: "POST", path: "/", body: "2" });
    expect(await first).toBeInstanceOf(TransportError);
    expect(await second).toBe("ok");
    expect(requests).toEqual(["POST", "POST"]);
    await transport.close();
  });
});

describe("what is sent and received", () => {
  it("repeats a header that has several values", async () => {
    let groups: string[] = [];
    await using server = await serve((request, response) => {
      groups = rawValues(request, "impersonate-group");
      response.end();
    });
    const transport = createHttpTransport({ server: server.url });
    await text(transport, { ...get("/"), headers: { "impersonate-group": ["a", "b, c"] } });
    expect(groups).toEqual(["a", "b, c"]);
    await transport.close();
  });

  it("goes to the path under which the server is", async () => {
    await using server = await serve((request, response) => response.end(request.url));
    const transport = createHttpTransport({ server: `${server.url}/clusters/one/` });
    expect(await text(transport, get("/api?limit=1"))).toBe("/clusters/one/api?limit=1");
    await transport.close();
  });

  it("decodes gzip, and takes a gzip that is cut for a cut connection", async () => {
    const packed = gzipSync("größer ".repeat(10_000));
    await using server = await serve((request, response) => {
      response.setHeader("content-encoding", "gzip");
      response.end(request.url === "/cut" ? packed.subarray(0, packed.length / 2) : packed);
    });
    const transport = createHttpTransport({ server: server.url });
    expect(await text(transport, get("/"))).toBe("größer ".repeat(10_000));
    expect(await rejection(text(transport, get("/cut")))).toBeInstanceOf(TransportError);
    await transport.close();
  });

  it("takes a body that is shorter than announced for a cut connection", async () => {
    await using server = await listen(
      createServer((socket) =>
        socket.once("data", () => socket.end("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{}")),
      ),
    );
    const transport = createHttpTransport({ server: server.url });
    expect(await rejection(text(transport, get("/")))).toBeInstanceOf(TransportError);
    await transport.close();
  });
});

it("holds calls to the rate on the injected clock, watches not", async () => {
  await using server = await serve((_request, response) => response.end("ok"));
  const clock = new VirtualClock();
  const transport = createHttpTransport({ server: server.url, qps: 2, burst: 3, clock });
  const started = clock.now();
  const done: number[] = [];
  const calls = Array.from({ length: 6 }, async () => {
    await text(transport, get("/"));
    done.push(clock.now() - started);
  });
  await text(transport, { ...get("/"), kind: "watch" });
  await Promise.all(calls.slice(0, 3));
  for (const call of calls.slice(3)) {
    await clock.advance(500);
    await call;
  }
  expect(done).toEqual([0, 0, 0, 500, 1000, 1500]);
  await transport.close();
});

describe("credentials", () => {
  const rotating = (tokens: readonly string[]): Credentials => {
    let index = 0;
    const credential = (): { headers: Record<string, string> } => ({ headers: { authorization: tokens[index] ?? "" } });
    return {
      current: async () => credential(),
      async renew() {
        index++;
        return index < tokens.length ? credential() : undefined;
      },
    };
  };

  it("are renewed once at a 401, and the call is repeated", async () => {
    const seen: (string | undefined)[] = [];
    await using server = await serve((request, response) => {
      seen.push(request.headers.authorization);
      answerJson(response, {}, request.headers.authorization === "new" ? 200 : 401);
    });
    const transport = createHttpTransport({ server: server.url, credentials: rotating(["old", "new"]) });
    expect((await transport({ method: "POST", path: "/", body: "{}" })).status).toBe(200);
    expect(seen).toEqual(["old", "new"]);
    await transport.close();
  });

  it("that fail to be renewed fail the call, and free its connection", async () => {
    let refuse = true;
    await using server = await serve((_request, response) => answerJson(response, {}, refuse ? 401 : 200));
    const credentials: Credentials = {
      current: async () => ({ headers: {} }),
      renew: async () => Promise.reject(new Error("no more")),
    };
    const transport = createHttpTransport({ server: server.url, credentials, connections: 1 });
    expect((await rejection(transport(get("/")))).message).toBe("no more");
    refuse = false;
    expect(await text(transport, get("/"))).toBe("{}");
    expect(server.connections()).toBe(1);
    await transport.close();
  });

  it("that are slow to come do not keep a call past its abort", async () => {
    const hanging: Credentials = { current: () => new Promise(() => undefined), renew: async () => undefined };
    const transport = createHttpTransport({ server: "http://127.0.0.1:1", credentials: hanging });
    const controller = new AbortController();
    const answer = rejection(transport(get("/"), controller.signal));
    controller.abort(new Error("enough"));
    expect((await answer).message).toBe("enough");
    await transport.close();
  });

  it("that cannot be renewed leave the 401 as it is, body and all", async () => {
    await using server = await serve((_request, response) => answerJson(response, { kind: "Status" }, 401));
    const transport = createHttpTransport({ server: server.url, credentials: rotating(["old"]) });
    const response = await transport(get("/"));
    expect(response.status).toBe(401);
    expect((await readBytes(response.body)).toString()).toBe('{"kind":"Status"}');
    await transport.close();
  });
});

describe("TLS and proxies", () => {
  let authority: CertificateAuthority;
  beforeAll(async () => {
    authority = await createCertificateAuthority({ clock: systemClock, commonName: "test" });
  });

  const serverPair = async (hosts: readonly string[], notAfter?: number): Promise<{ cert: string; key: string }> => {
    const { certificate, key } = await authority.issue({
      usage: "server",
      commonName: "server",
      hosts,
      ...(notAfter === undefined ? {} : { notBefore: 0, notAfter }),
    });
    return { cert: certificate, key };
  };

  it.each(["call", "watch"] as const)(
    "an abort ends a %s at once that has no connection yet, and it is never sent",
    { timeout: 5_000 },
    async (kind) => {
      const requests: string[] = [];
      // Accepts, and says nothing until it is told to: a network that swallows everything, as far as TLS can tell.
      const secure = createSecureServer(await serverPair(["127.0.0.1"]), (request, response) => {
        requests.push(request.url ?? "");
        response.end("ok");
      });
      const tcp = createServer();
      await using server = await listen(tcp, "https");
      const transport = createHttpTransport({ server: server.url, tls: { ca: authority.certificate }, connections: 1 });
      const controller = new AbortController();
      const connected = once(tcp, "connection");
      const answer = rejection(transport({ ...get("/late"), kind }, controller.signal));
      const [socket] = await connected;
      controller.abort(new Error("enough"));
      expect((await answer).message).toBe("enough");
      // The network comes back: the one who waits is served, on the connection that was begun for the other.
      tcp.on("connection", (each) => secure.emit("connection", each));
      const next = text(transport, { ...get("/next"), kind });
      secure.emit("connection", socket);
      expect(await next).toBe("ok");
      expect(requests).toEqual(["/next"]);
      await transport.close();
    },
  );

  it("verifies the server by its authority and the name that it was told", async () => {
    await using server = await serveTls(await serverPair(["kubernetes.default"]), (request, response) =>
      response.end(String((request.socket as TLSSocket).servername)),
    );
    const tls = { ca: authority.certificate, serverName: "kubernetes.default" };
    const transport = createHttpTransport({ server: server.url, tls });
    expect(await text(transport, get("/"))).toBe("kubernetes.default");
    await transport.close();
    const byAddress = createHttpTransport({ server: server.url, tls: { ca: authority.certificate } });
    expect((await rejection(byAddress(get("/")))).message).toContain("set tls-server-name");
    await byAddress.close();
  });

  it("refuses a stranger's certificate, unless told not to verify", async () => {
    await using server = await serveTls(await serverPair(["127.0.0.1"]), (_request, response) => response.end("ok"));
    const strict = createHttpTransport({ server: server.url });
    expect((await rejection(strict(get("/")))).message).toContain("signed by an unknown authority");
    await strict.close();
    const lax = createHttpTransport({ server: server.url, tls: { insecureSkipVerify: true } });
    expect(await text(lax, get("/"))).toBe("ok");
    await lax.close();
  });

  it("says that the server's certificate has expired", async () => {
    const expired = await serverPair(["127.0.0.1"], Date.UTC(2020, 0, 1));
    await using server = await serveTls(expired, (_request, response) => response.end("ok"));
    const transport = createHttpTransport({ server: server.url, tls: { ca: authority.certificate } });
    expect((await rejection(transport(get("/")))).message).toContain("x509: the server's certificate has expired");
    await transport.close();
  });

  it("shows its client certificate, and a rotated one on new connections", async () => {
    const options = { ...(await serverPair(["127.0.0.1"])), ca: authority.certificate, requestCert: true };
    await using server = await serveTls(options, (request, response) =>
      // A watch stays open; all else ends.
      response[request.url === "/watch" ? "write" : "end"](
        (request.socket as TLSSocket).getPeerCertificate().subject.CN as string,
      ),
    );
    let name = "first";
    const pairs = new Map(
      await Promise.all(
        ["first", "second"].map(async (commonName) => {
          const { certificate, key } = await authority.issue({ usage: "client", commonName });
          return [commonName, { cert: certificate, key }] as const;
        }),
      ),
    );
    const transport = createHttpTransport({
      server: server.url,
      tls: { ca: authority.certificate },
      credentials: {
        current: async () => ({ headers: {}, clientCertificate: pairs.get(name) }),
        renew: async () => undefined,
      },
    });
    expect(await text(transport, get("/"))).toBe("first");
    expect(server.open()).toBe(1);
    const watch = (await transport({ ...get("/watch"), kind: "watch" })).body[Symbol.asyncIterator]();
    name = "second";
    expect(await text(transport, get("/"))).toBe("second");
    expect(Buffer.from((await watch.next()).value as Uint8Array).toString()).toBe("first");
    const end = rejection(watch.next());
    await transport.close();
    expect(await end).toBeInstanceOf(TransportError);
  });

  it("closes the connections of an earlier client certificate once nothing is in flight on them", async () => {
    const options = { ...(await serverPair(["127.0.0.1"])), ca: authority.certificate, requestCert: true };
    await using server = await serveTls(options, (_request, response) => response.end("ok"));
    const pairs = await Promise.all(
      ["first", "second"].map((commonName) => authority.issue({ usage: "client", commonName })),
    );
    let index = 0;
    const transport = createHttpTransport({
      server: server.url,
      tls: { ca: authority.certificate },
      credentials: {
        async current() {
          const { certificate = "", key = "" } = pairs[index] ?? {};
          return { headers: {}, clientCertificate: { cert: certificate, key } };
        },
        renew: async () => undefined,
      },
    });
    await text(transport, get("/"));
    index = 1;
    await text(transport, get("/"));
    await expect.poll(() => server.open()).toBe(1);
    expect(server.connections()).toBe(2);
    await transport.close();
  });

  it("reaches the server through a proxy, by CONNECT, with the server's own TLS inside", async () => {
    await using server = await serveTls(await serverPair(["127.0.0.1"]), (_request, response) => response.end("ok"));
    const asked: (string | undefined)[] = [];
    const proxy = createHttpServer();
    proxy.on("connect", (request, client) => {
      asked.push(request.url, request.headers["proxy-authorization"]);
      const upstream = connectSocket(server.port, "127.0.0.1", () => {
        client.write("HTTP/1.1 200 OK\r\n\r\n");
        upstream.pipe(client).pipe(upstream);
      });
      for (const socket of [upstream, client]) socket.on("error", () => undefined);
      client.on("close", () => upstream.destroy());
    });
    await using listening = await listen(proxy);
    const transport = createHttpTransport({
      server: server.url,
      tls: { ca: authority.certificate },
      proxyUrl: `http://user:secret@127.0.0.1:${listening.port}`,
    });
    expect(await text(transport, get("/"))).toBe("ok");
    expect(asked).toEqual([`127.0.0.1:${server.port}`, `Basic ${Buffer.from("user:secret").toString("base64")}`]);
    await transport.close();
  });

  it("says what a proxy answered that refused", async () => {
    const proxy = createHttpServer();
    proxy.on("connect", (_request, client) => client.end("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"));
    await using listening = await listen(proxy);
    const transport = createHttpTransport({ server: "https://127.0.0.1:1", proxyUrl: listening.url });
    expect((await rejection(transport(get("/")))).message).toContain(
      "the proxy answered 407 to CONNECT; put user and password",
    );
    await transport.close();
  });
});

it("says which of certificate and key is wrong", async () => {
  await using server = await serve((_request, response) => response.end());
  const url = server.url.replace("http:", "https:");
  const withPair = async (cert: string, key: string): Promise<string> => {
    const transport = createHttpTransport({
      server: url,
      credentials: {
        current: async () => ({ headers: {}, clientCertificate: { cert, key } }),
        renew: async () => undefined,
      },
    });
    const { message } = await rejection(transport(get("/")));
    await transport.close();
    return message;
  };
  const authority = await createCertificateAuthority({ clock: systemClock, commonName: "test" });
  const [one, other] = [
    await authority.issue({ usage: "client", commonName: "one" }),
    await authority.issue({ usage: "client", commonName: "other" }),
  ];
  expect(await withPair("nonsense", one.key)).toContain("client-key of the kubeconfig must be PEM");
  expect(await withPair(one.certificate, other.key)).toContain("client-key does not belong to client-certificate");
  // A plain server behind https.
  expect(await withPair(one.certificate, one.key)).toContain("the server does not speak TLS there");
});

it("says that nobody listens there", async () => {
  const closed = createServer().listen(0, "127.0.0.1");
  await once(closed, "listening");
  const { port } = closed.address() as { port: number };
  closed.close();
  await once(closed, "close");
  const transport = createHttpTransport({ server: `https://127.0.0.1:${port}` });
  expect((await rejection(transport(get("/")))).message).toBe(
    `GET https://127.0.0.1:${port}/: connection refused; check that the API server runs and that the address is right`,
  );
  await transport.close();
});
