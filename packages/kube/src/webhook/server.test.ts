import { once } from "node:events";
import { connect } from "node:tls";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { Registry } from "prom-client";
import { Agent, request } from "undici";
import { createCertificateAuthority, type CertificateAuthority } from "../core/certificate-authority.ts";
import { systemClock, type Clock } from "../core/clock.ts";
import { FleetwrightError } from "../core/errors.ts";
import { silentLogger } from "../core/logger.ts";
import { allowed, denied, type AdmissionHandler, type AdmissionResponse } from "./admission.ts";
import { createWebhookServer, webhookTimeoutMs, type WebhookServer, type WebhookServerOptions } from "./server.ts";

let authority: CertificateAuthority;
beforeAll(async () => {
  authority = await createCertificateAuthority({ clock: systemClock, commonName: "test" });
});

const started: { stop(): Promise<void> }[] = [];
afterEach(async () => {
  await Promise.all(started.splice(0).map((one) => one.stop()));
});

interface Caller {
  readonly server: WebhookServer;
  post(
    body: unknown,
    options?: { query?: string; contentType?: string; path?: string },
  ): Promise<{ status: number; body: string }>;
}

async function serve(handler: AdmissionHandler, options: Partial<WebhookServerOptions> = {}): Promise<Caller> {
  const server = createWebhookServer({
    clock: systemClock,
    logger: silentLogger,
    host: "127.0.0.1",
    port: 0,
    ...options,
  });
  server.setCertificate(await authority.issue({ usage: "server", commonName: "w", hosts: ["127.0.0.1"] }));
  server.handle("/validate", "validate", handler);
  await server.listen();
  const agent = new Agent({ connect: { ca: authority.certificate } });
  started.push({
    async stop() {
      await agent.close();
      await server.stop();
    },
  });
  return {
    server,
    async post(body, { query = "?timeout=10s", contentType = "application/json", path = "/validate" } = {}) {
      const response = await request(`https://127.0.0.1:${server.port}${path}${query}`, {
        method: "POST",
        headers: { "content-type": contentType },
        body: typeof body === "string" ? body : JSON.stringify(body),
        dispatcher: agent,
      });
      return { status: response.statusCode, body: await response.body.text() };
    },
  };
}

const review = (uid = "u-1"): unknown => ({
  apiVersion: "admission.k8s.io/v1",
  kind: "AdmissionReview",
  request: { uid, operation: "CREATE", kind: {}, resource: {}, userInfo: {} },
});
const responseOf = (body: string): AdmissionResponse & { uid: string } =>
  (JSON.parse(body) as { response: AdmissionResponse & { uid: string } }).response;
const pending = new Promise<AdmissionResponse>(() => {});

