import { describe, expect, it } from "vitest";
import type { Container, Pod } from "@fleetwright/kube";
import type { GpuUse } from "./gpu.ts";
import { dumpLogOf, explainRefusal } from "./refusal.ts";
import { judgeRestore } from "./restore.ts";
import type { RestoreFacts } from "./restore.ts";
import { judgeTaking, predictFreezeMs, timeoutFor } from "./taking.ts";
import type { TakingFacts } from "./taking.ts";
import { isAtLeast, versionNumbers } from "./version.ts";

const pod = (container: Partial<Container> = {}): Pod => ({
  metadata: { name: "web" },
  spec: { containers: [{ name: "main", image: "web:1", ...container }] },
});
const quiet = { name: "main", residentBytes: 2 ** 20, openKinds: [], establishedTcp: 0 };
const gpu = (use: Partial<GpuUse> = {}): TakingFacts["containers"][number] => ({
  ...quiet,
  openKinds: ["/dev/nvidia0"],
  gpu: { managedBytes: 0, usesMps: false, usesMig: false, ...use },
});
const taking = (more: Partial<TakingFacts> = {}): readonly string[] =>
  judgeTaking({
    pod: pod(),
    nodeName: "node-1",
    kubeletVersion: "v1.36.3",
    engine: "containerd://2.3.7",
    criuVersion: "4.2.1",
    freeBytes: 100 * 2 ** 30,
    totalBytes: 200 * 2 ** 30,
    containers: [quiet],
    ...more,
  }).map(({ severity, code }) => `${severity} ${code}`);

