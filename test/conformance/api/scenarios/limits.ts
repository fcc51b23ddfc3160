import { area } from "../scenario.ts";
import type { Session } from "../scenario.ts";
import { configMap, deployment, pod, types } from "./requests.ts";

const maps = ({ namespace }: Session): string => `/api/v1/namespaces/${namespace}/configmaps`;
const pods = ({ namespace }: Session): string => `/api/v1/namespaces/${namespace}/pods`;
const quotas = ({ namespace }: Session): string => `/api/v1/namespaces/${namespace}/resourcequotas`;
const ranges = ({ namespace }: Session): string => `/api/v1/namespaces/${namespace}/limitranges`;

export const limitScenarios = [
  ...area("limits", {
    "a quota counts and refuses": async (session) => {
      await session.given("POST", quotas(session), {
        metadata: { name: "q" },
        spec: { hard: { "count/configmaps": "2", pods: "1", "requests.cpu": "1" } },
      });
      await session.given(
        "PATCH",
        `${quotas(session)}/q/status`,
        {
          status: {
            hard: { "count/configmaps": "2", pods: "1", "requests.cpu": "1" },
            used: { "count/configmaps": "1", pods: "0", "requests.cpu": "0" },
          },
        },
        types.merge,
      );
      await session.pause(300);
      await session.send("POST", maps(session), { body: configMap("a") });
      await session.send("POST", maps(session), { body: configMap("b") });
      await session.send("POST", pods(session), { body: pod("p") });
      await session.send("POST", pods(session), {
        body: pod("p", { containers: [{ name: "main", image: "i", resources: { requests: { cpu: "2" } } }] }),
      });
      await session.send("POST", pods(session), {
        body: pod("p", { containers: [{ name: "main", image: "i", resources: { requests: { cpu: "500m" } } }] }),
      });
      await session.send("POST", pods(session), {
        body: pod("q", { containers: [{ name: "main", image: "i", resources: { requests: { cpu: "100m" } } }] }),
      });
      await session.send("GET", `${quotas(session)}/q`);
    },
    "a quota without a status holds everything back": async (session) => {
      await session.given("POST", quotas(session), {
        metadata: { name: "q" },
        spec: { hard: { "count/configmaps": "2" } },
      });
      await session.pause(300);
      await session.send("POST", maps(session), { body: configMap("a") });
    },
    "quotas have scopes": async (session) => {
      for (const spec of [
        { hard: { pods: "1" }, scopes: ["BestEffort"] },
        { hard: { "requests.cpu": "1" }, scopes: ["BestEffort"] },
        { hard: { pods: "1" }, scopes: ["Nonsense"] },
        { hard: { pods: "1" }, scopes: ["Terminating", "NotTerminating"] },
        {
          hard: { pods: "1" },
          scopeSelector: { matchExpressions: [{ scopeName: "PriorityClass", operator: "In", values: ["high"] }] },
        },
        { hard: { pods: "1" }, scopeSelector: { matchExpressions: [{ scopeName: "PriorityClass", operator: "In" }] } },
        { hard: { "bad resource": "1" } },
        { hard: { cpu: "x" } },
        { hard: { "count/widgets.example.com": "5" } },
        { hard: { pods: "1.5" } },
      ])
        await session.send("POST", `${quotas(session)}?dryRun=All`, { body: { metadata: { name: "q" }, spec } });
    },
    "a limit range defaults and refuses": async (session) => {
      await session.given("POST", ranges(session), {
        metadata: { name: "l" },
        spec: {
          limits: [
            {
              type: "Container",
              default: { cpu: "1" },
              defaultRequest: { cpu: "500m" },
              max: { cpu: "2" },
              min: { cpu: "100m" },
              maxLimitRequestRatio: { cpu: "4" },
            },
            { type: "Pod", max: { cpu: "3" } },
          ],
        },
      });
      await session.pause(500);
      await session.send("POST", pods(session), { body: pod("p") });
      for (const resources of [
        { limits: { cpu: "3" } },
        { requests: { cpu: "50m" } },
        { requests: { cpu: "200m" }, limits: { cpu: "2" } },
        { requests: { cpu: "1" } },
      ])
        await session.send("POST", `${pods(session)}?dryRun=All`, {
          body: pod("q", { containers: [{ name: "main", image: "i", resources }] }),
        });
      const big = { limits: { cpu: "2" } };
      await session.send("POST", `${pods(session)}?dryRun=All`, {
        body: pod("r", {
          containers: [
            { name: "a", image: "i", resources: big },
            { name: "b", image: "i", resources: big },
          ],
        }),
      });
    },
    "limit ranges are defaulted and validated": async (session) => {
      for (const limit of [
        { type: "Container", max: { cpu: "2" } },
        { type: "Container", default: { cpu: "3" }, max: { cpu: "2" } },
        { type: "Pod", default: { cpu: "1" } },
        { type: "Nothing" },
        { type: "PersistentVolumeClaim" },
        { type: "PersistentVolumeClaim", min: { storage: "1Gi" } },
        { type: "Container", maxLimitRequestRatio: { cpu: "500m" } },
      ])
        await session.send("POST", `${ranges(session)}?dryRun=All`, {
          body: { metadata: { name: "l" }, spec: { limits: [limit] } },
        });
    },
    "a limit range bounds claims": async (session) => {
      await session.given("POST", ranges(session), {
        metadata: { name: "l" },
        spec: { limits: [{ type: "PersistentVolumeClaim", min: { storage: "1Gi" }, max: { storage: "2Gi" } }] },
      });
      await session.pause(500);
      for (const storage of ["500Mi", "1Gi", "3Gi"])
        await session.send("POST", `/api/v1/namespaces/${session.namespace}/persistentvolumeclaims?dryRun=All`, {
          body: {
            metadata: { name: "c" },
            spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage } } },
          },
        });
    },
    "a priority class sets a pod's priority": async (session) => {
      await session.given("POST", "/apis/scheduling.k8s.io/v1/priorityclasses", {
        metadata: { name: session.unique },
        value: 77,
        preemptionPolicy: "Never",
      });
      await session.pause(500);
      await session.send("POST", pods(session), { body: pod("p", { priorityClassName: session.unique }) });
      await session.send("POST", pods(session), { body: pod("q", { priorityClassName: session.unique, priority: 5 }) });
      await session.send("POST", pods(session), { body: pod("r", { priorityClassName: "system-node-critical" }) });
      await session.send("PATCH", `/apis/scheduling.k8s.io/v1/priorityclasses/${session.unique}`, {
        headers: types.merge,
        body: { value: 78 },
      });
      await session.send("POST", "/apis/scheduling.k8s.io/v1/priorityclasses", {
        body: { metadata: { name: "system-mine" }, value: 5 },
      });
      await session.send("DELETE", "/apis/scheduling.k8s.io/v1/priorityclasses/system-node-critical?dryRun=All");
    },
    "a claim gets the default class": async (session) => {
      const claim = (name: string, spec: object = {}): object => ({
        metadata: { name },
        spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } }, ...spec },
      });
      const claims = `/api/v1/namespaces/${session.namespace}/persistentvolumeclaims`;
      const classes = "/apis/storage.k8s.io/v1/storageclasses";
      await session.given("POST", classes, {
        metadata: { name: session.unique, annotations: { "storageclass.kubernetes.io/is-default-class": "true" } },
        provisioner: "example.com/p",
      });
      await session.pause(500);
      await session.send("POST", claims, { body: claim("a") });
      await session.send("POST", claims, { body: claim("b", { storageClassName: "" }) });
      await session.send("DELETE", `${classes}/${session.unique}`);
      await session.pause(500);
    },
    "pod security is enforced by the namespace's labels": async (session) => {
      await session.given(
        "PATCH",
        `/api/v1/namespaces/${session.namespace}`,
        {
          metadata: {
            labels: {
              "pod-security.kubernetes.io/enforce": "baseline",
              "pod-security.kubernetes.io/warn": "restricted",
            },
          },
        },
        types.merge,
      );
      await session.pause(500);
      await session.send("POST", pods(session), { body: pod("p") });
      await session.send("POST", pods(session), {
        body: pod("q", {
          hostNetwork: true,
          containers: [{ name: "main", image: "i", securityContext: { privileged: true } }],
        }),
      });
      await session.send("POST", `/apis/apps/v1/namespaces/${session.namespace}/deployments`, {
        body: deployment("d"),
      });
      await session.send("PATCH", `/api/v1/namespaces/${session.namespace}`, {
        headers: types.merge,
        body: { metadata: { labels: { "pod-security.kubernetes.io/enforce": "strict" } } },
      });
    },
  }),
];
