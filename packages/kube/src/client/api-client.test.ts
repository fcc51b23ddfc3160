import type { IncomingMessage, ServerResponse } from "node:http";
import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import type { ClusterConfig } from "../config/cluster-config.ts";
import { ApiError, FleetwrightError, isExpired, TransportError } from "../core/errors.ts";
import type { KubeObject } from "../core/object.ts";
import type { Resource } from "../core/resource.ts";
import { VirtualClock } from "../core/virtual-clock.ts";
import type { Client } from "./client.ts";
import { createClient } from "./create-client.ts";
import { answerJson, collect, rawValues, rejection, serve } from "./scripted-server.ts";
import type { Transport, TransportRequest } from "./transport.ts";

const ConfigMaps: Resource = { group: "", version: "v1", kind: "ConfigMap", plural: "configmaps", namespaced: true };
const Deployments: Resource = {
  group: "apps",
  version: "v1",
  kind: "Deployment",
  plural: "deployments",
  namespaced: true,
};
const Nodes: Resource = { group: "", version: "v1", kind: "Node", plural: "nodes", namespaced: false };

const key = { namespace: "ns", name: "a" };

const configFor = (server: string): ClusterConfig => ({
  source: "test",
  server,
  namespace: "default",
  identity: { kind: "anonymous" },
});

/** A client of a server that answers as the function says. */
async function against(
  listener: (request: IncomingMessage, response: ServerResponse) => void,
  use: (client: Client, clock: VirtualClock) => Promise<void>,
  options: { readonly maxRetries?: number; readonly gzip?: boolean } = {},
): Promise<void> {
  await using server = await serve(listener);
  const clock = new VirtualClock();
  const client = createClient({ kubeconfig: configFor(server.url), clock, ...options });
  try {
    await use(client, clock);
  } finally {
    await client.close();
  }
}