describe("before a checkpoint is taken", () => {
  const cases: readonly (readonly [string, Partial<TakingFacts>, readonly string[]])[] = [
    ["nothing", {}, []],
    [
      "nothing of what is not known",
      { kubeletVersion: undefined, engine: undefined, criuVersion: undefined as never },
      [],
    ],
    ["an old kubelet", { kubeletVersion: "v1.24.9" }, ["error KubeletTooOld"]],
    ["containerd 1.7", { engine: "containerd://1.7.24" }, ["error EngineTooOld"]],
    ["an engine that cannot", { engine: "docker://29.0.0" }, ["error EngineTooOld"]],
    ["CRI-O, which was never tried", { engine: "cri-o://1.33.1" }, ["info EngineUnproven"]],
    ["no CRIU", { criuVersion: null }, ["error CriuMissing"]],
    ["an old CRIU", { criuVersion: "3.15" }, ["error CriuTooOld"]],
    ["io_uring", { containers: [{ ...quiet, openKinds: ["anon_inode:[io_uring]"] }] }, ["error IoUringInUse"]],
    ["a GPU", { nvidia: { driver: "570.1" }, containers: [gpu()] }, ["warning GpuNeedsPlugin"]],
    [
      "a GPU on a node that has all for it",
      { nvidia: { driver: "570.1", missing: [] }, containers: [gpu()] },
      ["info GpuMemoryCopied"],
    ],
    [
      "a GPU on a node without cuda-checkpoint",
      { nvidia: { missing: ["cuda-checkpoint"] }, containers: [gpu()] },
      ["warning GpuNeedsPlugin"],
    ],
    [
      "a GPU with an old driver",
      { nvidia: { driver: "550.54", missing: [] }, containers: [gpu()] },
      ["error GpuDriverTooOld", "info GpuMemoryCopied"],
    ],
    [
      "managed memory",
      { nvidia: { missing: [] }, containers: [gpu({ managedBytes: 4096 })] },
      ["warning GpuManagedMemoryUntried", "info GpuMemoryCopied"],
    ],
    [
      "managed memory with a driver that was seen to refuse it",
      { nvidia: { driver: "580.159.04", missing: [] }, containers: [gpu({ managedBytes: 4096 })] },
      ["error GpuManagedMemory", "info GpuMemoryCopied"],
    ],
    [
      "GPU memory that the memory limit has no room for",
      {
        pod: pod({ resources: { limits: { memory: "2Gi" } } }),
        nvidia: { missing: [] },
        containers: [gpu({ deviceBytes: 2 * 2 ** 30 })],
      },
      ["info GpuMemoryCopied", "error GpuExceedsMemoryLimit"],
    ],
    [
      "GPU memory that fits into the memory limit",
      {
        pod: pod({ resources: { limits: { memory: "4Gi" } } }),
        nvidia: { missing: [] },
        containers: [gpu({ deviceBytes: 2 * 2 ** 30 })],
      },
      ["info GpuMemoryCopied"],
    ],
    [
      "GPU memory that the disk has no room for",
      { nvidia: { missing: [] }, containers: [gpu({ deviceBytes: 80 * 2 ** 30 })] },
      ["info GpuMemoryCopied", "error DiskHeadroom"],
    ],
    [
      "MPS that only its processes tell of",
      { nvidia: { missing: [] }, containers: [gpu({ usesMps: true })] },
      ["error GpuMps", "info GpuMemoryCopied"],
    ],
    [
      "a MIG instance that only its processes tell of",
      { nvidia: { missing: [] }, containers: [gpu({ usesMig: true })] },
      ["error GpuMig", "info GpuMemoryCopied"],
    ],
    ["a MIG slice", { pod: pod({ resources: { limits: { "nvidia.com/mig-1g.10gb": "1" } } }) }, ["error GpuMig"]],
    ["MPS", { pod: pod({ env: [{ name: "CUDA_MPS_PIPE_DIRECTORY", value: "/mps" }] }) }, ["error GpuMps"]],
    ["another device", { containers: [{ ...quiet, openKinds: ["/dev/infiniband/uverbs0"] }] }, ["error DeviceInUse"]],
    ["open connections", { containers: [{ ...quiet, establishedTcp: 2 }] }, ["info EstablishedTcp"]],
    ["a full disk", { freeBytes: 9 * 2 ** 30 }, ["error DiskHeadroom"]],
    [
      "a freeze that outlasts the probe",
      {
        pod: pod({ livenessProbe: { periodSeconds: 2, timeoutSeconds: 1, failureThreshold: 2 } }),
        containers: [{ ...quiet, residentBytes: 4 * 2 ** 30 }],
      },
      ["warning FreezeOutlastsProbe"],
    ],
    [
      "a patient probe",
      { pod: pod({ livenessProbe: {} }), containers: [{ ...quiet, residentBytes: 4 * 2 ** 30 }] },
      [],
    ],
  ];
  it.each(cases)("finds %s", (_, facts, expected) => expect(taking(facts)).toEqual(expected));

  it("gives more time for more memory, never less than the engines' own", () => {
    expect(timeoutFor({ residentBytes: 0 })).toBe(120);
    expect(timeoutFor({ residentBytes: 100 * 2 ** 30 })).toBe(2048);
    expect(timeoutFor({ ...gpu({ deviceBytes: 100 * 2 ** 30 }), residentBytes: 0 })).toBe(2048);
    expect(predictFreezeMs({ residentBytes: 400 * 2 ** 20 })).toBe(1533);
    expect(predictFreezeMs({ ...gpu({ deviceBytes: 400 * 2 ** 20 }), residentBytes: 0 })).toBe(1924);
  });
});

