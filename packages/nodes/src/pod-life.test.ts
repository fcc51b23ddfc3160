import { timeText } from "@fleetwright/kube";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Container, Pod, PodCondition, PodSpec, PodStatus } from "@fleetwright/kube";
import { podAnnotations, wishesOf } from "./annotations.ts";
import { restartDelayMs } from "./container-life.ts";
import { covers, isFinished, nextStep } from "./pod-life.ts";
import type { PodStep } from "./pod-life.ts";

const start = Date.UTC(2030, 0, 1);
const place = { hostIP: "10.128.0.1", podIP: "10.0.0.7" };
const main: Container = { name: "main", image: "job:1" };

interface PodParts {
  readonly annotations?: Record<string, string>;
  readonly spec?: Partial<PodSpec>;
  readonly metadata?: Partial<Pod["metadata"]>;
  readonly status?: PodStatus;
}
const pod = ({ annotations = {}, spec = {}, metadata = {}, status }: PodParts = {}): Pod => ({
  metadata: { name: "p", namespace: "ml", uid: "u-1", generation: 1, annotations, ...metadata },
  spec: { nodeName: "n-0", containers: [main], ...spec },
  status: status ?? { phase: "Pending", conditions: [{ type: "PodScheduled", status: "True" }] },
});

const stepOf = (of: Pod, now: number): PodStep => nextStep(of, wishesOf(of.metadata, 1000), place, now);

/** As the server merges a status: conditions by type, the rest as it is written. */
function written(of: Pod, status: PodStatus): Pod {
  const conditions = new Map<string, PodCondition>();
  for (const condition of [...(of.status?.conditions ?? []), ...(status.conditions ?? [])])
    conditions.set(condition.type, condition);
  return { ...of, status: { ...of.status, ...status, conditions: [...conditions.values()] } };
}

interface Life {
  readonly pod: Pod;
  readonly now: number;
  readonly phases: readonly string[];
  readonly writes: number;
  readonly end: PodStep["kind"];
}

/** Lives a pod's life by itself until nothing is left to do, or for so many steps. */
function live(initial: Pod, from = start, limit = 60): Life {
  let current = initial;
  let now = from;
  let writes = 0;
  const phases: string[] = [];
  for (let count = 0; count < limit; count++) {
    const step = stepOf(current, now);
    if (step.kind === "rest" || step.kind === "delete") return { pod: current, now, phases, writes, end: step.kind };
    if (step.kind === "wait") {
      if (step.until <= now) throw new Error(`waits for ${step.until}, which is not after ${now}`);
      now = step.until;
    } else {
      writes++;
      current = written(current, step.status);
      if (phases.at(-1) !== step.status.phase) phases.push(step.status.phase ?? "");
    }
  }
  return { pod: current, now, phases, writes, end: "wait" };
}

const conditionOf = (of: Pod, type: string): PodCondition | undefined =>
  of.status?.conditions?.find((condition) => condition.type === type);

