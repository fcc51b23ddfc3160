import { describe, expect, it } from "vitest";
import { ApiError, Leases, Nodes, Pods, TransportError, VirtualClock, seededRandom } from "@fleetwright/kube";
import type { Lease, Node, Pod } from "@fleetwright/kube";
import { createFakeCluster } from "./fake-cluster.ts";
import type { FakeCluster } from "./fake-cluster.ts";
import { isReady, leaseNamespace } from "./node-object.ts";
import { startNodes } from "./simulated-nodes.ts";
import type { SimulatedNodes, SimulatedNodesOptions } from "./simulated-nodes.ts";

interface Setup {
  readonly clock: VirtualClock;
  readonly cluster: FakeCluster;
  readonly simulated: SimulatedNodes;
}

async function setUp(
  options: Partial<SimulatedNodesOptions> = {},
  prepare?: (cluster: FakeCluster) => void,
): Promise<Setup> {
  const clock = new VirtualClock();
  const cluster = createFakeCluster(() => clock.now());
  prepare?.(cluster);
  const starting = startNodes({
    client: cluster.client,
    cache: cluster.cache,
    pools: [{ name: "n", count: 3 }],
    clock,
    random: seededRandom(1),
    ...options,
  });
  await clock.settle();
  return { clock, cluster, simulated: await starting };
}

const boundPod = (name: string, uid: string, more: Partial<Pod["metadata"]> = {}): Pod => ({
  metadata: { name, namespace: "ml", uid, ...more },
  spec: { nodeName: "n-0", containers: [{ name: "main" }] },
  status: { phase: "Pending" },
});
const phaseOf = (cluster: FakeCluster, name: string): string | undefined =>
  (cluster.find(Pods, { namespace: "ml", name }) as Pod | undefined)?.status?.phase;
const leaseOf = (cluster: FakeCluster, name: string): Lease | undefined =>
  cluster.find(Leases, { namespace: leaseNamespace, name }) as Lease | undefined;

describe("simulated nodes", () => {
  it("register Ready, without the taint of new nodes, each with a lease that goes with it", async () => {
    const { cluster, simulated } = await setUp();
    expect(simulated.names).toEqual(["n-0", "n-1", "n-2"]);
    for (const name of simulated.names) {
      const node = cluster.find(Nodes, { name }) as Node;
      expect(isReady(node)).toBe(true);
      expect(leaseOf(cluster, name)?.metadata.ownerReferences).toEqual([
        { apiVersion: "v1", kind: "Node", name, uid: node.metadata.uid },
      ]);
    }
    await simulated.stop();
  });

  it("adopt nodes and leases that are there already, and make them Ready again", async () => {
    const stale: Node = { metadata: { name: "n-1" }, status: { conditions: [{ type: "Ready", status: "Unknown" }] } };
    const { cluster, simulated } = await setUp({}, (before) => {
      before.put(Nodes, stale);
      before.put(Leases, { metadata: { name: "n-1", namespace: leaseNamespace } });
    });
    expect(isReady(cluster.find(Nodes, { name: "n-1" }) as Node)).toBe(true);
    expect(cluster.calls.filter(({ verb, plural }) => verb === "create" && plural === "nodes")).toHaveLength(2);
    expect(leaseOf(cluster, "n-1")?.spec?.renewTime).toMatch(/\.\d{6}Z$/);
    await simulated.stop();
  });

  it("renew every lease long before the node controller would give a node up, within the bound", async () => {
    const { clock, cluster, simulated } = await setUp({ pools: [{ name: "n", count: 400 }], renewalsPerSecond: 20 });
    const began = clock.now();
    await clock.advance(120_000);
    const renewals = cluster.calls.filter(
      ({ verb, plural, at }) => verb === "update" && plural === "leases" && at > began,
    );
    const times = new Map<string, number>();
    let longest = 0;
    for (const { key, at } of renewals) {
      longest = Math.max(longest, at - (times.get(key) ?? began));
      times.set(key, at);
    }
    expect(times.size).toBe(400);
    expect(longest).toBeLessThan(25_000);
    expect(renewals.length / 120).toBeLessThanOrEqual(20.5);
    await simulated.stop();
  });

  it("go on renewing after a lease was written by someone else, or deleted", async () => {
    const { clock, cluster, simulated } = await setUp();
    cluster.put(Leases, { metadata: { name: "n-0", namespace: leaseNamespace, uid: "other" } });
    cluster.remove(Leases, { namespace: leaseNamespace, name: "n-1" });
    await clock.advance(40_000);
    const age = (name: string): number => clock.now() - Date.parse(leaseOf(cluster, name)?.spec?.renewTime ?? "");
    expect(age("n-0")).toBeLessThan(15_000);
    expect(age("n-1")).toBeLessThan(15_000);
    await simulated.stop();
  });

  it.each([
    ["breaks", new TransportError("cut")],
    ["is refused as a conflict", new ApiError(409, { code: 409, reason: "Conflict" })],
  ])("renew again soon when a renewal %s, not a round later", async (_, error) => {
    const { clock, cluster, simulated } = await setUp({ pools: [{ name: "n", count: 1 }] });
    cluster.failNext("update", "leases", error);
    const updates = (): number[] =>
      cluster.calls.filter(({ verb, plural }) => verb === "update" && plural === "leases").map(({ at }) => at);
    await clock.runUntil(() => updates().length === 2);
    const [failed = 0, again = 0] = updates();
    expect(again - failed).toBeLessThanOrEqual(2000);
    await simulated.stop();
  });

  it("are silent while paused, and report Ready when they come back", async () => {
    const { clock, cluster, simulated } = await setUp();
    simulated.pause("n-0");
    const before = leaseOf(cluster, "n-0")?.spec?.renewTime;
    cluster.put(Pods, boundPod("waits", "u-1"));
    await clock.advance(120_000);
    expect(leaseOf(cluster, "n-0")?.spec?.renewTime).toBe(before);
    expect(phaseOf(cluster, "waits")).toBe("Pending");
    const node = cluster.find(Nodes, { name: "n-0" }) as Node;
    cluster.put(Nodes, { ...node, status: { conditions: [{ type: "Ready", status: "Unknown" }] } } as Node);
    simulated.resume("n-0");
    await clock.advance(20_000);
    expect(isReady(cluster.find(Nodes, { name: "n-0" }) as Node)).toBe(true);
    expect(leaseOf(cluster, "n-0")?.spec?.renewTime).not.toBe(before);
    expect(phaseOf(cluster, "waits")).toBe("Running");
    await simulated.stop();
  });

  it("do not come back when they are deleted", async () => {
    const { clock, cluster, simulated } = await setUp();
    cluster.remove(Nodes, { name: "n-2" });
    cluster.remove(Leases, { namespace: leaseNamespace, name: "n-2" });
    await clock.advance(700_000);
    expect(cluster.find(Nodes, { name: "n-2" })).toBeUndefined();
    expect(leaseOf(cluster, "n-2")).toBeUndefined();
    expect(simulated.names).toEqual(["n-0", "n-1"]);
    await simulated.stop();
  });

  it("leave nothing running when they are stopped", async () => {
    const { clock, cluster, simulated } = await setUp();
    cluster.put(Pods, boundPod("a", "u-1", { annotations: { "nodes.fleetwright.dev/run-for": "1h" } }));
    await clock.settle();
    await simulated.stop();
    expect(clock.pending).toBe(0);
  });
});

