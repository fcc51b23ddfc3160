import { seededRandom } from "@fleetwright/kube";
import type { PatchCase } from "./merge-cases.ts";
import { subjects, type SubjectName } from "./objects.ts";
import { chooser, randomStrategicPatch } from "./random-patch.ts";

const pod = (spec: unknown): unknown => ({ spec: { template: { spec } } });
const web = (fields: object): unknown => pod({ containers: [{ name: "web", ...fields }] });
const finalizers = (fields: object): unknown => ({ metadata: fields });

const tables: Readonly<Record<SubjectName, readonly unknown[]>> = {
  deployment: [
    {},
    [],
    null,
    { spec: { replicas: 7 } },
    { spec: { replicas: null } },
    { spec: { replicas: "7" } },
    web({ image: "web:2" }),
    web({ image: null }),
    web({ env: [{ name: "B", value: "changed" }] }),
    web({ env: [{ name: "B", value: null }] }),
    web({ env: [{ name: "D", value: "4" }] }),
    web({
      env: [
        { name: "D", value: "4" },
        { name: "A", value: "9" },
      ],
    }),
    web({ env: [{ name: "B", $patch: "delete" }] }),
    web({ env: [{ name: "missing", $patch: "delete" }] }),
    web({ env: [{ $patch: "delete" }] }),
    web({ env: [{ value: "no name" }] }),
    web({ env: [{ name: "Z", value: "26" }, { $patch: "replace" }] }),
    web({ env: [{ $patch: "replace" }] }),
    web({ env: [{ name: "A", $patch: "merge" }] }),
    web({ env: [{ name: "A", $patch: "what" }] }),
    web({ env: [] }),
    web({ env: null }),
    web({ env: ["A"] }),
    web({ env: "A" }),
    web({ env: { name: "A" } }),
    web({ $setElementOrder: [] }),
    web({ "$setElementOrder/env": [{ name: "C" }, { name: "A" }, { name: "B" }] }),
    web({ "$setElementOrder/env": [{ name: "C" }, { name: "A" }] }),
    web({ "$setElementOrder/env": [{ name: "C" }, { name: "D" }, { name: "A" }], env: [{ name: "D", value: "4" }] }),
    web({ "$setElementOrder/env": [{ name: "C" }, { name: "A" }], env: [{ name: "D", value: "4" }] }),
    web({
      "$setElementOrder/env": [{ name: "A" }, { name: "D" }],
      env: [
        { name: "D", value: "4" },
        { name: "A", value: "1" },
      ],
    }),
    web({ "$setElementOrder/env": [{ name: "C" }, { name: "B" }], env: [{ name: "A", $patch: "delete" }] }),
    web({ "$setElementOrder/env": [{ value: "C" }] }),
    web({ "$setElementOrder/env": "A" }),
    web({ "$setElementOrder/env": [] }),
    web({ "$setElementOrder/env": [], env: [] }),
    web({ "$setElementOrder/lifecycle": [{ name: "A" }] }),
    web({ ports: [{ containerPort: 80, name: "web" }] }),
    web({ ports: [{ containerPort: 443 }] }),
    web({ ports: [{ containerPort: 9090, $patch: "delete" }] }),
    web({ ports: [{ containerPort: "9090", $patch: "delete" }] }),
    web({ ports: [{ name: "http", containerPort: 8080 }] }),
    web({ command: ["other"] }),
    web({ command: [] }),
    web({ command: null }),
    web({ resources: { requests: { cpu: "1" } } }),
    web({ resources: { requests: { cpu: null, "nvidia.com/gpu": "1" } } }),
    web({ resources: { $patch: "replace", requests: { cpu: "2" } } }),
    web({ resources: { $patch: "delete" } }),
    web({ resources: { $patch: "merge" } }),
    web({ resources: null }),
    web({ volumeMounts: [{ mountPath: "/scratch", readOnly: true }] }),
    web({ volumeMounts: [{ mountPath: "/scratch", $patch: "delete" }] }),
    web({ securityContext: { runAsUser: 5, $patch: "replace" } }),
    web({ securityContext: { $patch: "delete" } }),
    web({ securityContext: { runAsUser: 5, capabilities: { add: ["X"], drop: null } } }),
    pod({ containers: [{ name: "sidecar", $patch: "delete" }] }),
    pod({ containers: [{ name: "new", image: "new:1" }] }),
    pod({ containers: [{ name: "new", image: "new:1", env: [{ name: "A", $patch: "delete" }] }] }),
    pod({ containers: [{ name: "new", image: "new:1", env: null, command: ["x", null] }] }),
    pod({ containers: [{ name: "new", image: "new:1" }, { $patch: "replace" }] }),
    pod({ containers: [{ name: "web", image: "web:3", $patch: "replace" }] }),
    pod({ containers: [{ image: "nameless:1" }] }),
    pod({
      containers: [
        { name: "sidecar", args: ["-q"] },
        { name: "web", image: "web:9" },
      ],
    }),
    pod({ "$setElementOrder/containers": [{ name: "sidecar" }, { name: "web" }] }),
    pod({
      "$setElementOrder/containers": [{ name: "sidecar" }, { name: "new" }, { name: "web" }],
      containers: [
        { name: "new", image: "new:1" },
        { name: "web", image: "web:2" },
      ],
    }),
    pod({ initContainers: null }),
    pod({ initContainers: [{ name: "second", image: "s:1" }] }),
    pod({ volumes: [{ name: "scratch", emptyDir: { medium: "Memory" } }] }),
    pod({ volumes: [{ name: "scratch", $retainKeys: ["name", "configMap"], configMap: { name: "c" } }] }),
    pod({ volumes: [{ name: "scratch", $retainKeys: ["name"], configMap: { name: "c" } }] }),
    pod({ volumes: [{ name: "scratch", $retainKeys: "name", configMap: { name: "c" } }] }),
    pod({ volumes: [{ name: "scratch", $retainKeys: ["name", "emptyDir"] }] }),
    pod({ volumes: [{ name: "scratch", emptyDir: null, configMap: { name: "c" } }] }),
    pod({ volumes: [{ name: "extra", $retainKeys: ["name", "emptyDir"], emptyDir: {} }] }),
    pod({
      volumes: [
        { name: "config", $patch: "delete" },
        { name: "scratch", $patch: "delete" },
      ],
    }),
    pod({ tolerations: [{ operator: "Exists" }] }),
    pod({ tolerations: [] }),
    pod({ tolerations: null }),
    pod({ imagePullSecrets: [{ name: "two", $patch: "delete" }, { name: "three" }] }),
    pod({ hostAliases: [{ ip: "10.0.0.1", hostnames: ["c"] }] }),
    pod({ hostAliases: [{ ip: "10.0.0.2", hostnames: ["c"] }] }),
    pod({ nodeSelector: { zone: null, rack: "7" } }),
    pod({ nodeSelector: { $patch: "replace", rack: "7" } }),
    pod({ nodeSelector: { $patch: "delete" } }),
    pod({ nodeSelector: null }),
    pod({
      affinity: {
        nodeAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: {
            nodeSelectorTerms: [{ matchExpressions: [{ key: "a", operator: "Exists" }] }],
          },
        },
      },
    }),
    pod({ topologySpreadConstraints: [{ topologyKey: "zone", maxSkew: 1, whenUnsatisfiable: "DoNotSchedule" }] }),
    { spec: { strategy: { type: "Recreate" } } },
    { spec: { strategy: { $retainKeys: ["type"], type: "Recreate" } } },
    { spec: { strategy: { $retainKeys: ["type"], rollingUpdate: { maxSurge: 2 } } } },
    { spec: { strategy: { $patch: "replace", type: "Recreate" } } },
    { spec: { strategy: { rollingUpdate: { maxSurge: 2 } } } },
    { spec: { selector: { matchLabels: { app: "other" } } } },
    { spec: { unknown: { a: 1 } } },
    { $patch: "replace", spec: {} },
    { $patch: "delete" },
    { $patch: "what" },
    { spec: { $patch: "delete" } },
  ],
  configMap: [
    { data: { c: "3" } },
    { data: { "a.conf": null } },
    { data: { $patch: "replace", only: "this" } },
    { data: { $patch: "delete" } },
    { data: null },
    { data: "x" },
    JSON.parse('{"data":{"__proto__":"own"}}'),
    finalizers({ finalizers: ["example.com/c"] }),
    finalizers({ finalizers: ["example.com/c", "example.com/a"] }),
    finalizers({ finalizers: ["example.com/a", "example.com/a"] }),
    finalizers({ finalizers: [] }),
    finalizers({ finalizers: null }),
    finalizers({ finalizers: [{ name: "x" }] }),
    finalizers({ finalizers: [["x"]] }),
    finalizers({ finalizers: [7] }),
    finalizers({ "$deleteFromPrimitiveList/finalizers": ["example.com/a"] }),
    finalizers({ "$deleteFromPrimitiveList/finalizers": ["example.com/none"] }),
    finalizers({ "$deleteFromPrimitiveList/finalizers": ["example.com/a", "example.com/b"] }),
    finalizers({ "$deleteFromPrimitiveList/finalizers": "example.com/a" }),
    finalizers({ "$deleteFromPrimitiveList/finalizers": null }),
    finalizers({ "$deleteFromPrimitiveList/ownerReferences": ["x"] }),
    finalizers({ $deleteFromPrimitiveList: ["x"] }),
    finalizers({ "$deleteFromPrimitiveList/finalizers": ["example.com/a"], finalizers: ["example.com/c"] }),
    finalizers({ "$setElementOrder/finalizers": ["example.com/b", "example.com/a"] }),
    finalizers({ "$setElementOrder/finalizers": ["example.com/b", "example.com/c"], finalizers: ["example.com/c"] }),
    finalizers({ "$setElementOrder/finalizers": ["example.com/b"], finalizers: ["example.com/c"] }),
    finalizers({
      "$setElementOrder/finalizers": ["example.com/c", "example.com/b"],
      "$deleteFromPrimitiveList/finalizers": ["example.com/a"],
      finalizers: ["example.com/c"],
    }),
    finalizers({ ownerReferences: [{ apiVersion: "v1", kind: "Pod", name: "p", uid: "u" }] }),
    finalizers({ ownerReferences: [{ uid: "u", $patch: "delete" }] }),
    finalizers({ labels: { app: null, more: "x" } }),
    finalizers({ labels: { $patch: "replace", more: "x" } }),
    finalizers({ annotations: null }),
    finalizers({ name: "other" }),
  ],
  service: [
    { spec: { ports: [{ port: 80, targetPort: 81 }] } },
    { spec: { ports: [{ port: 443, name: "https" }] } },
    { spec: { ports: [{ port: 9090, $patch: "delete" }] } },
    {
      spec: {
        ports: [
          { port: 80, $patch: "delete" },
          { port: 9090, $patch: "delete" },
        ],
      },
    },
    { spec: { ports: [{ $patch: "replace" }, { port: 1 }] } },
    { spec: { externalIPs: ["192.0.2.3"] } },
    { spec: { "$deleteFromPrimitiveList/externalIPs": ["192.0.2.1"] } },
    { spec: { "$setElementOrder/ports": [{ port: 9090 }, { port: 80 }] } },
    { spec: { selector: null } },
  ],
  pod: [
    { spec: { containers: [{ name: "web", image: "web:2" }] } },
    { spec: { containers: [{ name: "sidecar", $patch: "delete" }] } },
    { spec: { tolerations: [{ operator: "Exists" }] } },
    { spec: { activeDeadlineSeconds: 60 } },
    { metadata: { "$deleteFromPrimitiveList/finalizers": ["example.com/a"] } },
    { status: { phase: "Running" } },
  ],
};

export const strategicTable: readonly PatchCase[] = Object.entries(tables).flatMap(([on, patches]) =>
  patches.map((patch) => ({ on: on as SubjectName, patch })),
);

export function randomStrategicCases(seed: number, count: number): readonly PatchCase[] {
  const choose = chooser(seededRandom(seed + 1));
  return Array.from({ length: count }, () => {
    const on = choose.from<SubjectName>(["configMap", "deployment", "deployment", "deployment", "service"]);
    return { on, patch: randomStrategicPatch(choose, subjects[on].object) };
  });
}
