import { describe, expect, it } from "vitest";
import type { KubeObject } from "@fleetwright/kube";
import { printAmounts } from "./amounts.ts";
import { footprint } from "./footprint.ts";
import { noDefaults, type NamespaceDefaults } from "./pod-template.ts";
import { cronJobs, deployments, jobs, pods, replicaSets, statefulSets, type WorkloadKind } from "./workload-kind.ts";

const object = (spec: object, labels: Record<string, string> = {}, status: object = {}): KubeObject =>
  ({ metadata: { name: "w", namespace: "ns", uid: "u", labels }, spec, status }) as KubeObject;

const container = (resources: object, more: object = {}): object => ({ name: "main", resources, ...more });
const podSpec = (...containers: object[]): object => ({ containers });
const deployment = (replicas: number | undefined, spec: object, labels: Record<string, string> = {}): KubeObject =>
  object({ ...(replicas !== undefined && { replicas }), template: { spec } }, labels);

const charge = (
  kind: WorkloadKind,
  of: KubeObject,
  defaults: NamespaceDefaults = noDefaults,
): Readonly<Record<string, string>> => printAmounts(footprint(kind, of, defaults).charge);

describe("what a workload is charged", () => {
  it("is replicas times template, under ResourceQuota's names", () => {
    const spec = podSpec(
      container({
        requests: { cpu: "250m", memory: "1Gi" },
        limits: { cpu: "1", "nvidia.com/gpu": "2", "ephemeral-storage": "1Gi" },
      }),
    );
    expect(charge(deployments, deployment(4, spec))).toEqual({
      cpu: "1",
      "requests.cpu": "1",
      "limits.cpu": "4",
      memory: "4Gi",
      "requests.memory": "4Gi",
      "requests.nvidia.com/gpu": "8",
      "ephemeral-storage": "4Gi",
      "requests.ephemeral-storage": "4Gi",
      "limits.ephemeral-storage": "4Gi",
      pods: "4",
      "count/pods": "4",
      "count/deployments.apps": "1",
    });
  });

  it("is one replica where none are said", () => {
    expect(charge(deployments, deployment(undefined, podSpec(container({ limits: { cpu: "2" } }))))["limits.cpu"]).toBe(
      "2",
    );
  });

  it("counts an init container where it needs more than all others, with the sidecars before it", () => {
    const spec = {
      containers: [container({ requests: { cpu: "1", memory: "1Gi" } })],
      initContainers: [
        { name: "early", resources: { requests: { cpu: "3" } } },
        { name: "sidecar", restartPolicy: "Always", resources: { requests: { cpu: "1", memory: "1Gi" } } },
        { name: "late", resources: { requests: { cpu: "2500m" } } },
      ],
    };
    // cpu: max(main 1 + sidecar 1, early 3, sidecar 1 + late 2.5); memory: main + sidecar.
    expect(charge(deployments, deployment(2, spec))).toMatchObject({ "requests.cpu": "7", "requests.memory": "4Gi" });
  });

  it("takes pod-level resources before those of containers, and adds the RuntimeClass's overhead", () => {
    const spec = {
      resources: { requests: { cpu: "4" }, limits: { cpu: "5", memory: "2Gi" } },
      runtimeClassName: "kata",
      containers: [container({ requests: { cpu: "1", "nvidia.com/gpu": "1" } })],
    };
    const defaults: NamespaceDefaults = { limitRanges: [], overhead: () => ({ cpu: "250m", memory: "64Mi" }) };
    expect(charge(deployments, deployment(1, spec), defaults)).toMatchObject({
      "requests.cpu": "4250m",
      "limits.cpu": "5250m",
      "requests.memory": "2112Mi",
      "limits.memory": "2112Mi",
      "requests.nvidia.com/gpu": "1",
    });
  });

  it("fills gaps from LimitRanges, after requests were taken from limits", () => {
    const defaults: NamespaceDefaults = {
      limitRanges: [{ default: { cpu: "1", memory: "1Gi" }, defaultRequest: { cpu: "100m", memory: "512Mi" } }],
      overhead: () => undefined,
    };
    const spec = podSpec(container({ limits: { cpu: "2" } }));
    expect(charge(deployments, deployment(1, spec), defaults)).toMatchObject({
      "requests.cpu": "2",
      "limits.cpu": "2",
      "requests.memory": "512Mi",
      "limits.memory": "1Gi",
    });
  });

  it("counts a StatefulSet's claims, in whole bytes and by storage class", () => {
    const set = object({
      replicas: 3,
      template: { spec: podSpec(container({})) },
      volumeClaimTemplates: [{ spec: { storageClassName: "fast", resources: { requests: { storage: "1500m" } } } }],
    });
    expect(charge(statefulSets, set)).toMatchObject({
      "requests.storage": "6",
      persistentvolumeclaims: "3",
      "fast.storageclass.storage.k8s.io/requests.storage": "6",
      "fast.storageclass.storage.k8s.io/persistentvolumeclaims": "3",
    });
  });

  const jobSpec = (more: object): object => ({
    template: { spec: podSpec(container({ limits: { cpu: "1" } })) },
    ...more,
  });
  it.each([
    ["1 by default", jobSpec({}), {}, "1"],
    ["its parallelism", jobSpec({ parallelism: 4 }), {}, "4"],
    ["no more than its completions", jobSpec({ parallelism: 4, completions: 3 }), {}, "3"],
    ["nothing while suspended", jobSpec({ parallelism: 4, suspend: true }), {}, undefined],
    ["nothing once complete", jobSpec({}), { conditions: [{ type: "Complete", status: "True" }] }, undefined],
    ["nothing once failed", jobSpec({}), { conditions: [{ type: "Failed", status: "True" }] }, undefined],
  ])("a Job is charged %s", (_what, spec, status, cpu) => {
    expect(charge(jobs, object(spec, {}, status))["limits.cpu"]).toBe(cpu);
  });

  it.each([
    ["one Job with Forbid", { concurrencyPolicy: "Forbid" }, "2"],
    ["one Job with Replace", { concurrencyPolicy: "Replace" }, "2"],
    ["nothing itself with Allow", { concurrencyPolicy: "Allow" }, undefined],
    ["nothing itself by default", {}, undefined],
    ["nothing while suspended", { concurrencyPolicy: "Forbid", suspend: true }, undefined],
  ])("a CronJob is charged %s", (_what, more, cpu) => {
    expect(
      charge(cronJobs, object({ jobTemplate: { spec: jobSpec({ parallelism: 2 }) }, ...more }))["limits.cpu"],
    ).toBe(cpu);
  });

  it("of a finished pod is only its object", () => {
    const spec = podSpec(container({ limits: { cpu: "1" } }));
    for (const phase of ["Succeeded", "Failed"])
      expect(charge(pods, object(spec, {}, { phase }))).toEqual({ "count/pods": "1" });
    expect(charge(pods, object(spec, {}, { phase: "Running" }))).toMatchObject({ pods: "1", "limits.cpu": "1" });
  });

  it("of a pod in a resize is the greatest of what is asked, allocated and actual", () => {
    const spec = podSpec(container({ requests: { cpu: "1" } }));
    const containerStatuses = [
      { name: "main", resources: { requests: { cpu: "3" } }, allocatedResources: { cpu: "2" } },
    ];
    expect(charge(pods, object(spec, {}, { containerStatuses }))["requests.cpu"]).toBe("3");
  });

  it("of a ReplicaSet is its own replicas", () => {
    expect(charge(replicaSets, deployment(2, podSpec(container({ limits: { cpu: "1" } }))))["limits.cpu"]).toBe("2");
  });
});

