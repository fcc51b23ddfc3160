import { Nodes, Pods, PriorityClasses } from "@fleetwright/kube";
import type { Affinity, Pod, PodSpec } from "@fleetwright/kube";
import { exclusive, scenario } from "../scenario.ts";
import type { Named, Scenario, Steps } from "../scenario.ts";

const pod = (name: string, spec: Partial<PodSpec> = {}, labels: Readonly<Record<string, string>> = {}): Named<Pod> => ({
  metadata: { name, labels },
  spec: { terminationGracePeriodSeconds: 1, containers: [{ name: "main", image: "registry.example/main:1" }], ...spec },
});
const made =
  (name: string, spec: Partial<PodSpec> = {}, labels: Readonly<Record<string, string>> = {}) =>
  (steps: Steps): Promise<void> =>
    steps.create(Pods, pod(name, spec, labels));
const asks = (requests: Readonly<Record<string, string>>): Partial<PodSpec> => ({
  containers: [{ name: "main", image: "registry.example/main:1", resources: { requests, limits: requests } }],
});
const on = (node: number): Partial<PodSpec> => ({ nodeSelector: { "kubernetes.io/hostname": `node-${node}` } });
const hostname = "kubernetes.io/hostname";
const required = (operator: string, values?: readonly string[], key = hostname): { affinity: Affinity } => ({
  affinity: {
    nodeAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: {
        nodeSelectorTerms: [{ matchExpressions: [{ key, operator, ...(values && { values }) }] }],
      },
    },
  },
});
const apart = (app: string): { affinity: Affinity } => ({
  affinity: {
    podAntiAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: [
        { labelSelector: { matchLabels: { app } }, topologyKey: hostname },
      ],
    },
  },
});
const together = (app: string): { affinity: Affinity } => ({
  affinity: {
    podAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: [
        { labelSelector: { matchLabels: { app } }, topologyKey: hostname },
      ],
    },
  },
});
const node = (name: string, patch: object) => (steps: Steps) =>
  steps.client.patch(Nodes, { name }, { type: "merge", patch }).then(() => {});
const tainted = (name: string, taints: readonly object[] | null) => node(name, { spec: { taints } });

