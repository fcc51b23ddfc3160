import type { Pod } from "@fleetwright/kube";
import { describe, expect, it } from "vitest";
import { needsOfNode, rolloutSteps } from "./daemon-rollout.ts";
import type { DaemonView, RolloutView } from "./daemon-rollout.ts";

interface Traits {
  readonly phase?: string;
  readonly ready?: boolean;
  readonly going?: boolean;
  readonly unbound?: boolean;
}

/** @param name `old…` is of an earlier template; names sort by age */
function pod(name: string, { phase = "Running", ready = true, going = false, unbound = false }: Traits = {}): Pod {
  return {
    metadata: { name, ...(going && { deletionTimestamp: "2026-01-01T00:00:00Z" }) },
    spec: { containers: [{ name: "main" }], ...(!unbound && { nodeName: "node" }) },
    status: { phase, conditions: [{ type: "Ready", status: ready ? "True" : "False" }] },
  };
}

const unready = { ready: false };
const view: DaemonView = {
  isCurrent: ({ metadata }) => metadata.name?.startsWith("new") === true,
  minReadySeconds: 0,
  now: 0,
};
const namesOf = (pods: readonly Pod[]): readonly (string | undefined)[] => pods.map(({ metadata }) => metadata.name);

describe("needsOfNode", () => {
  const here = { run: true, stay: true };
  const needs = (place: typeof here, pods: readonly Pod[], surges: boolean) => {
    const { isMissing, excess, failed, succeeded } = needsOfNode(place, pods, surges, view);
    return { isMissing, excess: namesOf(excess), failed: namesOf(failed), succeeded: namesOf(succeeded) };
  };
  const nothing = { isMissing: false, excess: [], failed: [], succeeded: [] };

  it.each<[string, readonly Pod[], Partial<typeof nothing> | { readonly excess: readonly string[] }]>([
    ["a pod where there is none", [], { isMissing: true }],
    ["nothing where one goes: the next comes after it", [pod("old", { going: true })], {}],
    [
      "one of several, the oldest that is bound",
      [pod("a", { unbound: true }), pod("b"), pod("c")],
      { excess: ["c", "a"] },
    ],
  ])("without surge: %s", (_what, pods, expected) => {
    expect(needs(here, pods, false)).toEqual({ ...nothing, ...expected });
  });

  it.each<[string, readonly Pod[], object]>([
    ["a pod where the only one goes", [pod("old", { going: true })], { isMissing: true }],
    ["both while the new one is not ready", [pod("new", unready), pod("old")], {}],
    ["only the new one once it is available", [pod("new"), pod("old")], { excess: ["old"] }],
    ["only the new one where neither is ready", [pod("new", unready), pod("old", unready)], { excess: ["old"] }],
    ["one of each", [pod("new-1", unready), pod("new-2"), pod("old-1"), pod("old-2")], { excess: ["new-2", "old-2"] }],
  ])("with surge: %s", (_what, pods, expected) => {
    expect(needs(here, pods, true)).toEqual({ ...nothing, ...expected });
  });

  it("has pods that ended replaced, the failed ones apart: they have to wait", () => {
    const pods = [pod("a", { phase: "Failed" }), pod("b", { phase: "Succeeded" })];
    expect(needs(here, pods, false)).toEqual({ ...nothing, failed: ["a"], succeeded: ["b"] });
  });

  it("clears a node that must not have any, and leaves one alone that may keep what it has", () => {
    expect(needs({ run: false, stay: false }, [pod("a"), pod("b", { going: true })], false).excess).toEqual(["a"]);
    expect(needs({ run: false, stay: true }, [pod("a")], false)).toEqual(nothing);
    expect(needs({ run: false, stay: true }, [], false)).toEqual(nothing);
  });
});

describe("rolloutSteps", () => {
  const steps = (nodes: Readonly<Record<string, readonly Pod[]>>, options: Partial<RolloutView>) => {
    const byNode = new Map(Object.entries(nodes));
    const defaults = { ...view, byNode, runsOn: () => true, desired: byNode.size, surge: 0, unavailable: 1 };
    const { remove, surgeOn } = rolloutSteps({ ...defaults, ...options });
    return { remove: namesOf(remove), surgeOn };
  };

  it.each<[string, Readonly<Record<string, readonly Pod[]>>, number, readonly string[]]>([
    [
      "as many old pods as may be missing",
      { a: [pod("old-a")], b: [pod("old-b")], c: [pod("old-c")] },
      2,
      ["old-a", "old-b"],
    ],
    ["none while a new one is not available", { a: [pod("new-a", unready)], b: [pod("old-b")] }, 1, []],
    ["none while a node has only one that goes", { a: [pod("old-a", { going: true })], b: [pod("old-b")] }, 1, []],
    [
      "all that do not serve, in place of those that do",
      { a: [pod("old-a", unready)], b: [pod("old-b")] },
      1,
      ["old-a"],
    ],
    [
      "none of a node that has one of each, nor beside it",
      { a: [pod("old-a"), pod("new-a")], b: [pod("old-b")] },
      1,
      [],
    ],
    ["none when all are new", { a: [pod("new-a")], b: [pod("new-b")] }, 1, []],
  ])("without surge removes %s", (_what, nodes, unavailable, expected) => {
    expect(steps(nodes, { unavailable })).toEqual({ remove: expected, surgeOn: [] });
  });

  it("surges on so many nodes at a time, and at once where the old pod does not serve", () => {
    const nodes = { a: [pod("old-a")], b: [pod("old-b")], c: [pod("old-c", unready)] };
    expect(steps(nodes, { surge: 1 })).toEqual({ remove: [], surgeOn: ["c", "a"] });
  });

  it("waits for a surge to be available, and ends it then", () => {
    const waiting = { a: [pod("old-a"), pod("new-a", unready)], b: [pod("old-b")] };
    expect(steps(waiting, { surge: 1 })).toEqual({ remove: [], surgeOn: [] });
    const served = { a: [pod("old-a"), pod("new-a")], b: [pod("old-b")] };
    expect(steps(served, { surge: 1 })).toEqual({ remove: ["old-a"], surgeOn: ["b"] });
  });

  it("leaves a node that is no longer wanted only when another serves in its place", () => {
    const runsOn = (node: string): boolean => node === "b";
    const before = { a: [pod("old-a")], b: [pod("new-b", unready)] };
    expect(steps(before, { surge: 1, desired: 1, runsOn })).toEqual({ remove: [], surgeOn: [] });
    const after = { a: [pod("old-a")], b: [pod("new-b")] };
    expect(steps(after, { surge: 1, desired: 1, runsOn })).toEqual({ remove: ["old-a"], surgeOn: [] });
    const dead = { a: [pod("old-a", unready)], b: [pod("new-b", unready)] };
    expect(steps(dead, { surge: 1, desired: 1, runsOn }).remove).toEqual(["old-a"]);
  });
});