describe("requests", () => {
  /** What a call sends. */
  async function sent(call: (client: Client) => Promise<unknown>): Promise<TransportRequest> {
    const requests: TransportRequest[] = [];
    const transport: Transport = async (request) => {
      requests.push(request);
      return {
        status: 200,
        headers: { "content-type": "application/json" },
        body: (async function* () {
          yield Buffer.from('{"items":[],"metadata":{},"status":{"token":"t","expirationTimestamp":"x"}}');
        })(),
      };
    };
    await call(createClient({ transport }));
    const [request] = requests;
    if (!request) throw new Error("nothing was sent");
    return request;
  }

  const object: KubeObject = { metadata: { ...key } };
  const cases: readonly [string, (client: Client) => Promise<unknown>, string, string?][] = [
    [
      "get",
      (client) => client.get(ConfigMaps, key, { resourceVersion: "0" }),
      "GET /api/v1/namespaces/ns/configmaps/a?resourceVersion=0",
    ],
    [
      "list of all namespaces",
      (client) => client.list(Deployments, { labelSelector: "a=b,c!=d" }),
      "GET /apis/apps/v1/deployments?labelSelector=a%3Db%2Cc%21%3Dd",
    ],
    [
      "list page",
      (client) => client.list(ConfigMaps, { namespace: "ns", limit: 5, continue: "x/y" }),
      "GET /api/v1/namespaces/ns/configmaps?limit=5&continue=x%2Fy",
    ],
    [
      "create",
      (client) => client.create(ConfigMaps, object, { dryRun: true, fieldManager: "me" }),
      "POST /api/v1/namespaces/ns/configmaps?fieldManager=me&dryRun=All",
    ],
    ["create in the cluster", (client) => client.create(Nodes, { metadata: { name: "n" } }), "POST /api/v1/nodes"],
    ["update", (client) => client.update(Deployments, object), "PUT /apis/apps/v1/namespaces/ns/deployments/a"],
    [
      "status",
      (client) => client.updateStatus(Deployments, object),
      "PUT /apis/apps/v1/namespaces/ns/deployments/a/status",
    ],
    [
      "JSON patch",
      (client) => client.patch(ConfigMaps, key, { type: "json", operations: [] }),
      "PATCH /api/v1/namespaces/ns/configmaps/a",
      "application/json-patch+json",
    ],
    [
      "merge patch",
      (client) => client.patch(ConfigMaps, key, { type: "merge", patch: {} }, { subresource: "status" }),
      "PATCH /api/v1/namespaces/ns/configmaps/a/status",
      "application/merge-patch+json",
    ],
    [
      "strategic patch",
      (client) => client.patch(ConfigMaps, key, { type: "strategic", patch: {} }),
      "PATCH /api/v1/namespaces/ns/configmaps/a",
      "application/strategic-merge-patch+json",
    ],
    [
      "apply",
      (client) => client.apply(ConfigMaps, object, { fieldManager: "me", force: true }),
      "PATCH /api/v1/namespaces/ns/configmaps/a?fieldManager=me&force=true",
      "application/apply-patch+yaml",
    ],
    ["delete", (client) => client.delete(ConfigMaps, key), "DELETE /api/v1/namespaces/ns/configmaps/a"],
    [
      "delete collection",
      (client) => client.deleteCollection(ConfigMaps, { namespace: "ns", fieldSelector: "metadata.name=a" }),
      "DELETE /api/v1/namespaces/ns/configmaps?fieldSelector=metadata.name%3Da",
    ],
    [
      "scale",
      (client) => client.updateScale(Deployments, key, { metadata: {}, spec: { replicas: 2 } }),
      "PUT /apis/apps/v1/namespaces/ns/deployments/a/scale",
    ],
    ["eviction", (client) => client.evict(key), "POST /api/v1/namespaces/ns/pods/a/eviction"],
    ["binding", (client) => client.bind(key, "node"), "POST /api/v1/namespaces/ns/pods/a/binding"],
    ["token", (client) => client.createToken(key), "POST /api/v1/namespaces/ns/serviceaccounts/a/token"],
    [
      "logs",
      (client) => collect(client.logs(key, { container: "c", tailLines: 10 })),
      "GET /api/v1/namespaces/ns/pods/a/log?container=c&tailLines=10",
    ],
  ];
  it.each(cases)("%s", async (_name, call, expected, contentType) => {
    const request = await sent(call);
    expect(`${request.method} ${request.path}`).toBe(expected);
    expect(request.headers?.["user-agent"]).toMatch(/^fleetwright\/\d+\.\d+\.\d+$/);
    const usual = request.method === "GET" ? undefined : "application/json";
    expect(request.headers?.["content-type"]).toBe(contentType ?? usual);
  });

  it("fills in kind and version, which objects of a list lack", async () => {
    const request = await sent((client) => client.update(Deployments, object));
    expect(JSON.parse(String(request.body))).toEqual({ apiVersion: "apps/v1", kind: "Deployment", ...object });
  });

  it("deletes with preconditions, propagation and grace in the body", async () => {
    const options = {
      preconditions: { uid: "u", resourceVersion: "1" },
      propagationPolicy: "Orphan",
      gracePeriodSeconds: 0,
    } as const;
    const request = await sent((client) => client.delete(ConfigMaps, key, { ...options, dryRun: true }));
    expect(JSON.parse(String(request.body))).toEqual({
      apiVersion: "v1",
      kind: "DeleteOptions",
      ...options,
      dryRun: ["All"],
    });
  });

  it("refuses keys that would address something else: an empty name, a missing namespace", async () => {
    for (const call of [
      (client: Client) => client.delete(ConfigMaps, { namespace: "ns", name: "" }),
      (client: Client) => client.delete(ConfigMaps, { name: "a" }),
      (client: Client) => client.create(ConfigMaps, { metadata: { name: "a" } }),
      (client: Client) => client.deleteCollection(ConfigMaps),
    ]) {
      const error = await rejection((async () => sent(call))());
      expect(error).toMatchObject({ code: "FW_KUBE_KEY" });
    }
  });

  it("impersonates with repeated groups, encoded keys and UTF-8 values", async () => {
    let request: IncomingMessage | undefined;
    await against(
      (incoming, response) => {
        request = incoming;
        answerJson(response, {});
      },
      async (client) => {
        const impersonate = { user: "jürgen", uid: "1", groups: ["a", "b"], extra: { "scope/Ü": ["r", "w"] } };
        await client.get(Nodes, { name: "n" }, { impersonate });
      },
    );
    if (!request) throw new Error("no request came");
    expect(Buffer.from(String(request.headers["impersonate-user"]), "latin1").toString("utf8")).toBe("jürgen");
    expect(rawValues(request, "impersonate-group")).toEqual(["a", "b"]);
    expect(rawValues(request, "impersonate-extra-scope%2f%c3%9c")).toEqual(["r", "w"]);
  });
});