export const schedulingScenarios: readonly Scenario[] = [
  scenario("sched-plain", made("a")),
  scenario("sched-too-large", made("a", asks({ cpu: "100" }))),
  scenario("sched-too-much-memory", made("a", asks({ memory: "1Ti" }))),
  scenario("sched-too-many-gpus", made("a", asks({ "nvidia.com/gpu": "5" }))),
  scenario("sched-gpus", made("a", asks({ "nvidia.com/gpu": "1" }))),
  scenario("sched-unknown-resource", made("a", asks({ "example.com/thing": "1" }))),
  scenario("sched-two-lacks", made("a", asks({ cpu: "100", memory: "1Ti" }))),
  exclusive("sched-selector", made("a", on(2))),
  scenario("sched-selector-nobody", made("a", { nodeSelector: { absent: "yes" } })),
  exclusive("sched-affinity-in", made("a", required("In", ["node-3"]))),
  exclusive("sched-affinity-not-in", made("a", required("NotIn", ["node-0", "node-1", "node-2"]))),
  scenario("sched-affinity-exists", made("a", required("Exists", undefined, "absent"))),
  scenario("sched-affinity-gt", made("a", required("Gt", ["3"], "nvidia.com/gpu.count"))),
  scenario("sched-affinity-lt", made("a", required("Lt", ["3"], "nvidia.com/gpu.count"))),
  scenario("sched-gated", made("a", { schedulingGates: [{ name: "example.com/wait" }] }), (steps) =>
    steps.patch(Pods, "a", { spec: { schedulingGates: [] } }),
  ),
  scenario("sched-other-scheduler", made("a", { schedulerName: "other" })),
  exclusive("sched-node-name", made("a", { nodeName: "node-1" })),
  exclusive(
    "sched-host-port",
    made("a", {
      ...on(1),
      containers: [{ name: "main", image: "registry.example/main:1", ports: [{ containerPort: 80, hostPort: 8080 }] }],
    }),
    made("b", {
      ...on(1),
      containers: [{ name: "main", image: "registry.example/main:1", ports: [{ containerPort: 80, hostPort: 8080 }] }],
    }),
  ),
  exclusive(
    "sched-anti-affinity",
    made("a", on(0), { app: "x" }),
    made("b", { ...on(0), ...apart("x") }, { app: "x" }),
  ),
  exclusive(
    "sched-existing-anti-affinity",
    made("a", { ...on(0), ...apart("x") }, { app: "x" }),
    made("b", on(0), { app: "x" }),
  ),
  exclusive("sched-affinity-with", made("a", on(3), { app: "x" }), made("b", together("x"))),
  scenario("sched-affinity-nobody", made("a", together("nobody"))),
  scenario("sched-affinity-self", made("a", together("self"), { app: "self" })),
  exclusive(
    "sched-spread",
    made("a", on(0), { app: "x" }),
    made(
      "b",
      {
        ...on(0),
        topologySpreadConstraints: [
          {
            maxSkew: 1,
            topologyKey: hostname,
            whenUnsatisfiable: "DoNotSchedule",
            nodeAffinityPolicy: "Ignore",
            labelSelector: { matchLabels: { app: "x" } },
          },
        ],
      },
      { app: "x" },
    ),
  ),
  scenario(
    "sched-spread-no-label",
    made(
      "a",
      {
        topologySpreadConstraints: [
          {
            maxSkew: 1,
            topologyKey: "absent",
            whenUnsatisfiable: "DoNotSchedule",
            labelSelector: { matchLabels: { app: "x" } },
          },
        ],
      },
      { app: "x" },
    ),
  ),
  exclusive(
    "sched-cordon",
    node("node-0", { spec: { unschedulable: true } }),
    made("a", on(0)),
    node("node-0", { spec: { unschedulable: null } }),
    (steps) => steps.pass(12_000),
  ),
  exclusive(
    "sched-taint",
    tainted("node-0", [{ key: "gpu", value: "a", effect: "NoSchedule" }]),
    made("a", on(0)),
    made("b", { ...on(0), tolerations: [{ key: "gpu", operator: "Equal", value: "a", effect: "NoSchedule" }] }),
    tainted("node-0", null),
    (steps) => steps.pass(12_000),
  ),
  exclusive(
    "sched-taint-evicts",
    made("a", on(1)),
    made("b", { ...on(1), tolerations: [{ key: "broken", operator: "Exists", effect: "NoExecute" }] }),
    tainted("node-1", [{ key: "broken", effect: "NoExecute" }]),
    tainted("node-1", null),
  ),
  exclusive(
    "sched-taint-evicts-later",
    made("a", {
      ...on(1),
      tolerations: [{ key: "broken", operator: "Exists", effect: "NoExecute", tolerationSeconds: 3 }],
    }),
    tainted("node-1", [{ key: "broken", effect: "NoExecute" }]),
    (steps) => steps.pass(4_000),
    tainted("node-1", null),
  ),
  exclusive(
    "sched-preempts",
    (steps) =>
      steps.client.create(PriorityClasses, { metadata: { name: "high" }, value: 1000 }).then(
        () => {},
        () => {},
      ),
    made("low", { ...on(2), ...asks({ cpu: "10" }) }),
    made("high", { ...on(2), ...asks({ cpu: "10" }), priorityClassName: "high" }),
    (steps) => steps.pass(5_000),
  ),
  exclusive(
    "sched-preempts-never",
    (steps) =>
      steps.client
        .create(PriorityClasses, { metadata: { name: "polite" }, value: 1000, preemptionPolicy: "Never" })
        .then(
          () => {},
          () => {},
        ),
    made("low", { ...on(2), ...asks({ cpu: "10" }) }),
    made("high", { ...on(2), ...asks({ cpu: "10" }), priorityClassName: "polite" }),
  ),
  exclusive(
    "sched-waits-for-room",
    made("a", { ...on(3), ...asks({ cpu: "10" }) }),
    made("b", { ...on(3), ...asks({ cpu: "10" }) }),
    (steps) => steps.remove(Pods, "a"),
    (steps) => steps.pass(5_000),
  ),
];
