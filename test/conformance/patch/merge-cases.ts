import { seededRandom } from "@fleetwright/kube";
import { subjects, type SubjectName } from "./objects.ts";
import { chooser, randomMergePatch } from "./random-patch.ts";

export interface PatchCase {
  readonly on: SubjectName;
  readonly patch: unknown;
}

const tables: Readonly<Record<SubjectName, readonly unknown[]>> = {
  configMap: [
    {},
    [],
    null,
    "text",
    { data: { c: "3" } },
    { data: { "a.conf": null } },
    { data: { "a.conf": null, "b.conf": null, empty: null } },
    { data: { missing: null } },
    { data: null },
    { data: {} },
    { data: { "a.conf": "changed", c: "3", empty: null } },
    { data: { c: { nested: "x" } } },
    { data: { c: ["x"] } },
    { data: ["x"] },
    { data: "x" },
    { data: { "a.conf": 7 } },
    { data: { __proto__x: "1", constructor: "2" } },
    JSON.parse('{"data":{"__proto__":"own"}}'),
    { metadata: { labels: null } },
    { metadata: { labels: { app: null } } },
    { metadata: { labels: { app: "b", new: "c" } } },
    { metadata: { annotations: { "example.com/a.b": null } } },
    { metadata: { finalizers: ["example.com/z"] } },
    { metadata: { finalizers: null } },
    { metadata: { finalizers: [] } },
    { metadata: { finalizers: [null] } },
    { metadata: { ownerReferences: [{ apiVersion: "v1", kind: "Pod", name: "p", uid: "u", controller: null }] } },
    { metadata: { name: "other" } },
    { metadata: { uid: "other" } },
    { metadata: { resourceVersion: "1" } },
    { metadata: { labels: { "a b": "c" } } },
    { immutable: true },
    { immutable: "yes" },
    { binaryData: { blob: null } },
    { kind: "Secret" },
  ],
  deployment: [
    { spec: { replicas: 5 } },
    { spec: { replicas: null } },
    { spec: { replicas: "5" } },
    { spec: { selector: null } },
    { spec: { template: { spec: { containers: [{ name: "only", image: "only:1" }] } } } },
    { spec: { template: { spec: { containers: [{ name: "only", image: "only:1", env: null }] } } } },
    { spec: { template: { spec: { containers: [] } } } },
    { spec: { template: { spec: { containers: null } } } },
    { spec: { template: { spec: { nodeSelector: { zone: null, pool: "b" } } } } },
    { spec: { template: { spec: { tolerations: null, hostAliases: null } } } },
    { spec: { template: { spec: { volumes: [{ name: "scratch", emptyDir: {} }] } } } },
    { spec: { template: { metadata: { labels: { extra: "1" } } } } },
    { spec: { strategy: { type: "Recreate" } } },
    { spec: { strategy: { type: "Recreate", rollingUpdate: null } } },
    { spec: { strategy: { rollingUpdate: { maxSurge: "50%" } } } },
    { spec: { paused: true, minReadySeconds: 3 } },
    { spec: "x" },
    { spec: null },
  ],
  service: [
    { spec: { ports: [{ name: "http", port: 80 }] } },
    { spec: { ports: [] } },
    { spec: { selector: null } },
    { spec: { selector: { app: "b" } } },
    { spec: { externalIPs: null } },
    { spec: { type: "NodePort" } },
    { spec: { clusterIP: "None" } },
  ],
  pod: [
    { spec: { activeDeadlineSeconds: 60 } },
    { spec: { activeDeadlineSeconds: null } },
    { spec: { containers: null } },
    { metadata: { labels: { a: "b" } } },
    { spec: { nodeName: "n" } },
  ],
};

export const mergeTable: readonly PatchCase[] = Object.entries(tables).flatMap(([on, patches]) =>
  patches.map((patch) => ({ on: on as SubjectName, patch })),
);

export function randomMergeCases(seed: number, count: number): readonly PatchCase[] {
  const choose = chooser(seededRandom(seed));
  const on = (): SubjectName => choose.from(["configMap", "deployment", "deployment", "service"]);
  return Array.from({ length: count }, () => {
    const name = on();
    return { on: name, patch: randomMergePatch(choose, subjects[name].object) };
  });
}
