import { describe, expect, it } from "vitest";
import {
  silentLogger,
  VirtualClock,
  type AdmissionRequest,
  type Informer,
  type KubeObject,
  type Pod,
} from "@fleetwright/kube";
import { holdEviction } from "./eviction-webhook.ts";
import { checkpoints, schedules, type CheckpointObject, type ScheduleObject } from "./resources.ts";

const clock = new VirtualClock();
const namespace = "team";
const now = (): string => new Date(clock.now()).toISOString();

function informer<T extends KubeObject>(
  resource: Informer<T>["resource"],
  objects: readonly T[],
  synced = true,
): Informer<T> {
  return {
    resource,
    get: ({ name }) => objects.find(({ metadata }) => metadata.name === name),
    list: () => objects,
    byIndex: () => [],
    size: objects.length,
    synced: () => synced,
    resourceVersion: "1",
    addHandler: () => () => undefined,
  };
}
const pod: Pod = {
  metadata: { namespace, name: "web", uid: "u1", labels: { app: "web" } },
  status: { phase: "Running" },
};
const schedule = (triggers: object): ScheduleObject => ({
  metadata: { namespace, name: "policy", uid: "s1" },
  spec: { selector: { matchLabels: { app: "web" } }, triggers },
});
const checkpoint = (status: object, createdAt = now()): CheckpointObject => ({
  metadata: {
    namespace,
    name: "drained",
    creationTimestamp: createdAt,
    labels: { "fleetwright.dev/checkpoint-trigger": "drain" },
  },
  spec: { podName: "web", podUID: "u1" },
  status,
});

async function evict(of: {
  readonly triggers?: object;
  readonly taken?: readonly CheckpointObject[];
  readonly dryRun?: boolean;
  readonly fails?: boolean;
  readonly synced?: boolean;
}) {
  const created: KubeObject[] = [];
  const handler = holdEviction({
    client: {
      create: (_, object) => {
        if (of.fails) return Promise.reject(new Error("the API server is away"));
        created.push(object);
        return Promise.resolve(object);
      },
    },
    pods: informer({ group: "", version: "v1", kind: "Pod", plural: "pods", namespaced: true }, [pod]),
    schedules: informer(schedules, [schedule(of.triggers ?? { drain: { deadlineSeconds: 60 } })]),
    checkpoints: informer(checkpoints, of.taken ?? [], of.synced ?? true),
    clock,
    logger: silentLogger,
  });
  const request: AdmissionRequest = {
    uid: "r",
    kind: { group: "policy", version: "v1", kind: "Eviction" },
    resource: { group: "", version: "v1", resource: "pods" },
    subResource: "eviction",
    operation: "CREATE",
    namespace,
    name: "web",
    userInfo: {},
    ...(of.dryRun && { dryRun: true }),
  };
  const { allowed, status, warnings } = await handler(request, new AbortController().signal);
  return {
    answer: allowed ? "allowed" : String(status?.code),
    created: created.length,
    ...(warnings && { warnings: warnings.length }),
  };
}

describe("an eviction", () => {
  it("waits while the pod is checkpointed, and takes the checkpoint once", async () => {
    expect(await evict({})).toEqual({ answer: "429", created: 1 });
    expect(await evict({ taken: [checkpoint({ phase: "InProgress" })] })).toEqual({ answer: "429", created: 0 });
  });
  it("goes through once the checkpoint is there, or could not be taken", async () => {
    expect(await evict({ taken: [checkpoint({ phase: "Completed", completionTime: now() })] })).toEqual({
      answer: "allowed",
      created: 0,
    });
    expect(await evict({ taken: [checkpoint({ phase: "Failed", completionTime: now() })] })).toEqual({
      answer: "allowed",
      created: 0,
      warnings: 1,
    });
  });
  it("takes another one when the last is of an earlier drain", async () => {
    const earlier = new Date(clock.now() - 3_600_000).toISOString();
    expect(await evict({ taken: [checkpoint({ phase: "Completed", completionTime: earlier }, earlier)] })).toEqual({
      answer: "429",
      created: 1,
    });
  });
  it("goes through after the deadline", async () => {
    const late = checkpoint({ phase: "InProgress" }, new Date(clock.now() - 61_000).toISOString());
    expect(await evict({ taken: [late] })).toEqual({ answer: "allowed", created: 0, warnings: 1 });
  });
  it("goes through when something is wrong with us", async () => {
    expect(await evict({ fails: true })).toEqual({ answer: "allowed", created: 0, warnings: 1 });
    expect(await evict({ synced: false })).toEqual({ answer: "allowed", created: 0 });
  });
  it("changes nothing in a dry run, and is nobody's business without the trigger", async () => {
    expect(await evict({ dryRun: true })).toEqual({ answer: "429", created: 0 });
    expect(await evict({ triggers: {} })).toEqual({ answer: "allowed", created: 0 });
  });
});