describe("answers", () => {
  it("a 2xx whose JSON is cut is a TransportError, however politely the connection ended", async () => {
    await against(
      (_request, response) => response.end('{"kind":"ConfigMap","metadata":{"name":'),
      async (client) => {
        const error = await rejection(client.get(ConfigMaps, key));
        expect(error).toBeInstanceOf(TransportError);
        expect(error.message).toContain("not JSON, or was cut off, after 39 bytes");
      },
    );
  });

  it("a refusal that is not a Status is quoted", async () => {
    await against(
      (_request, response) => response.writeHead(502, { "content-type": "text/html" }).end("<html>Bad Gateway</html>"),
      async (client) => {
        const error = (await rejection(client.get(ConfigMaps, key))) as ApiError;
        expect(error).toBeInstanceOf(ApiError);
        expect([error.httpStatus, error.reason]).toEqual([502, "InternalError"]);
        expect(error.message).toContain("answered 502: <html>Bad Gateway</html>");
      },
    );
  });

  it("takes lists compressed", async () => {
    let accepted: string | undefined;
    await against(
      (request, response) => {
        accepted = request.headers["accept-encoding"];
        response
          .writeHead(200, { "content-encoding": "gzip" })
          .end(gzipSync('{"metadata":{},"items":[{"metadata":{"name":"ä"}}]}'));
      },
      async (client) => {
        expect((await client.list(Nodes)).items).toEqual([{ metadata: { name: "ä" } }]);
      },
      { gzip: true },
    );
    expect(accepted).toBe("gzip");
  });

  it("follows continue tokens, and tells an expired one as 410", async () => {
    const queries: string[] = [];
    await against(
      (request, response) => {
        queries.push(String(request.url?.split("?")[1]));
        if (queries.length < 3) answerJson(response, { metadata: { continue: `t${queries.length}` }, items: [] });
        else answerJson(response, { kind: "Status", code: 410, reason: "Expired", message: "too old" }, 410);
      },
      async (client) => {
        const error = await rejection(
          collect(client.pages(Nodes, { limit: 2, resourceVersion: "5", resourceVersionMatch: "Exact" })),
        );
        expect(isExpired(error)).toBe(true);
      },
    );
    expect(queries).toEqual([
      "limit=2&resourceVersion=5&resourceVersionMatch=Exact",
      "limit=2&continue=t1",
      "limit=2&continue=t2",
    ]);
  });
});

