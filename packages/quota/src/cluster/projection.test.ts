import { describe, expect, it } from "vitest";
import { groupLabel } from "@fleetwright/api";
import type { KubeObject } from "@fleetwright/kube";
import { footprint } from "../core/footprint.ts";
import { isCovered } from "../core/ownership.ts";
import { noDefaults } from "../core/pod-template.ts";
import {
  builtInKinds,
  cronJobs,
  deployments,
  jobs,
  pods,
  replicaSets,
  statefulSets,
  type WorkloadKind,
} from "../core/workload-kind.ts";
import { createProjection } from "./projection.ts";

const podSpec = {
  containers: [
    {
      name: "main",
      image: "i",
      env: [{ name: "A", value: "b" }],
      resources: { limits: { cpu: "2", "nvidia.com/gpu": "1" } },
    },
  ],
  initContainers: [{ name: "side", image: "i", restartPolicy: "Always", resources: { requests: { cpu: "1" } } }],
  overhead: { cpu: "250m" },
  volumes: [
    { name: "config", configMap: { name: "c" } },
    { name: "scratch", ephemeral: { volumeClaimTemplate: { spec: { resources: { requests: { storage: "1Gi" } } } } } },
  ],
};
const template = { metadata: { labels: { app: "x", [groupLabel]: "vision" } }, spec: podSpec };
const whole = (spec: object, status: object = {}): KubeObject =>
  ({
    metadata: {
      name: "w",
      namespace: "ns",
      uid: "u",
      resourceVersion: "7",
      annotations: { much: "text" },
      labels: { app: "x", [groupLabel]: "vision", "biz.group.resource.quota/cpu-type": "A4" },
    },
    spec,
    status,
  }) as KubeObject;

const examples: readonly (readonly [string, WorkloadKind, KubeObject])[] = [
  ["a Deployment", deployments, whole({ replicas: 3, template, selector: { matchLabels: { app: "x" } } })],
  [
    "a StatefulSet",
    statefulSets,
    whole({ replicas: 2, template, volumeClaimTemplates: [{ spec: { resources: { requests: { storage: "1Gi" } } } }] }),
  ],
  ["a ReplicaSet", replicaSets, whole({ template })],
  ["a Job", jobs, whole({ parallelism: 3, completions: 2, template })],
  ["a suspended Job", jobs, whole({ suspend: true, template })],
  ["a complete Job", jobs, whole({ template }, { conditions: [{ type: "Complete", status: "True" }] })],
  [
    "a CronJob",
    cronJobs,
    whole({
      concurrencyPolicy: "Forbid",
      jobTemplate: { metadata: { labels: { [groupLabel]: "vision" } }, spec: { parallelism: 2, template } },
    }),
  ],
  ["a Pod", pods, whole(podSpec, { phase: "Running" })],
  ["a finished Pod", pods, whole(podSpec, { phase: "Failed" })],
  [
    "a Pod in a resize",
    pods,
    whole(podSpec, {
      phase: "Running",
      containerStatuses: [{ name: "main", resources: { requests: { cpu: "4" }, limits: { cpu: "4" } } }],
    }),
  ],
];

describe("what the cache keeps", () => {
  it.each(examples)("charges %s as the whole object would be charged", (_what, kind, object) => {
    const kept = createProjection(kind)(object);
    expect(footprint(kind, kept, noDefaults)).toEqual(footprint(kind, object, noDefaults));
    expect(kind.childLabels?.(kept)).toEqual(kind.childLabels?.(object));
    expect(JSON.stringify(kept)).not.toContain("much");
  });

  it("has an example of every kind", () => {
    expect(new Set(examples.map(([, kind]) => kind))).toEqual(new Set(builtInKinds));
  });

  it("keeps the labels by which an owner selects its children", () => {
    const owner = whole({ selector: { matchLabels: { app: "x" } }, template });
    const reference = { apiVersion: "apps/v1", kind: "ReplicaSet", name: "w", uid: "u", controller: true };
    const child: KubeObject = {
      ...whole(podSpec),
      metadata: { ...whole(podSpec).metadata, uid: "child", ownerReferences: [reference] },
    };
    const kept = { kind: pods, object: createProjection(pods)(child) };
    expect(isCovered(kept, { kind: replicaSets, object: createProjection(replicaSets)(owner) }, [])).toBe(true);
  });

  it("shares the spec among pods of one template", () => {
    const project = createProjection(pods);
    const [first, second] = [project(whole(structuredClone(podSpec))), project(whole(structuredClone(podSpec)))] as {
      spec?: object;
    }[];
    expect(first?.spec).toBe(second?.spec);
  });
});