describe("webhook server", () => {
  it("answers with the request's uid and counts the request", async () => {
    const registry = new Registry();
    const { post } = await serve(async () => denied("no room", { code: 403 }), { registry });
    const { status, body } = await post(review("abc"));
    expect(status).toBe(200);
    expect(responseOf(body)).toMatchObject({ uid: "abc", allowed: false, status: { message: "no room", code: 403 } });
    expect(await registry.metrics()).toContain(
      'controller_runtime_webhook_requests_total{webhook="validate",code="200"} 1',
    );
  });

  it.each([
    ["not json", { body: "{", status: 400 }],
    ["another version", { body: { apiVersion: "admission.k8s.io/v1beta1", kind: "AdmissionReview" }, status: 400 }],
    ["no request", { body: { apiVersion: "admission.k8s.io/v1", kind: "AdmissionReview" }, status: 400 }],
  ])("refuses %s", async (_, { body, status }) => {
    const { post } = await serve(async () => allowed());
    expect((await post(body)).status).toBe(status);
  });

  it("refuses other paths and content types", async () => {
    const { post } = await serve(async () => allowed());
    expect((await post(review(), { path: "/other" })).status).toBe(404);
    expect((await post(review(), { contentType: "text/plain" })).status).toBe(415);
  });

  it("turns a handler's failure into a 500 denial that names the webhook", async () => {
    const { post } = await serve(async () => {
      throw new Error("boom");
    });
    expect(responseOf((await post(review())).body)).toMatchObject({
      allowed: false,
      status: { code: 500, message: "validate failed: boom" },
    });
  });

  it("sheds with 429 before the API server's timeout, and aborts the handler", async () => {
    let aborted = false;
    const { post } = await serve((_, signal) => {
      signal.addEventListener("abort", () => {
        aborted = true;
      });
      return pending;
    });
    const { body } = await post(review(), { query: "?timeout=0.1s" });
    expect(responseOf(body)).toMatchObject({
      allowed: false,
      status: { code: 429, details: { retryAfterSeconds: 1 } },
    });
    expect(aborted).toBe(true);
  });

  it("counts the deadline from a request's arrival, not from the end of its body", async () => {
    let now = 0;
    const delays: number[] = [];
    const clock: Clock = {
      now: () => (now += 2000),
      setTimer: (delayMs, callback) => {
        delays.push(delayMs);
        return systemClock.setTimer(0, callback);
      },
    };
    const { post } = await serve(() => pending, { clock });
    await post(review(), { query: "?timeout=10s" });
    expect(delays).toEqual([10_000 - 2000 - 500]);
  });

  it("takes a handler that throws at once for one that fails", async () => {
    const { post } = await serve(() => {
      throw new Error("at once");
    });
    expect(responseOf((await post(review())).body).status).toMatchObject({
      code: 500,
      message: "validate failed: at once",
    });
  });

  it("answers 429 at once above its bound", async () => {
    let release: (response: AdmissionResponse) => void = () => {};
    let entered: () => void = () => {};
    const inside = new Promise<void>((resolve) => {
      entered = resolve;
    });
    const { post } = await serve(
      () => {
        entered();
        return new Promise((resolve) => {
          release = resolve;
        });
      },
      { maxInFlight: 1 },
    );
    const first = post(review("a"));
    await inside;
    expect(responseOf((await post(review("b"))).body)).toMatchObject({
      uid: "b",
      allowed: false,
      status: { code: 429 },
    });
    release(allowed());
    expect(responseOf((await first).body).allowed).toBe(true);
  });

  it("serves a new certificate without breaking what is open", async () => {
    const { server, post } = await serve(async () => allowed());
    expect((await post(review())).status).toBe(200);
    const other = await createCertificateAuthority({ clock: systemClock, commonName: "other" });
    server.setCertificate(await other.issue({ usage: "server", commonName: "w", hosts: ["127.0.0.1"] }));
    expect((await post(review())).status).toBe(200);
    const agent = new Agent({ connect: { ca: other.certificate } });
    const response = await request(`https://127.0.0.1:${server.port}/validate`, { method: "GET", dispatcher: agent });
    expect(response.statusCode).toBe(405);
    await response.body.dump();
    await agent.close();
  });

  it("answers what is in flight when it stops", async () => {
    let release: (response: AdmissionResponse) => void = () => {};
    let entered: () => void = () => {};
    const inside = new Promise<void>((resolve) => {
      entered = resolve;
    });
    const { server, post } = await serve(() => {
      entered();
      return new Promise((resolve) => {
        release = resolve;
      });
    });
    const answer = post(review());
    await inside;
    const stopped = server.stop();
    expect(server.listening).toBe(false);
    release(allowed());
    expect(responseOf((await answer).body).allowed).toBe(true);
    await stopped;
  });

  it("is not held up by a connection that never carried a request", async () => {
    const { server, post } = await serve(async () => allowed());
    expect((await post(review())).status).toBe(200);
    const socket = connect({ host: "127.0.0.1", port: server.port, ca: authority.certificate });
    await once(socket, "secureConnect");
    const closed = once(socket, "close");
    socket.resume(); // an end that nobody reads is not noticed
    await server.stop();
    await closed;
  });

  it("says which address is taken", async () => {
    const { server } = await serve(async () => allowed());
    const second = createWebhookServer({
      clock: systemClock,
      logger: silentLogger,
      host: "127.0.0.1",
      port: server.port,
    });
    second.setCertificate(await authority.issue({ usage: "server", commonName: "w", hosts: ["127.0.0.1"] }));
    await expect(second.listen()).rejects.toThrow(FleetwrightError);
    await expect(second.listen()).rejects.toThrow(`127.0.0.1:${server.port} is taken`);
  });

  it.each([
    ["10s", 10_000],
    ["1m0s", 60_000],
    ["2.5s", 2500],
    ["", 10_000],
    ["x", 10_000],
  ])("reads timeout=%s as %d ms", (value, ms) => {
    expect(webhookTimeoutMs(new URLSearchParams({ timeout: value }))).toBe(ms);
  });
});
