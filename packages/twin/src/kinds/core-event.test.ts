import { describe, expect, it } from "vitest";
import { eventConversion } from "./core-event.ts";

const core = {
  apiVersion: "v1",
  kind: "Event",
  metadata: { name: "a", namespace: "default" },
  involvedObject: { kind: "Pod", name: "p" },
  message: "m",
  source: { component: "c" },
  firstTimestamp: "2026-01-01T00:00:00Z",
  lastTimestamp: "2026-01-01T00:00:00Z",
  count: 2,
  reportingComponent: "r",
  reportingInstance: "i",
  type: "Normal",
};

describe("events of two groups are one", () => {
  it("reads a stored event in the words of events.k8s.io", async () => {
    const [event] = await eventConversion.fromStorage([core]);
    expect(event).toEqual({
      apiVersion: "events.k8s.io/v1",
      kind: "Event",
      metadata: { name: "a", namespace: "default" },
      regarding: { kind: "Pod", name: "p" },
      note: "m",
      deprecatedSource: { component: "c" },
      deprecatedFirstTimestamp: "2026-01-01T00:00:00Z",
      deprecatedLastTimestamp: "2026-01-01T00:00:00Z",
      deprecatedCount: 2,
      reportingController: "r",
      reportingInstance: "i",
      type: "Normal",
    });
  });

  it("loses nothing on the way there and back", async () => {
    expect(await eventConversion.toStorage(await eventConversion.fromStorage([core]))).toEqual([core]);
  });
});
