import type { Pod } from "@fleetwright/kube";
import { describe, expect, it } from "vitest";
import { byDeletionRank } from "./deletion-rank.ts";

const now = Date.parse("2026-01-01T12:00:00Z");
const ago = (seconds: number): string => new Date(now - seconds * 1_000).toISOString();

interface Traits {
  readonly node?: string;
  readonly phase?: string;
  /** For how many seconds; absent: it is not ready. */
  readonly readyFor?: number;
  readonly cost?: string;
  readonly restarts?: number;
  readonly sidecarRestarts?: number;
  readonly age?: number;
}

/** A bound, running pod that has been ready for a thousand seconds, but for its traits. */
function pod(uid: string, traits: Traits = {}): Pod {
  const { node = "a", phase = "Running", cost, restarts = 0, sidecarRestarts, age = 2_000 } = traits;
  const readyFor = "readyFor" in traits ? traits.readyFor : 1_000;
  const ready = { status: readyFor === undefined ? "False" : "True", lastTransitionTime: ago(readyFor ?? 0) };
  return {
    metadata: {
      name: uid,
      uid,
      creationTimestamp: ago(age),
      ...(cost === undefined ? {} : { annotations: { "controller.kubernetes.io/pod-deletion-cost": cost } }),
    },
    spec: {
      containers: [{ name: "main" }],
      ...(node === "" ? {} : { nodeName: node }),
      ...(sidecarRestarts === undefined ? {} : { initContainers: [{ name: "proxy", restartPolicy: "Always" }] }),
    },
    status: {
      phase,
      conditions: [{ type: "Ready", ...ready }],
      containerStatuses: [status("main", restarts)],
      ...(sidecarRestarts === undefined ? {} : { initContainerStatuses: [status("proxy", sidecarRestarts)] }),
    },
  };
}

const status = (name: string, restartCount: number) => ({ name, restartCount, ready: true, image: "", imageID: "" });

const first = (pods: readonly Pod[], ranks: Readonly<Record<string, number>> = {}): string | undefined =>
  byDeletionRank(pods, new Map(Object.entries(ranks)), now)[0]?.metadata.name;

describe("byDeletionRank", () => {
  // The pod that goes has the greater UID, so that the last resort never decides.
  it.each<[string, Traits, Traits, Readonly<Record<string, number>>?]>([
    ["is bound to no node", { node: "" }, {}],
    ["is pending", { phase: "Pending" }, {}],
    ["is unknown rather than running", { phase: "Unknown" }, {}],
    ["is not ready", { readyFor: undefined }, {}],
    ["costs less", { cost: "-5" }, {}],
    ["costs nothing rather than something", {}, { cost: "7" }],
    ["shares its node with more", { node: "b" }, {}, { a: 1, b: 2 }],
    ["has been ready for a much shorter time", { readyFor: 10 }, {}],
    ["has restarted more often", { restarts: 3 }, { restarts: 2 }],
    ["has a sidecar that restarted more often", { sidecarRestarts: 2 }, { sidecarRestarts: 1 }],
    ["is much younger", { age: 1_001 }, { age: 9_000 }],
  ])("takes the pod first that %s", (_what, goes, stays, ranks) => {
    expect(first([pod("1-stays", stays), pod("2-goes", goes)], ranks)).toBe("2-goes");
  });

  it.each(["+5", "007", "x", "2147483648", "1.5", ""])("takes the cost %j for none", (cost) => {
    expect(first([pod("1-free"), pod("2-odd", { cost })])).toBe("1-free");
    expect(first([pod("1-odd", { cost }), pod("2-free")])).toBe("1-odd");
  });

  it("lets cost decide before crowding, and readiness before cost", () => {
    expect(first([pod("1-crowded", { node: "b" }), pod("2-cheap", { cost: "-1" })], { b: 9 })).toBe("2-cheap");
    expect(first([pod("1-cheap", { cost: "-1" }), pod("2-unready", { readyFor: undefined })])).toBe("2-unready");
  });

  it("lets the UID decide between times of one rank, whatever has restarted", () => {
    // 600 s and 1,000 s lie between 2^39 and 2^40 nanoseconds.
    expect(first([pod("2", { readyFor: 600, restarts: 9 }), pod("1", { readyFor: 1_000 })])).toBe("1");
  });

  it("bounds ranks at powers of two of nanoseconds", () => {
    // 2^39 ns are 549.76 s: in powers of two of milliseconds both would be of one rank.
    expect(first([pod("1-longer", { readyFor: 550 }), pod("2-shorter", { readyFor: 549 })])).toBe("2-shorter");
  });
});
