import { createClient, Pods } from "@fleetwright/kube";
import { describe, expect, it } from "vitest";
import type { Call, Reply } from "../machinery/request.ts";
import { refusals } from "../machinery/status-error.ts";
import { createInProcessTransport } from "./in-process-transport.ts";

const headers = { "content-type": "application/json" };

async function bytesOf(body: AsyncIterable<Uint8Array>): Promise<Uint8Array[]> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return chunks;
}

describe("the transport in this process", () => {
  it("gives a client what the handler answers, as its user, and bodies uncopied", async () => {
    const big = Buffer.from(JSON.stringify({ kind: "Pod", apiVersion: "v1", metadata: { name: "a" } }));
    let seen: Call | undefined;
    const handle = async (call: Call): Promise<Reply> => {
      seen = call;
      return { status: 200, headers, body: big };
    };
    const transport = createInProcessTransport(handle, { username: "kube-scheduler" });
    const response = await transport({ method: "GET", path: "/api?x=1", headers: { "X-Thing": ["a", "b"] } });
    expect([seen?.path, seen?.query.get("x"), seen?.headers["x-thing"], seen?.user?.username]).toEqual([
      "/api",
      "1",
      ["a", "b"],
      "kube-scheduler",
    ]);
    expect((await bytesOf(response.body))[0]).toBe(big);
    const pod = await createClient({ transport }).get(Pods, { namespace: "default", name: "a" });
    expect(pod.metadata.name).toBe("a");
  });

  it("answers with a refusal's Status, and 500 for a defect", async () => {
    for (const [error, status] of [
      [refusals.notFound({ group: "", resource: "pods" }, "a"), 404],
      [new Error("a defect"), 500],
    ] as const) {
      const transport = createInProcessTransport(() => Promise.reject(error), {});
      expect((await transport({ method: "GET", path: "/" })).status).toBe(status);
    }
  });

  it("refuses bodies above the limit when they are read", async () => {
    const transport = createInProcessTransport(
      async (call) => ({ status: 200, headers, body: await call.body() }),
      {},
      { maxBodyBytes: 10 },
    );
    expect((await transport({ method: "POST", path: "/", body: "0123456789" })).status).toBe(200);
    expect((await transport({ method: "POST", path: "/", body: new Uint8Array(11) })).status).toBe(413);
  });

  it("fails with the signal's reason, before and after the answer", async () => {
    const never = createInProcessTransport(() => new Promise<Reply>(() => {}), {});
    const controller = new AbortController();
    const waiting = never({ method: "GET", path: "/" }, controller.signal);
    controller.abort(new Error("enough"));
    await expect(waiting).rejects.toThrow("enough");
    await expect(never({ method: "GET", path: "/" }, controller.signal)).rejects.toThrow("enough");

    async function* watch(signal: AbortSignal): AsyncGenerator<Buffer> {
      yield Buffer.from("one");
      await new Promise((resolve) => {
        signal.addEventListener("abort", resolve);
      });
    }
    const streaming = createInProcessTransport(
      async ({ signal }) => ({ status: 200, headers, body: watch(signal) }),
      {},
    );
    const second = new AbortController();
    const response = await streaming({ method: "GET", path: "/" }, second.signal);
    const read = bytesOf(response.body);
    second.abort(new Error("enough of it"));
    await expect(read).rejects.toThrow("enough of it");
  });

  it("tells the handler when the reader stops early", async () => {
    let told = false;
    async function* watch(): AsyncGenerator<Buffer> {
      for (;;) yield Buffer.from("one");
    }
    const transport = createInProcessTransport(async ({ signal }) => {
      signal.addEventListener("abort", () => {
        told = true;
      });
      return { status: 200, headers, body: watch() };
    }, {});
    for await (const chunk of (await transport({ method: "GET", path: "/", kind: "watch" })).body) {
      expect(String(chunk)).toBe("one");
      break;
    }
    expect(told).toBe(true);
  });
});