describe("a server that asks to wait", () => {
  const busy = (response: ServerResponse, seconds: string): void =>
    answerJson(response, { kind: "Status", code: 429, reason: "TooManyRequests", message: "busy" }, 429, {
      "retry-after": seconds,
    });

  it("is asked again after as long as it says", async () => {
    const times: number[] = [];
    let now = (): number => 0;
    await against(
      (_request, response) => {
        times.push(now());
        if (times.length < 3) busy(response, "2");
        else answerJson(response, { metadata: {} });
      },
      async (client, clock) => {
        const start = clock.now();
        now = () => clock.now() - start;
        const answer = client.create(Nodes, { metadata: { name: "n" } });
        // Time stands still while the socket works: it moves on only from one wait to the next.
        while (times.length < 3) await clock.advance(now() < times.length * 2000 && clock.pending > 1 ? 2000 : 0);
        await answer;
      },
    );
    expect(times).toEqual([0, 2000, 4000]);
  });

  it("is believed a bounded number of times", async () => {
    let requests = 0;
    await against(
      (_request, response) => {
        requests++;
        busy(response, "0");
      },
      async (client, clock) => {
        const error = rejection(client.get(Nodes, { name: "n" }));
        let over = false;
        void error.finally(() => (over = true));
        while (!over) await clock.advance(0);
        expect(await error).toMatchObject({ httpStatus: 429, retryAfterMs: 0 });
      },
      { maxRetries: 4 },
    );
    expect(requests).toBe(5);
  });

  it("is not waited for past the call's deadline: its word comes back at once", async () => {
    await against(
      (_request, response) => busy(response, "60"),
      async (client) => {
        expect(await rejection(client.get(Nodes, { name: "n" }, { timeoutMs: 5000 }))).toMatchObject({
          retryAfterMs: 60_000,
        });
      },
    );
  });

  it("is not asked again when it does not say when", async () => {
    let requests = 0;
    await against(
      (_request, response) => {
        requests++;
        answerJson(response, { kind: "Status", code: 503, message: "down" }, 503);
      },
      async (client) => {
        expect(await rejection(client.get(Nodes, { name: "n" }))).toMatchObject({ httpStatus: 503 });
      },
    );
    expect(requests).toBe(1);
  });
});

describe("deadlines", () => {
  it.each(["no answer", "half an answer"])("end a call on a half-open connection: %s", async (how) => {
    let arrived = (): void => undefined;
    const arrival = new Promise<void>((resolve) => (arrived = resolve));
    await against(
      (_request, response) => {
        if (how === "half an answer") response.write('{"kind":');
        arrived();
      },
      async (client, clock) => {
        const error = rejection(client.get(Nodes, { name: "n" }, { timeoutMs: 3000 }));
        await arrival;
        await clock.advance(2999);
        expect(clock.pending).toBe(1);
        await clock.advance(1);
        expect(await error).toBeInstanceOf(TransportError);
        expect((await error).message).toContain("no whole answer within 3000 ms");
        expect(clock.pending).toBe(0);
      },
    );
  });

  it("leave no timer behind a call that is over", async () => {
    await against(
      (_request, response) => answerJson(response, {}),
      async (client, clock) => {
        await client.get(Nodes, { name: "n" });
        expect(clock.pending).toBe(0);
      },
    );
  });
});

describe("watches", () => {
  it("end in the server's Status when it sends an ERROR event", async () => {
    await against(
      (_request, response) => {
        response.write('{"type":"ADDED","object":{"metadata":{"name":"a"}}}\n');
        response.end(
          '{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"too old resource version"}}\n',
        );
      },
      async (client) => {
        const seen: string[] = [];
        const error = await rejection(
          (async () => {
            for await (const event of client.watch(Nodes)) seen.push(event.type);
          })(),
        );
        expect(seen).toEqual(["ADDED"]);
        expect(isExpired(error)).toBe(true);
      },
    );
  });

  it("refused outright are an ApiError", async () => {
    await against(
      (_request, response) =>
        answerJson(response, { kind: "Status", code: 403, reason: "Forbidden", message: "no" }, 403),
      async (client) => expect(await rejection(collect(client.watch(Nodes)))).toMatchObject({ httpStatus: 403 }),
    );
  });

  it("left early end their request", async () => {
    let closed = (): void => undefined;
    const closing = new Promise<void>((resolve) => (closed = resolve));
    await against(
      (request, response) => {
        request.on("close", closed);
        response.write('{"type":"ADDED","object":{"metadata":{"name":"a"}}}\n');
      },
      async (client) => {
        for await (const event of client.watch(Nodes)) {
          expect(event.type).toBe("ADDED");
          break;
        }
        await closing;
      },
    );
  });
});

it("a kubeconfig that is not there is told when the client is made", () => {
  expect(() => createClient({ kubeconfig: "/nowhere/config" })).toThrow(FleetwrightError);
});