describe("models (D3)", () => {
  const gpu = { limits: { cpu: "1", memory: "1Gi", "nvidia.com/gpu": "1", "example.com/nic": "1" } };

  it("charges the general key, the model and every prefix of it, at the keys that the label is about", () => {
    const labels = {
      "biz.group.resource.quota/cpu-type": "A4.v2",
      "biz.group.resource.quota/gpu-type": "A30",
      "biz.group.resource.quota/memory-type": "DDR5",
    };
    const charged = charge(deployments, deployment(2, podSpec(container(gpu)), labels));
    expect(charged).toMatchObject({
      "limits.cpu": "2",
      "limits.cpu.A4": "2",
      "limits.cpu.A4.v2": "2",
      "requests.cpu.A4": "2",
      "limits.memory.DDR5": "2Gi",
      "requests.nvidia.com/gpu": "2",
      "requests.nvidia.com/gpu.A30": "2",
      "requests.example.com/nic": "2",
    });
    expect(Object.keys(charged).filter((key) => key.startsWith("requests.example.com"))).toEqual([
      "requests.example.com/nic",
    ]);
  });

  it.each([
    "nvidia.com/gpu",
    "nvidia.com/gpu.shared",
    "nvidia.com/gpu-fraction",
    "nvidia.com/mig-1g.5gb",
    "amd.com/gpu",
  ])("takes %s for a GPU", (name) => {
    const of = deployment(1, podSpec(container({ limits: { [name]: "1" } })), {
      "biz.group.resource.quota/gpu-type": "A30",
    });
    expect(charge(deployments, of)[`requests.${name}.A30`]).toBe("1");
  });

  it("names what a container leaves out, model keys included", () => {
    const of = deployment(
      1,
      { containers: [container({ requests: { cpu: "1" } }), { name: "second" }] },
      { "biz.group.resource.quota/cpu-type": "A4" },
    );
    const { unspecified } = footprint(deployments, of, noDefaults);
    expect(unspecified.get("requests.cpu")).toEqual(["second"]);
    expect(unspecified.get("limits.cpu")).toEqual(["main", "second"]);
    expect(unspecified.get("limits.cpu.A4")).toEqual(["main", "second"]);
    expect(unspecified.has("requests.nvidia.com/gpu")).toBe(false);
  });
});
