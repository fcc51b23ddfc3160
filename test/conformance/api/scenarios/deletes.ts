import { area } from "../scenario.ts";
import type { Session } from "../scenario.ts";
import { configMap, deployment, pod, stored, types } from "./requests.ts";

const maps = ({ namespace }: Session): string => `/api/v1/namespaces/${namespace}/configmaps`;
const pods = ({ namespace }: Session): string => `/api/v1/namespaces/${namespace}/pods`;
const sets = ({ namespace }: Session): string => `/apis/apps/v1/namespaces/${namespace}/replicasets`;
const options = (content: object): { readonly body: object } => ({
  body: { apiVersion: "v1", kind: "DeleteOptions", ...content },
});
const set = (name: string): object => {
  const { spec } = deployment(name) as { readonly spec: object };
  return { metadata: { name }, spec };
};

export const deleteScenarios = area("deletes", {
  "preconditions must hold": async (session) => {
    const { metadata } = stored(await session.given("POST", maps(session), configMap("a")));
    const path = `${maps(session)}/a`;
    await session.send("DELETE", path, options({ preconditions: { uid: "99999999-0000-0000-0000-000000000000" } }));
    await session.send("DELETE", path, options({ preconditions: { resourceVersion: "1" } }));
    await session.send(
      "DELETE",
      path,
      options({ preconditions: { uid: metadata.uid, resourceVersion: metadata.resourceVersion } }),
    );
  },
  "finalizers hold an object until the last is gone": async (session) => {
    const path = `${maps(session)}/a`;
    await session.given("POST", maps(session), configMap("a", {}, { finalizers: ["example.com/x", "example.com/y"] }));
    await session.send("DELETE", path);
    await session.send("DELETE", path);
    await session.send("PATCH", path, {
      headers: types.merge,
      body: { metadata: { finalizers: ["example.com/x", "example.com/y", "example.com/z"] } },
    });
    await session.send("PATCH", path, { headers: types.merge, body: { metadata: { finalizers: ["example.com/y"] } } });
    await session.send("PATCH", path, { headers: types.merge, body: { metadata: { finalizers: [] } } });
    await session.send("GET", path);
  },
  "propagation adds its finalizer or takes it away": async (session) => {
    for (const [name, policy] of [
      ["o", "Orphan"],
      ["f", "Foreground"],
      ["b", "Background"],
      ["n", "Nonsense"],
    ] as const) {
      await session.given("POST", sets(session), set(name));
      await session.send("DELETE", `${sets(session)}/${name}`, options({ propagationPolicy: policy }));
    }
    await session.given("POST", sets(session), set("old"));
    await session.send(
      "DELETE",
      `${sets(session)}/old`,
      options({ orphanDependents: true, propagationPolicy: "Orphan" }),
    );
    await session.send("DELETE", `${sets(session)}/old`, options({ orphanDependents: true }));
    await session.send("DELETE", `${sets(session)}/old?propagationPolicy=Background`);
  },
  "a pod that nobody runs goes at once, one on a node gets its grace": async (session) => {
    await session.given("POST", pods(session), pod("free"));
    await session.given("POST", pods(session), pod("bound", { nodeName: "n1" }));
    await session.send("DELETE", `${pods(session)}/free`);
    await session.send("DELETE", `${pods(session)}/bound`);
    await session.send("DELETE", `${pods(session)}/bound`, options({ gracePeriodSeconds: 60 }));
    await session.send("DELETE", `${pods(session)}/bound`, options({ gracePeriodSeconds: 5 }));
    await session.send("GET", `${pods(session)}/bound`);
    await session.send("DELETE", `${pods(session)}/bound`, options({ gracePeriodSeconds: 0 }));
    await session.send("GET", `${pods(session)}/bound`);
  },
  "the grace comes from the pod when not from the request": async (session) => {
    await session.given("POST", pods(session), pod("p", { nodeName: "n1", terminationGracePeriodSeconds: 7 }));
    await session.send("DELETE", `${pods(session)}/p?gracePeriodSeconds=-1`);
    await session.send("PATCH", `${pods(session)}/p`, {
      headers: types.merge,
      body: { metadata: { deletionGracePeriodSeconds: 99 } },
    });
  },
  "delete options can be wrong": async (session) => {
    await session.given("POST", maps(session), configMap("a"));
    const path = `${maps(session)}/a`;
    const headers = { "content-type": "application/json" };
    await session.send("DELETE", path, { headers, raw: "{" });
    await session.send("DELETE", path, { headers, raw: '{"kind":"Pod","apiVersion":"v1"}' });
    await session.send("DELETE", `${path}?gracePeriodSeconds=x`);
    await session.send("DELETE", path, options({ gracePeriodSeconds: -5 }));
    await session.send("DELETE", path, options({ dryRun: ["None"] }));
    await session.send("DELETE", path, options({ dryRun: ["All"] }));
    await session.send("DELETE", path, options({ unknown: 1 }));
    await session.send("DELETE", path);
  },
  "a collection is deleted by field and in all": async (session) => {
    for (const name of ["a", "b", "c"]) await session.given("POST", maps(session), configMap(name));
    await session.send("DELETE", `${maps(session)}?fieldSelector=metadata.name%3Da`);
    await session.send("DELETE", `${maps(session)}?dryRun=All`);
    await session.send("DELETE", `${maps(session)}?labelSelector=none`);
    await session.send("DELETE", maps(session));
    await session.send("GET", maps(session));
    await session.send("DELETE", "/api/v1/configmaps");
    await session.send("DELETE", `/api/v1/namespaces/${session.namespace}/services`);
  },
  "a namespace terminates and takes nothing new": async (session) => {
    const path = `/api/v1/namespaces/${session.namespace}`;
    await session.given("POST", maps(session), configMap("a"));
    await session.send("GET", path);
    await session.send("DELETE", path);
    await session.send("GET", path);
    await session.send("POST", maps(session), { body: configMap("b") });
    await session.send("PATCH", `${maps(session)}/a`, { headers: types.merge, body: { data: { x: "1" } } });
    await session.send("PUT", `${path}/finalize`, {
      body: { metadata: { name: session.namespace }, spec: { finalizers: [] } },
    });
    await session.send("GET", path);
  },
  "a namespace is held by both kinds of finalizers, and by preconditions": async (session) => {
    const { unique } = session;
    const path = `/api/v1/namespaces/${unique}-x`;
    await session.given("POST", "/api/v1/namespaces", {
      metadata: { name: `${unique}-x`, finalizers: ["example.com/a"] },
    });
    const uid = "00000000-0000-0000-0000-00000000000a";
    await session.send("DELETE", path, options({ preconditions: { uid } }));
    await session.send("DELETE", path, options({ preconditions: { resourceVersion: "1" } }));
    await session.send("DELETE", path, options({ propagationPolicy: "Foreground" }));
    await session.send("DELETE", path);
    await session.send("PUT", `${path}/finalize`, { body: { metadata: { name: `${unique}-x` }, spec: {} } });
    await session.send("DELETE", path);
    await session.send("GET", path);
    await session.send("PATCH", path, { headers: types.merge, body: { metadata: { finalizers: null } } });
    await session.send("GET", path);
  },
  "some namespaces stay": async (session) => {
    for (const name of ["default", "kube-system", "kube-public"])
      await session.send("DELETE", `/api/v1/namespaces/${name}?dryRun=All`);
  },
  "a service takes its endpoints with it": async (session) => {
    const root = `/api/v1/namespaces/${session.namespace}`;
    await session.given("POST", `${root}/services`, { metadata: { name: "a" }, spec: { ports: [{ port: 80 }] } });
    await session.given("POST", `${root}/endpoints`, { metadata: { name: "a" } });
    await session.send("DELETE", `${root}/services/a?dryRun=All`);
    await session.send("GET", `${root}/endpoints/a`);
    await session.send("DELETE", `${root}/services/a`);
    await session.send("GET", `${root}/endpoints/a`);
  },
  "an eviction deletes when the budget allows it": async (session) => {
    const { namespace } = session;
    const budgets = `/apis/policy/v1/namespaces/${namespace}/poddisruptionbudgets`;
    const evict = (name: string, more: object = {}): Promise<unknown> =>
      session.send("POST", `${pods(session)}/${name}/eviction`, {
        body: { apiVersion: "policy/v1", kind: "Eviction", metadata: { name, namespace }, ...more },
      });
    await session.given("POST", pods(session), pod("free"));
    await session.given("POST", pods(session), pod("kept", { nodeName: "n1" }, { labels: { app: "x" } }));
    await session.given(
      "PATCH",
      `${pods(session)}/kept/status`,
      { status: { phase: "Running", conditions: [{ type: "Ready", status: "True" }] } },
      types.merge,
    );
    await session.given("POST", budgets, {
      metadata: { name: "b" },
      spec: { minAvailable: 1, selector: { matchLabels: { app: "x" } } },
    });
    await evict("free", { deleteOptions: { dryRun: ["All"] } });
    await evict("free");
    await evict("kept");
    await session.given(
      "PATCH",
      `${budgets}/b/status`,
      {
        status: { observedGeneration: 1, disruptionsAllowed: 0, currentHealthy: 1, desiredHealthy: 1, expectedPods: 1 },
      },
      types.merge,
    );
    await evict("kept");
    await session.given("PATCH", `${budgets}/b/status`, { status: { disruptionsAllowed: 1 } }, types.merge);
    await evict("kept");
    await session.send("GET", `${budgets}/b`, {
      pick: (body) => (body as { readonly status: { readonly disruptionsAllowed: number } }).status.disruptionsAllowed,
    });
    await evict("none");
    await evict("kept", { metadata: { name: "other", namespace } });
  },
});
