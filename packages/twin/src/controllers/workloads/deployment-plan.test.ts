import type { Deployment, ReplicaSet } from "@fleetwright/kube";
import { describe, expect, it } from "vitest";
import {
  annotations,
  maxScaledDown,
  maxSurge,
  maxUnavailable,
  newSetReplicas,
  proportionalScalings,
  spareScalings,
  unhealthyScalings,
} from "./deployment-plan.ts";
import type { Scaling } from "./deployment-plan.ts";

type Share = number | string;

const template = { spec: { containers: [{ name: "main" }] } };

function deployment(replicas: number, surge: Share = "25%", unavailable: Share = "25%"): Deployment {
  return {
    metadata: { name: "web" },
    spec: {
      replicas,
      selector: {},
      template,
      strategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: surge, maxUnavailable: unavailable } },
    },
  };
}

/** @param max of the annotation max-replicas; absent: the set has none */
function set(name: string, replicas: number, available = replicas, max?: number): ReplicaSet {
  return {
    metadata: {
      name,
      creationTimestamp: `2026-01-01T00:00:0${name.length}Z`,
      annotations: max === undefined ? {} : { [annotations.max]: String(max) },
    },
    spec: { replicas, selector: {}, template },
    status: { replicas, availableReplicas: available },
  };
}

const told = (scalings: readonly Scaling[]): Readonly<Record<string, number>> =>
  Object.fromEntries(scalings.map(({ set: { metadata }, replicas }) => [metadata.name ?? "", replicas]));

describe("bounds of a rolling update", () => {
  it.each<[number, Share, Share, { readonly surge: number; readonly unavailable: number }]>([
    [10, "25%", "25%", { surge: 3, unavailable: 2 }],
    [3, "25%", "25%", { surge: 1, unavailable: 0 }],
    [4, 2, 1, { surge: 2, unavailable: 1 }],
    // Both 0 would never move.
    [1, 0, "25%", { surge: 0, unavailable: 1 }],
    [2, 0, 5, { surge: 0, unavailable: 2 }],
    [0, 1, 1, { surge: 1, unavailable: 0 }],
  ])("of %d replicas with surge %s and unavailable %s", (replicas, surge, unavailable, expected) => {
    const made = deployment(replicas, surge, unavailable);
    expect({ surge: maxSurge(made), unavailable: maxUnavailable(made) }).toEqual(expected);
  });
});

describe("newSetReplicas", () => {
  it.each([
    ["grows into the surge", deployment(10, 3, 2), [set("old", 10)], 0, 3],
    ["grows into what old sets gave up", deployment(10, 3, 2), [set("old", 8), set("newer", 3)], 3, 5],
    ["never beyond what is wanted", deployment(4, 10, 0), [set("old", 4)], 0, 4],
    ["stays while there is no room", deployment(10, 0, 2), [set("old", 10)], 0, 0],
  ] as const)("%s", (_what, made, all, current, expected) => {
    expect(newSetReplicas(made, all, current)).toBe(expected);
  });
});

describe("scaling old sets down", () => {
  const scaled = (made: Deployment, newSet: ReplicaSet, old: readonly ReplicaSet[]) => ({
    max: maxScaledDown(made, newSet, old),
    unhealthy: told(unhealthyScalings(made, newSet, old)),
    spare: told(spareScalings(made, newSet, old)),
  });

  // The two cases that upstream's comments work out.
  it("leaves old sets alone while the new one's pods are not available", () => {
    const state = scaled(deployment(10, 3, 2), set("newer", 5, 0), [set("old", 8, 7)]);
    expect(state).toEqual({ max: 0, unhealthy: {}, spare: {} });
  });

  it("takes the pods of a failed rollout first, when it is rolled over", () => {
    const state = scaled(deployment(10, 3, 2), set("newest", 0), [set("old", 8), set("older", 5, 0)]);
    expect(state).toEqual({ max: 5, unhealthy: { older: 0 }, spare: {} });
  });

  it("takes from the oldest first, and no more than may be missing", () => {
    const state = scaled(deployment(4, 0, 2), set("newest", 0), [set("older", 1), set("old", 3)]);
    expect(state).toEqual({ max: 2, unhealthy: {}, spare: { old: 1 } });
  });

  it("does both to one set", () => {
    const [made, newSet] = [deployment(4, 0, 2), set("newer", 0)];
    expect(scaled(made, newSet, [set("old", 4, 3)])).toEqual({ max: 2, unhealthy: { old: 3 }, spare: { old: 3 } });
    expect(told(spareScalings(made, newSet, [set("old", 3, 3)]))).toEqual({ old: 2 });
  });

  it("does nothing once all are gone", () => {
    expect(scaled(deployment(2), set("newer", 2), [set("old", 0)])).toMatchObject({ max: 0, unhealthy: {}, spare: {} });
  });
});

describe("proportionalScalings", () => {
  it("spreads growth over the sets of a rollout, the leftover to the largest", () => {
    const scalings = proportionalScalings(deployment(20, 0, 1), set("newer", 4, 4, 10), [set("old", 6, 6, 10)]);
    expect(told(scalings)).toEqual({ old: 12, newer: 8 });
  });

  it("gives growth that cannot be shared to the larger set", () => {
    const scalings = proportionalScalings(deployment(6, 0, 1), set("newer", 2, 2, 5), [set("old", 3, 3, 5)]);
    expect(told(scalings)).toEqual({ old: 4, newer: 2 });
  });

  it("shrinks in proportion", () => {
    const scalings = proportionalScalings(deployment(5, 0, 1), set("newer", 4, 4, 10), [set("old", 6, 6, 10)]);
    expect(told(scalings)).toEqual({ old: 3, newer: 2 });
  });

  it("counts from the Deployment's status where a set has no mark", () => {
    const made = { ...deployment(20, 0, 1), status: { replicas: 10 } };
    expect(told(proportionalScalings(made, set("newer", 4), [set("old", 6)]))).toEqual({ old: 12, newer: 8 });
  });

  it("scales the only set that has replicas, or else the newest", () => {
    expect(told(proportionalScalings(deployment(5), set("newer", 2), [set("old", 0)]))).toEqual({ newer: 5 });
    expect(told(proportionalScalings(deployment(5), undefined, [set("older", 0), set("old", 0)]))).toEqual({
      older: 5,
    });
    expect(proportionalScalings(deployment(2), set("newer", 2), [])).toEqual([]);
  });

  it("brings all to nothing", () => {
    const scalings = proportionalScalings(deployment(0, 1, 1), set("newer", 4, 4, 11), [set("old", 6, 6, 11)]);
    expect(told(scalings)).toEqual({ old: 0, newer: 0 });
  });

  it("ends old sets once the new one is complete", () => {
    const complete = set("newer", 4);
    const marked = { ...complete, metadata: { ...complete.metadata, annotations: { [annotations.desired]: "4" } } };
    expect(told(proportionalScalings(deployment(4), marked, [set("old", 1)]))).toEqual({ old: 0 });
  });

  it("leaves the sets of a recreation alone", () => {
    const made = deployment(5);
    const recreating = { ...made, spec: { ...made.spec, selector: {}, template, strategy: { type: "Recreate" } } };
    expect(proportionalScalings(recreating, set("newer", 1), [set("old", 1)])).toEqual([]);
  });
});