describe("pods on simulated nodes", () => {
  it("run, and are written once though the cache lags behind", async () => {
    const { clock, cluster, simulated } = await setUp();
    cluster.put(Pods, boundPod("a", "u-1"));
    const release = cluster.holdEvents();
    await clock.settle();
    simulated.resume("n-0");
    await clock.settle();
    release();
    await clock.advance(60_000);
    expect(phaseOf(cluster, "a")).toBe("Running");
    expect(cluster.calls.filter(({ plural, verb }) => plural === "pods" && verb === "patch")).toHaveLength(1);
    await simulated.stop();
  });

  it("are left alone on nodes of others", async () => {
    const { clock, cluster, simulated } = await setUp();
    cluster.put(Pods, { ...boundPod("a", "u-1"), spec: { nodeName: "real-1", containers: [{ name: "main" }] } } as Pod);
    await clock.advance(60_000);
    expect(phaseOf(cluster, "a")).toBe("Pending");
    await simulated.stop();
  });

  it("get there although writes fail at first, and wait as long as the server asks", async () => {
    const { clock, cluster, simulated } = await setUp();
    cluster.failNext("patch", "pods", new TransportError("cut"));
    cluster.failNext("patch", "pods", new ApiError(429, { code: 429 }, { retryAfterMs: 20_000 }));
    cluster.put(Pods, boundPod("a", "u-1"));
    const began = clock.now();
    await clock.runUntil(() => phaseOf(cluster, "a") === "Running");
    expect(clock.now() - began).toBeGreaterThanOrEqual(20_000);
    await simulated.stop();
  });

  it("that took a deleted pod's name are not described or deleted in its place", async () => {
    const { clock, cluster, simulated } = await setUp();
    const release = cluster.holdEvents();
    const deletionTimestamp = new Date(clock.now()).toISOString();
    cluster.put(Pods, boundPod("a", "u-2"));
    release();
    const hold = cluster.holdEvents();
    cluster.remove(Pods, { namespace: "ml", name: "a" });
    cluster.put(Pods, boundPod("a", "u-3", { deletionTimestamp, deletionGracePeriodSeconds: 30 }));
    await clock.settle();
    expect(phaseOf(cluster, "a")).toBe("Pending");
    hold();
    await clock.settle();
    expect(cluster.find(Pods, { namespace: "ml", name: "a" })).toBeUndefined();
    await simulated.stop();
  });

  it("have addresses of their own", async () => {
    const { clock, cluster, simulated } = await setUp();
    for (let index = 0; index < 50; index++) cluster.put(Pods, boundPod(`p-${index}`, `u-${index}`));
    await clock.settle();
    await clock.advance(1000);
    const addresses = Array.from(
      { length: 50 },
      (_, index) => (cluster.find(Pods, { namespace: "ml", name: `p-${index}` }) as Pod).status?.podIP,
    );
    expect(new Set(addresses).size).toBe(50);
    expect(addresses).not.toContain(undefined);
    await simulated.stop();
  });
});