describe("a kubelet's refusal", () => {
  const cases: readonly (readonly [number, string, string])[] = [
    [401, "Unauthorized", "Unauthorized"],
    [403, "Forbidden (user=x, verb=create, resource=nodes, subresource(s)=[checkpoint])", "Forbidden"],
    [404, "404 page not found", "FeatureGateOff"],
    [404, "pod does not exist", "PodGone"],
    [404, "container main does not exist", "ContainerNotRunning"],
    [
      500,
      "checkpointing of default/web/main failed (CheckpointContainer is only supported in the CRI v1 runtime API)",
      "EngineTooOld",
    ],
    [500, "rpc error: code = Unknown desc = checkpoint/restore support not available", "EngineWithoutCheckpoint"],
    [500, "rpc error: code = Unimplemented desc = unknown method CheckpointContainer", "EngineTooOld"],
    [
      500,
      "pod level PID namespace requested for the container, but pod sandbox was not similarly configured, and does not have an infra container",
      "InfraContainerDropped",
    ],
    [500, "write /var/lib/kubelet/checkpoints/x.tar: no space left on device", "DiskHeadroom"],
    [500, 'exec: "criu": executable file not found in $PATH', "CriuMissing"],
    [
      500,
      "Error (criu/sk-inet.c:191): inet: Connected TCP socket, consider using --tcp-established option.",
      "TcpRefused",
    ],
    [500, "context deadline exceeded", "TakingTimedOut"],
    [500, "something else", "TakingFailed"],
  ];
  it.each(cases)("%i %s", (status, body, code) => {
    expect(explainRefusal({ status, body, through: "kubelet" }, "main", "node-1")).toMatchObject({
      code,
      severity: "error",
      container: "main",
    });
  });
  it.each([
    ["Error (cuda_plugin.c:397): cuda_plugin: CHECKPOINT_DEVICES failed with error 801", "GpuRefused"],
    ["Error (criu/cr-dump.c:1655): Timeout reached. Try to interrupt: 0", "HaltTimedOut"],
    ["Error (criu/file-lock.c:118): Some file locks are hold by dumping tasks!", "FileLocks"],
    ["Error (criu/files-reg.c:900): Can't dump ghost file /tmp/x of 2097152 size, increase limit", "GhostFileTooLarge"],
    ["Error (criu/proc_parse.c:118): handle_device_vma plugin failed: No such file or directory", "DeviceInUse"],
  ])("looks for the cause in CRIU's log: %s", (error, code) => {
    const body = "runc did not terminate successfully: criu failed: type DUMP errno 0 path= /run/x/criu-dump.log";
    const verdict = explainRefusal(
      { status: 500, body, through: "kubelet", dump: { errors: [error] } },
      "main",
      "node-1",
    );
    expect(verdict).toMatchObject({ code, message: expect.stringContaining(`; CRIU: ${error}`) as string });
  });
  it("tells what became of CUDA programs that a dump left locked", () => {
    const dump = { errors: ["Error (x): y"], unlocked: [7], stillLocked: [8, 9] };
    expect(explainRefusal({ status: 500, body: "no", through: "kubelet", dump }, "main", "n").message).toMatch(
      /were unlocked: 7; .*stand still.*: 8, 9$/,
    );
    const many = { ...dump, unlocked: Array.from({ length: 2_000 }, (_, index) => index) };
    const { message } = explainRefusal({ status: 500, body: "no", through: "kubelet", dump: many }, "main", "n");
    expect(message.length).toBe(4_000);
  });
  it("finds the log that an engine names", () => {
    const text = 'errno 0 path= /run/containerd/io.containerd.runtime.v2.task/k8s.io/ab/criu-dump.log"';
    expect(dumpLogOf(text)).toBe("/run/containerd/io.containerd.runtime.v2.task/k8s.io/ab/criu-dump.log");
    expect(dumpLogOf("checkpointing failed: no space left on device")).toBeUndefined();
  });
  it("tells a lack of the API server's own right apart", () => {
    expect(explainRefusal({ status: 403, body: "", through: "api-server" }, "main", "n").code).toBe(
      "ForbiddenToApiServer",
    );
  });
});