describe("a pod's life", () => {
  it("runs for ever in one write when nothing else is said", () => {
    const life = live(pod());
    expect(life).toMatchObject({ phases: ["Running"], writes: 1, end: "rest", now: start });
    expect(life.pod.status).toMatchObject({
      podIP: "10.0.0.7",
      hostIP: "10.128.0.1",
      startTime: timeText(start),
      containerStatuses: [
        { name: "main", ready: true, restartCount: 0, state: { running: { startedAt: timeText(start) } } },
      ],
    });
    expect(conditionOf(life.pod, "Ready")?.status).toBe("True");
    expect(conditionOf(life.pod, "PodScheduled")?.status).toBe("True");
  });

  it.each([
    ["Never", "0", ["Running", "Succeeded"], 0],
    ["Never", "7", ["Running", "Failed"], 7],
    ["OnFailure", "0", ["Running", "Succeeded"], 0],
  ] as const)("with restartPolicy %s and exit code %s goes %j", (restartPolicy, code, phases, exitCode) => {
    const annotations = { [podAnnotations.runFor]: "30s", [podAnnotations.exitCode]: code };
    const life = live(pod({ annotations, spec: { restartPolicy } }));
    expect(life.phases).toEqual(phases);
    expect(life.end).toBe("rest");
    expect(life.pod.status?.containerStatuses?.[0]?.state?.terminated?.exitCode).toBe(exitCode);
    expect(life.now - start).toBeGreaterThanOrEqual(30_000);
    expect(life.now - start).toBeLessThanOrEqual(31_000);
    expect(conditionOf(life.pod, "Ready")?.status).toBe("False");
  });

  it.each(["Always", "OnFailure"] as const)("restarts under %s, each time later", (restartPolicy) => {
    const annotations = { [podAnnotations.runFor]: "5s", [podAnnotations.exitCode]: "1" };
    const life = live(pod({ annotations, spec: { restartPolicy } }), start, 40);
    expect(life.phases).toEqual(["Running"]);
    expect(life.end).toBe("wait");
    const [status] = life.pod.status?.containerStatuses ?? [];
    expect(status?.restartCount).toBeGreaterThan(5);
    expect(status?.lastState?.terminated?.exitCode).toBe(1);
  });

  it("backs off as the kubelet does: at once, 10 s, doubled to 5 min", () => {
    expect([0, 1, 2, 3, 5, 6, 20].map(restartDelayMs)).toEqual([0, 10_000, 20_000, 40_000, 160_000, 300_000, 300_000]);
  });

  it("ends a Job's pod by itself after the default time, and not one of a ReplicaSet", () => {
    const ownedBy = (kind: string): Pod =>
      pod({
        metadata: { ownerReferences: [{ apiVersion: "x/v1", kind, name: "o", uid: "o-1", controller: true }] },
        spec: { restartPolicy: "Never" },
      });
    expect(live(ownedBy("Job")).phases).toEqual(["Running", "Succeeded"]);
    expect(live(ownedBy("ReplicaSet")).phases).toEqual(["Running"]);
  });

  it("becomes ready only after the time that it needs", () => {
    const waiting = written(
      pod(),
      (stepOf(pod({ annotations: { [podAnnotations.readyAfter]: "20s" } }), start) as { status: PodStatus }).status,
    );
    expect(conditionOf(waiting, "Ready")).toMatchObject({ status: "False", reason: "ContainersNotReady" });
    const life = live(pod({ annotations: { [podAnnotations.readyAfter]: "20s" } }));
    expect(conditionOf(life.pod, "Ready")?.status).toBe("True");
    expect(life.now - start).toBeGreaterThanOrEqual(20_000);
  });

  it("runs init containers one after another before the others, sidecars beside all", () => {
    const staged = pod({
      annotations: { [podAnnotations.initRunFor]: "10s" },
      spec: { initContainers: [{ name: "a" }, { name: "side", restartPolicy: "Always" }, { name: "b" }] },
    });
    const first = written(staged, (stepOf(staged, start) as { status: PodStatus }).status);
    const states = (of: Pod): readonly string[] =>
      [...(of.status?.initContainerStatuses ?? []), ...(of.status?.containerStatuses ?? [])].map(
        ({ name, state }) => `${name}:${Object.keys(state ?? {}).join()}`,
      );
    expect(states(first)).toEqual(["a:running", "side:waiting", "b:waiting", "main:waiting"]);
    const life = live(staged);
    expect(life.phases).toEqual(["Pending", "Running"]);
    expect(states(life.pod)).toEqual(["a:terminated", "side:running", "b:terminated", "main:running"]);
    expect(life.now - start).toBeGreaterThanOrEqual(20_000);
  });

  it.each([
    ["Never", "Failed"],
    ["Always", "Pending"],
  ] as const)("with a failing init container and restartPolicy %s stays %s", (restartPolicy, phase) => {
    const annotations = { [podAnnotations.initExitCode]: "2" };
    const life = live(pod({ annotations, spec: { restartPolicy, initContainers: [{ name: "a" }] } }));
    expect(life.pod.status?.phase).toBe(phase);
    expect(life.pod.status?.containerStatuses?.[0]?.state?.waiting?.reason).toBe("PodInitializing");
  });

  it("has containers that live and end each for itself", () => {
    const side: Container = { name: "side", image: "side:1" };
    const annotations = {
      [`${podAnnotations.runFor}.main`]: "5s",
      [`${podAnnotations.runFor}.side`]: "20s",
      [`${podAnnotations.exitCode}.side`]: "4",
    };
    const spec = { containers: [main, side], restartPolicy: "Never" };
    const before = live(pod({ annotations, spec }), start, 4);
    expect(before.pod.status?.containerStatuses?.map(({ state }) => Object.keys(state ?? {})[0])).toEqual([
      "terminated",
      "running",
    ]);
    expect(conditionOf(before.pod, "Ready")?.status).toBe("False");
    const life = live(pod({ annotations, spec }));
    expect(life.phases).toEqual(["Running", "Failed"]);
    expect(life.pod.status?.containerStatuses?.map(({ state }) => state?.terminated?.exitCode)).toEqual([0, 4]);
  });

  it("restarts only the container that fails, until a run of it succeeds", () => {
    const side: Container = { name: "side", image: "side:1" };
    const annotations = { [`${podAnnotations.runFor}.side`]: "1s", [`${podAnnotations.exitCode}.side`]: "1,1,0" };
    const life = live(pod({ annotations, spec: { containers: [main, side], restartPolicy: "OnFailure" } }));
    expect(life.pod.status?.containerStatuses?.map(({ restartCount }) => restartCount)).toEqual([0, 2]);
    expect(life.pod.status?.phase).toBe("Running");
  });

  it("is ready when its readiness probe says so, and killed when its liveness probe fails", () => {
    const annotations = { [podAnnotations.readiness]: "ok@0s fail@10s ok@20s", [podAnnotations.liveness]: "fail@1m" };
    const ready: (string | undefined)[] = [];
    let current = pod({ annotations });
    for (let now = start, count = 0; count < 8; count++) {
      const step = stepOf(current, now);
      if (step.kind === "wait") now = step.until;
      else if (step.kind === "status") current = written(current, step.status);
      const state = conditionOf(current, "Ready")?.status;
      if (ready.at(-1) !== state) ready.push(state);
    }
    expect(ready).toEqual(["True", "False", "True"]);
    const [status] = live(pod({ annotations }), start, 8).pod.status?.containerStatuses ?? [];
    expect(status).toMatchObject({ restartCount: 1, lastState: { terminated: { exitCode: 137 } } });
  });

  it("fails at its active deadline", () => {
    const life = live(pod({ spec: { activeDeadlineSeconds: 15 } }));
    expect(life.pod.status).toMatchObject({ phase: "Failed", reason: "DeadlineExceeded" });
    expect(life.now).toBe(start + 15_000);
  });

  it("is not Ready while a readiness gate is closed", () => {
    const gated = pod({ spec: { readinessGates: [{ conditionType: "example.com/open" }] } });
    const closed = live(gated).pod;
    expect(conditionOf(closed, "Ready")).toMatchObject({ status: "False", reason: "ReadinessGatesNotReady" });
    const open = live(written(closed, { conditions: [{ type: "example.com/open", status: "True" }] }));
    expect(conditionOf(open.pod, "Ready")).toMatchObject({ status: "True" });
    expect(open.writes).toBe(1);
  });

  it("keeps its address, and has its node's on the host network", () => {
    expect(live(pod({ status: { podIP: "10.9.9.9" } })).pod.status?.podIP).toBe("10.9.9.9");
    expect(live(pod({ spec: { hostNetwork: true } })).pod.status?.podIP).toBe("10.128.0.1");
  });
});

