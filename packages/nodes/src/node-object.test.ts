import { describe, expect, it } from "vitest";
import { isReady, newNode, nodeAddress, nodeConditions, podAddress, renewalIntervalMs } from "./node-object.ts";

const now = Date.UTC(2030, 0, 1);

describe("a simulated node", () => {
  it("is Ready from the first moment, with its GPUs as resource and labels", () => {
    const gpu = { product: "A30", count: 4, memoryMiB: 24_576 };
    const node = newNode({ name: "gpu", count: 2, gpu, labels: { zone: "a" } }, 1, "10.128.0.2", now);
    expect(isReady(node)).toBe(true);
    expect(node.status?.allocatable?.["nvidia.com/gpu"]).toBe("4");
    expect(node.metadata.labels).toMatchObject({
      "kubernetes.io/hostname": "gpu-1",
      "nvidia.com/gpu.product": "A30",
      "nvidia.com/gpu.memory": "24576",
      zone: "a",
    });
  });

  it("has no GPU labels without GPUs", () => {
    const node = newNode({ name: "cpu", count: 1 }, 0, "10.128.0.1", now);
    expect(Object.keys(node.metadata.labels ?? {}).filter((key) => key.startsWith("nvidia"))).toEqual([]);
    expect(node.status?.capacity).not.toHaveProperty("nvidia.com/gpu");
  });

  it("keeps the time of a condition that did not change, and moves that of one that did", () => {
    const before = nodeConditions(undefined, now).map((condition) =>
      condition.type === "Ready" ? { ...condition, status: "Unknown" as const } : condition,
    );
    const after = nodeConditions(before, now + 60_000);
    const since = (type: string): string | undefined => after.find((it) => it.type === type)?.lastTransitionTime;
    expect(since("Ready")).toBe("2030-01-01T00:01:00Z");
    expect(since("DiskPressure")).toBe("2030-01-01T00:00:00Z");
  });
});

describe("addresses", () => {
  it("of nodes and pods never meet, for 8 million pods", () => {
    expect([nodeAddress(0), nodeAddress(4999)]).toEqual(["10.128.0.1", "10.128.19.136"]);
    expect([podAddress(0), podAddress(255), podAddress(0x7f_fffd)]).toEqual(["10.0.0.1", "10.0.1.0", "10.127.255.254"]);
    expect(podAddress(0x7f_fffe)).toBe(podAddress(0));
  });
});

describe("lease renewals", () => {
  it.each([
    [10, 10_000],
    [1000, 10_000],
    [2000, 20_000],
    [5000, 35_000],
    [50_000, 35_000],
  ])("of %i nodes come every %i ms at 100 a second", (count, expected) => {
    expect(renewalIntervalMs(count, 100, 35_000)).toBe(expected);
  });
});
