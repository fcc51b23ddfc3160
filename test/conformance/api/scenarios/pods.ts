import { area } from "../scenario.ts";
import type { Session } from "../scenario.ts";
import { pod, types } from "./requests.ts";

const pods = ({ namespace }: Session): string => `/api/v1/namespaces/${namespace}/pods`;

export const podScenarios = area("pods", {
  "a binding gives a pod its node, once": async (session) => {
    await session.given("POST", pods(session), pod("p"));
    const bind = (node: string): Promise<unknown> =>
      session.send("POST", `${pods(session)}/p/binding`, {
        body: { apiVersion: "v1", kind: "Binding", metadata: { name: "p" }, target: { kind: "Node", name: node } },
      });
    await bind("");
    await bind("n1");
    await bind("n2");
    await session.send("GET", `${pods(session)}/p`);
    await session.send("POST", `/api/v1/namespaces/${session.namespace}/bindings`, {
      body: { metadata: { name: "none" }, target: { kind: "Node", name: "n1" } },
    });
  },
  "scheduling gates hold a pod": async (session) => {
    await session.send("POST", pods(session), { body: pod("p", { schedulingGates: [{ name: "example.com/wait" }] }) });
    await session.send("POST", `${pods(session)}/p/binding`, {
      body: { metadata: { name: "p" }, target: { kind: "Node", name: "n1" } },
    });
    await session.send("PATCH", `${pods(session)}/p`, {
      headers: types.merge,
      body: { spec: { schedulingGates: [{ name: "b" }] } },
    });
    await session.send("PATCH", `${pods(session)}/p`, {
      headers: types.merge,
      body: { spec: { nodeSelector: { a: "b" } } },
    });
    await session.send("PATCH", `${pods(session)}/p`, {
      headers: types.merge,
      body: { spec: { schedulingGates: null } },
    });
  },
  "little of a pod's spec changes": async (session) => {
    await session.given("POST", pods(session), pod("p"));
    for (const spec of [
      { nodeName: "x" },
      { containers: [{ name: "main", image: "other:2" }] },
      { activeDeadlineSeconds: 10 },
      { tolerations: [{ key: "k", operator: "Exists" }] },
      { restartPolicy: "Never" },
      { priority: 5 },
      { hostNetwork: true },
      { terminationGracePeriodSeconds: 1 },
      { containers: [{ name: "new", image: "i" }] },
    ])
      await session.send("PATCH", `${pods(session)}/p?dryRun=All`, { headers: types.strategic, body: { spec } });
  },
  "ephemeral containers come by their subresource": async (session) => {
    await session.given("POST", pods(session), pod("p"));
    const body = { spec: { ephemeralContainers: [{ name: "debug", image: "busybox" }] } };
    await session.send("PATCH", `${pods(session)}/p`, { headers: types.strategic, body });
    await session.send("PATCH", `${pods(session)}/p/ephemeralcontainers`, { headers: types.strategic, body });
    await session.send("PATCH", `${pods(session)}/p/ephemeralcontainers`, {
      headers: types.merge,
      body: { spec: { ephemeralContainers: [] } },
    });
    await session.send("GET", `${pods(session)}/p/ephemeralcontainers`);
  },
  "resources change by resize": async (session) => {
    const resources = { requests: { cpu: "1", memory: "1Gi" }, limits: { cpu: "2", memory: "1Gi" } };
    await session.given("POST", pods(session), pod("p", { containers: [{ name: "main", image: "i", resources }] }));
    const send = (path: string, change: object): Promise<unknown> =>
      session.send("PATCH", `${pods(session)}/p${path}`, {
        headers: types.strategic,
        body: { spec: { containers: [{ name: "main", resources: change }] } },
      });
    await send("", { requests: { cpu: "1500m" } });
    await send("/resize", { requests: { cpu: "1500m" } });
    await send("/resize", { requests: { cpu: "5" } });
    await send("/resize", { limits: { memory: "512Mi" } });
    await session.send("PATCH", `${pods(session)}/p/resize`, {
      headers: types.strategic,
      body: { metadata: { labels: { a: "b" } }, spec: { nodeName: "n" } },
    });
  },
  "resources are validated and defaulted": async (session) => {
    for (const resources of [
      { limits: { cpu: "1" } },
      { requests: { cpu: "2" }, limits: { cpu: "1" } },
      { limits: { "nvidia.com/gpu": "1" } },
      { requests: { "nvidia.com/gpu": "1" } },
      { requests: { "nvidia.com/gpu": "1" }, limits: { "nvidia.com/gpu": "2" } },
      { limits: { "nvidia.com/gpu": "1500m" } },
      { limits: { cpu: "-1" } },
      { limits: { cpu: "x" } },
      { requests: { gpu: "1" } },
      { requests: { memory: "100m" } },
    ])
      await session.send("POST", `${pods(session)}?dryRun=All`, {
        body: pod("p", { containers: [{ name: "main", image: "i", resources }] }),
      });
  },
  "fields of a pod are validated": async (session) => {
    const main = { name: "main", image: "i" };
    const specs: readonly object[] = [
      { containers: [main, main] },
      { containers: [{ name: "Main", image: "i" }] },
      { containers: [{ name: "main" }] },
      { containers: [{ ...main, ports: [{ containerPort: 0 }] }] },
      {
        containers: [
          {
            ...main,
            ports: [
              { containerPort: 80, name: "a" },
              { containerPort: 81, name: "a" },
            ],
          },
        ],
      },
      { containers: [{ ...main, env: [{ name: "" }] }] },
      {
        containers: [
          { ...main, env: [{ name: "A", value: "1", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } }] },
        ],
      },
      { containers: [{ ...main, volumeMounts: [{ name: "none", mountPath: "/x" }] }] },
      { volumes: [{ name: "v" }] },
      { volumes: [{ name: "v", emptyDir: {}, hostPath: { path: "/" } }] },
      { containers: [{ ...main, livenessProbe: { httpGet: { port: 80 } } }] },
      { containers: [{ ...main, livenessProbe: {} }] },
      { containers: [{ ...main, imagePullPolicy: "Sometimes" }] },
      { restartPolicy: "Maybe" },
      { dnsPolicy: "None" },
      { tolerations: [{ key: "a", operator: "Exists", value: "b" }] },
      { affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [] } } } },
      { topologySpreadConstraints: [{ maxSkew: 0, topologyKey: "z", whenUnsatisfiable: "DoNotSchedule" }] },
      { terminationGracePeriodSeconds: -1 },
      { activeDeadlineSeconds: 0 },
      { securityContext: { runAsUser: -1 } },
      { hostname: "Bad_Host" },
      { nodeSelector: { "bad key": "x" } },
      { initContainers: [main] },
      { priorityClassName: "none" },
      { serviceAccountName: "none" },
      { containers: null },
      { overhead: { cpu: "1" } },
      { runtimeClassName: "none" },
      { os: { name: "plan9" } },
      { hostAliases: [{ ip: "x" }] },
      { imagePullSecrets: [{ name: "" }] },
      { schedulerName: "Bad Name" },
      { resourceClaims: [{ name: "c" }] },
    ];
    for (const spec of specs)
      await session.send("POST", `${pods(session)}?dryRun=All`, { body: pod("p", spec), pick: withoutPod });
  },
  "a pod gets what its service account brings": async (session) => {
    const accounts = `/api/v1/namespaces/${session.namespace}/serviceaccounts`;
    await session.given("POST", accounts, {
      metadata: { name: "quiet" },
      automountServiceAccountToken: false,
      imagePullSecrets: [{ name: "reg" }],
    });
    await session.send("POST", pods(session), { body: pod("quiet", { serviceAccountName: "quiet" }) });
    await session.send("POST", pods(session), {
      body: pod("loud", { automountServiceAccountToken: true, serviceAccountName: "quiet" }),
    });
    await session.send("POST", pods(session), { body: pod("p") });
  },
  "what a pod asks of a kubelet needs a node": async (session) => {
    await session.given("POST", pods(session), pod("p"));
    await session.send("GET", `${pods(session)}/p/log`);
    await session.send("GET", `${pods(session)}/none/log`);
    await session.send("POST", `${pods(session)}/p/exec?command=ls`);
    await session.send("GET", `${pods(session)}/p/log?container=other`);
    await session.send("GET", `${pods(session)}/p/log?tailLines=-1`);
  },
  "logs have options": async (session) => {
    const two = { containers: ["a", "b"].map((name) => ({ name, image: "i" })) };
    await session.given("POST", pods(session), pod("p", two));
    for (const query of [
      "",
      "?container=b",
      "?container=b&limitBytes=0",
      "?container=b&sinceSeconds=0",
      "?container=b&tailLines=x",
      "?container=b&sinceSeconds=1&sinceTime=2026-01-01T00:00:00Z",
      "?container=b&stream=Stdout",
    ])
      await session.send("GET", `${pods(session)}/p/log${query}`);
    await session.send("POST", `${pods(session)}/p/attach`);
    await session.send("GET", `${pods(session)}/p/portforward`);
  },
  "a job without labels has those of its pods": async (session) => {
    const jobs = `/apis/batch/v1/namespaces/${session.namespace}/jobs`;
    const template = { spec: { restartPolicy: "Never", containers: [{ name: "a", image: "i" }] } };
    const labelled = { ...template, metadata: { labels: { app: "x" } } };
    await session.send("POST", jobs, { body: { metadata: { name: "none" }, spec: { template } } });
    await session.send("POST", jobs, { body: { metadata: { name: "some" }, spec: { template: labelled } } });
    await session.send("POST", jobs, {
      body: { metadata: { name: "own", labels: { app: "x" } }, spec: { template: labelled } },
    });
  },
  "classes of quality and phases are the server's to say": async (session) => {
    const resources = { limits: { cpu: "1", memory: "1Gi" } };
    await session.send("POST", pods(session), {
      body: { ...pod("g", { containers: [{ name: "main", image: "i", resources }] }), status: { phase: "Running" } },
    });
    await session.send("PATCH", `${pods(session)}/g/status`, {
      headers: types.merge,
      body: { status: { phase: "Running", podIP: "10.1.2.3", qosClass: "BestEffort" } },
    });
    await session.send("PATCH", `${pods(session)}/g/status`, {
      headers: types.merge,
      body: { status: { phase: "Dancing" } },
    });
  },
});

function withoutPod(body: unknown): unknown {
  const { kind } = body as { readonly kind: string };
  return kind === "Pod" ? "accepted" : body;
}