describe("a pod's deletion", () => {
  const deleting = (more: PodParts = {}): Pod => {
    const alive = live(pod(more)).pod;
    const grace = 30;
    const deletionTimestamp = timeText(start + grace * 1000);
    return { ...alive, metadata: { ...alive.metadata, deletionTimestamp, deletionGracePeriodSeconds: grace } };
  };

  it("is confirmed at once when the pod does not ask for time", () => {
    expect(stepOf(deleting(), start)).toEqual({ kind: "delete" });
  });

  it.each([
    ["5s", 5000],
    ["1h", 30_000],
  ])("waits for a stop time of %s, at most for the grace period", (stopFor, expectedMs) => {
    const going = deleting({ annotations: { [podAnnotations.stopFor]: stopFor } });
    expect(stepOf(going, start)).toEqual({ kind: "wait", until: start + expectedMs });
    expect(stepOf(going, start + expectedMs)).toEqual({ kind: "delete" });
  });

  it("says how the pod ended first, when someone holds a finalizer", () => {
    const going = deleting({ metadata: { finalizers: ["batch.kubernetes.io/job-tracking"] } });
    const step = stepOf(going, start);
    expect(step).toMatchObject({ kind: "status", status: { phase: "Failed" } });
    const ended = written(going, (step as { status: PodStatus }).status);
    expect(stepOf(ended, start)).toEqual({ kind: "delete" });
    const confirmed = { ...ended, metadata: { ...ended.metadata, deletionGracePeriodSeconds: 0 } };
    expect(stepOf(confirmed, start)).toEqual({ kind: "rest" });
  });
});