describe("before a restore", () => {
  const host = {
    architecture: "amd64",
    kernel: "6.12.0",
    criuVersion: "4.2.1",
    cgroups: "v2",
    cpuFeatures: ["sse2", "avx2"],
  };
  const source = {
    metadata: { engine: "containerd" as const, container: "main", mounts: [] },
    host,
    plugins: [],
    sizeBytes: 2 ** 20,
  };
  const restoring = (more: Partial<RestoreFacts> = {}): readonly string[] =>
    judgeRestore({
      nodeName: "node-2",
      engine: "containerd://2.3.3",
      host,
      source,
      freeBytes: 100 * 2 ** 30,
      totalBytes: 200 * 2 ** 30,
      spec: { containers: [{ name: "main", image: "web:1" }] },
      ...more,
    }).map(({ severity, code }) => `${severity} ${code}`);
  const gpuSource = (devices: readonly string[], gpuModels: readonly string[]) => ({
    ...source,
    metadata: { ...source.metadata, devices },
    plugins: ["cuda_plugin"],
    host: { ...host, gpuModels },
  });
  const mount = { destination: "/data", type: "bind", source: "/x", readOnly: false };
  const cases: readonly (readonly [string, Partial<RestoreFacts>, readonly string[]])[] = [
    ["nothing", {}, []],
    ["containerd 2.0", { engine: "containerd://2.0.5" }, ["error RestoreTooOld"]],
    ["containerd 2.4", { engine: "containerd://2.4.0" }, ["error RestoreRemovedFromEngine"]],
    ["the switch off", { engine: "containerd://2.3.7", restoreSwitch: false }, ["error RestoreSwitchOff"]],
    ["the switch on", { engine: "containerd://2.2.7", restoreSwitch: true }, []],
    ["the switch unknown", { engine: "containerd://2.2.9" }, ["info RestoreSwitchUnknown"]],
    ["another engine", { engine: "cri-o://1.33.0" }, ["info EngineUnproven", "error EngineDiffers"]],
    ["another architecture", { host: { ...host, architecture: "arm64" } }, ["error ArchitectureDiffers"]],
    ["a lesser processor", { host: { ...host, cpuFeatures: ["sse2"] } }, ["error CpuFeaturesMissing"]],
    ["an unknown processor", { source: { ...source, host: { architecture: "amd64" } } }, ["info CpuFeaturesUnknown"]],
    ["an older kernel", { host: { ...host, kernel: "6.1.0-12" } }, ["warning KernelOlder"]],
    ["an older CRIU", { host: { ...host, criuVersion: "4.1.1" } }, ["error CriuOlder"]],
    [
      "no CRIU",
      { host: { architecture: "amd64", kernel: "6.12.0", cgroups: "v2", cpuFeatures: ["sse2", "avx2"] } },
      ["error CriuMissing"],
    ],
    ["other control groups", { host: { ...host, cgroups: "v1" } }, ["error CgroupsDiffer"]],
    [
      "no such security module",
      {
        host: { ...host, securityModules: ["capability"] },
        source: { ...source, security: { module: "apparmor", profiles: ["cri-containerd.apparmor.d"] } },
      },
      ["error SecurityModuleMissing"],
    ],
    [
      "the engine's own profile",
      {
        host: { ...host, securityModules: ["capability", "apparmor"] },
        source: { ...source, security: { module: "apparmor", profiles: ["cri-containerd.apparmor.d (enforce)"] } },
      },
      [],
    ],
    [
      "a profile of somebody's",
      {
        host: { ...host, securityModules: ["apparmor"] },
        source: { ...source, security: { module: "apparmor", profiles: ["web (enforce)"] } },
      },
      ["info SecurityProfile"],
    ],
    ["an image that is gone", { baseImageProblem: "404" }, ["warning BaseImageUnreachable"]],
    ["a plugin", { source: { ...source, plugins: ["cuda_plugin"] } }, ["warning PluginMissing"]],
    [
      "the same GPUs, with all that CRIU needs",
      {
        host: { ...host, gpuModels: ["NVIDIA A30", "NVIDIA H200"], missingCudaTools: [] },
        source: { ...source, plugins: ["cuda_plugin"], host: { ...host, gpuModels: ["NVIDIA H200"] } },
      },
      [],
    ],
    [
      "all GPUs of a node, in their places",
      {
        host: { ...host, gpuModels: ["NVIDIA A30", "NVIDIA H200"], missingCudaTools: [] },
        source: gpuSource(["/dev/nvidia0", "/dev/nvidia1", "/dev/nvidiactl"], ["NVIDIA A30", "NVIDIA H200"]),
      },
      [],
    ],
    [
      "a GPU of several",
      {
        host: { ...host, gpuModels: ["NVIDIA H200", "NVIDIA H200"], missingCudaTools: [] },
        source: gpuSource(["/dev/nvidia1"], ["NVIDIA H200", "NVIDIA H200"]),
      },
      ["warning GpuNumberUncertain"],
    ],
    [
      "a GPU of several, in the pod that has it",
      {
        inPlace: true,
        host: { ...host, gpuModels: ["NVIDIA H200", "NVIDIA H200"], missingCudaTools: [] },
        source: gpuSource(["/dev/nvidia1"], ["NVIDIA H200", "NVIDIA H200"]),
      },
      [],
    ],
    [
      "another model under its number",
      {
        host: { ...host, gpuModels: ["NVIDIA H200", "NVIDIA A30"], missingCudaTools: [] },
        source: gpuSource(["/dev/nvidia1"], ["NVIDIA H200", "NVIDIA H200"]),
      },
      ["error GpuModelDiffers"],
    ],
    [
      "a number that the node has not",
      {
        host: { ...host, gpuModels: ["NVIDIA H200"], missingCudaTools: [] },
        source: gpuSource(["/dev/nvidia1"], ["NVIDIA H200", "NVIDIA H200"]),
      },
      ["error GpuModelDiffers"],
    ],
    [
      "other GPUs",
      {
        host: { ...host, gpuModels: ["NVIDIA A30"], missingCudaTools: [] },
        source: { ...source, plugins: ["cuda_plugin"], host: { ...host, gpuModels: ["NVIDIA H200"] } },
      },
      ["error GpuModelDiffers"],
    ],
    [
      "no GPUs",
      { source: { ...source, plugins: ["cuda_plugin"], host: { ...host, gpuModels: ["NVIDIA H200"] } } },
      ["warning PluginMissing", "error GpuModelDiffers"],
    ],
    [
      "another driver",
      {
        host: { ...host, gpuModels: ["NVIDIA H200"], nvidiaDriver: "580.95.05", missingCudaTools: [] },
        source: {
          ...source,
          plugins: ["cuda_plugin"],
          host: { ...host, gpuModels: ["NVIDIA H200"], nvidiaDriver: "580.159.04" },
        },
      },
      ["error GpuDriverDiffers"],
    ],
    [
      "nothing in mounts that come with a device",
      {
        source: { ...source, metadata: { ...source.metadata, mounts: [mount] } },
        spec: { containers: [{ name: "main", image: "web:1", resources: { limits: { "nvidia.com/gpu": "1" } } }] },
      },
      [],
    ],
    [
      "a mount that is missing",
      { source: { ...source, metadata: { ...source.metadata, mounts: [mount] } } },
      ["error MountNotCovered"],
    ],
    [
      "volumes that are not in it",
      {
        source: { ...source, metadata: { ...source.metadata, mounts: [mount] } },
        spec: {
          containers: [{ name: "main", image: "web:1", volumeMounts: [{ name: "data", mountPath: "/data" }] }],
          volumes: [
            { name: "data", emptyDir: {} },
            { name: "host", hostPath: { path: "/srv" } },
          ],
        },
      },
      ["info VolumeNotSaved", "info HostPathMount"],
    ],
    ["a full disk", { freeBytes: 10 * 2 ** 30 }, ["error DiskHeadroom"]],
  ];
  it.each(cases)("finds %s", (_, facts, expected) => expect(restoring(facts)).toEqual(expected));
});

it("compares versions by their numbers", () => {
  expect(versionNumbers("v1.36.3+k3s1")).toEqual([1, 36, 3]);
  expect([
    isAtLeast("2.10.0", "2.9.9"),
    isAtLeast("4.2", "4.2.0"),
    isAtLeast("4.1.9", "4.2.0"),
    isAtLeast(undefined, "9.9.9"),
  ]).toEqual([true, true, false, true]);
});