describe("any pod", () => {
  const duration = fc.constantFrom(undefined, "0s", "500ms", "3s", "2m");
  const parts = fc.record({
    runFor: duration,
    readyAfter: duration,
    initRunFor: duration,
    exitCode: fc.constantFrom(undefined, "0", "1", "nonsense"),
    initExitCode: fc.constantFrom(undefined, "0", "1"),
    restartPolicy: fc.constantFrom<PodSpec["restartPolicy"][]>("Always", "OnFailure", "Never"),
    inits: fc.array(fc.constantFrom<Container>({ name: "i" }, { name: "s", restartPolicy: "Always" }), {
      maxLength: 1,
    }),
    deadline: fc.option(fc.integer({ min: 1, max: 300 }), { nil: undefined }),
    lateMs: fc.integer({ min: 0, max: 5000 }),
  });

  it("sees what it wrote, never waits for the past, and once finished stays so", () => {
    fc.assert(
      fc.property(parts, (wish) => {
        const annotations = Object.fromEntries(
          (["runFor", "readyAfter", "initRunFor", "exitCode", "initExitCode"] as const).flatMap((name) =>
            wish[name] === undefined ? [] : [[podAnnotations[name], wish[name]]],
          ),
        );
        let current = pod({
          annotations,
          spec: {
            initContainers: wish.inits,
            ...(wish.restartPolicy && { restartPolicy: wish.restartPolicy }),
            ...(wish.deadline !== undefined && { activeDeadlineSeconds: wish.deadline }),
          },
        });
        let now = start;
        const wrong: string[] = [];
        for (let count = 0; count < 30; count++) {
          const step = stepOf(current, now);
          if (step.kind === "rest") break;
          if (step.kind === "wait") {
            if (step.until <= now) wrong.push(`waits for ${step.until} at ${now}`);
            // Timers fire late.
            now = step.until + wish.lateMs;
          } else if (step.kind === "status") {
            if (isFinished(current)) wrong.push("goes on after its end");
            current = written(current, step.status);
            if (!covers(current.status, step.status)) wrong.push("does not see what it wrote");
          }
        }
        expect(wrong).toEqual([]);
      }),
    );
  });
});
