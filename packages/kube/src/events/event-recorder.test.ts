import { Registry } from "prom-client";
import { describe, expect, it } from "vitest";
import { EventsEvents, type EventsEvent } from "../builtin/events-v1.generated.ts";
import { FakeApiServer, type Fault } from "../cache/simulation/fake-api-server.ts";
import { createClient } from "../client/create-client.ts";
import { silentLogger } from "../core/logger.ts";
import type { KubeObject } from "../core/object.ts";
import { seededRandom } from "../core/random.ts";
import { VirtualClock } from "../core/virtual-clock.ts";
import { cutToBytes } from "./event-object.ts";
import { createEventRecorder, type EventInput } from "./event-recorder.ts";

const deployment: KubeObject = {
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: { namespace: "ml", name: "llm", uid: "u1", resourceVersion: "7" },
};

const refused: EventInput = {
  regarding: deployment,
  type: "Warning",
  reason: "QuotaExceeded",
  action: "Admit",
  note: "needs 8, 3 left",
};

function setUp() {
  const clock = new VirtualClock({ start: Date.UTC(2030, 0, 1) });
  const random = seededRandom(1);
  let fault: Fault | undefined;
  const methods: string[] = [];
  const server = new FakeApiServer({
    clock,
    random,
    fault: () => fault,
    onRequest: ({ method }) => methods.push(method),
  });
  const registry = new Registry();
  const recorder = createEventRecorder({
    client: createClient({ transport: server.transport, clock, maxRetries: 0 }),
    clock,
    random,
    logger: silentLogger,
    reporter: { controller: "fleetwright.dev/quota", instance: "manager-0" },
    metrics: registry,
  });
  const stored = (): readonly EventsEvent[] => server.storage.list(EventsEvents.plural) as readonly EventsEvent[];
  const setFault = (next: Fault | undefined): void => void (fault = next);
  return { clock, server, methods, registry, recorder, stored, setFault };
}

describe("createEventRecorder", () => {
  it("creates an event with everything the server demands", async () => {
    const { clock, recorder, stored } = setUp();
    recorder.event(refused);
    await clock.advance(1000);
    expect(stored()).toEqual([
      expect.objectContaining({
        apiVersion: "events.k8s.io/v1",
        kind: "Event",
        metadata: expect.objectContaining({ namespace: "ml", name: expect.stringMatching(/^llm\.[0-9a-f]+$/) }),
        eventTime: "2030-01-01T00:00:00.000000Z",
        type: "Warning",
        reason: "QuotaExceeded",
        action: "Admit",
        note: "needs 8, 3 left",
        regarding: {
          apiVersion: "apps/v1",
          kind: "Deployment",
          namespace: "ml",
          name: "llm",
          uid: "u1",
          resourceVersion: "7",
        },
        reportingController: "fleetwright.dev/quota",
        reportingInstance: "manager-0",
      }),
    ]);
    expect(stored()[0]).not.toHaveProperty("series");
  });

  it("makes one series of the same event, whatever the object's version, with few writes", async () => {
    const { clock, recorder, stored, methods } = setUp();
    for (let index = 0; index < 300; index++) {
      const metadata = { ...deployment.metadata, resourceVersion: String(index) };
      recorder.event({ ...refused, regarding: { ...deployment, metadata } });
      await clock.advance(100);
    }
    await clock.advance(20_000);
    expect(stored()).toHaveLength(1);
    expect(stored()[0]?.series).toEqual({ count: 300, lastObservedTime: "2030-01-01T00:00:29.900000Z" });
    expect(methods.filter((method) => method === "POST")).toHaveLength(1);
    expect(methods.filter((method) => method === "PATCH").length).toBeLessThanOrEqual(4);
  });

  it("begins a new event after six quiet minutes, and for another note at once", async () => {
    const { clock, recorder, stored } = setUp();
    recorder.event(refused);
    await clock.advance(359_000);
    recorder.event(refused);
    await clock.advance(361_000);
    recorder.event(refused);
    recorder.event({ ...refused, note: "needs 9, 3 left" });
    await clock.advance(1000);
    expect(stored().map((event) => event.series?.count ?? 1)).toEqual([2, 1, 1]);
  });

  it("creates the event again when the server has forgotten it", async () => {
    const { clock, recorder, server, stored } = setUp();
    recorder.event(refused);
    await clock.advance(20_000);
    const { namespace, name } = stored()[0]?.metadata ?? {};
    server.storage.delete("events", `${namespace}/${name}`);
    recorder.event(refused);
    await clock.advance(1000);
    expect(stored().map((event) => event.series?.count)).toEqual([2]);
  });

  it("lets a burst of 25 different events about an object through, then one in five minutes", async () => {
    const { clock, recorder, stored, registry } = setUp();
    for (let index = 0; index < 100; index++) recorder.event({ ...refused, note: `try ${index}` });
    recorder.event({ ...refused, regarding: { ...deployment, metadata: { ...deployment.metadata, name: "other" } } });
    await clock.advance(5000);
    expect(stored()).toHaveLength(26);
    expect(await registry.metrics()).toContain('event_recorder_events_total{outcome="filtered"} 75');
    await clock.advance(300_000);
    for (let index = 100; index < 105; index++) recorder.event({ ...refused, note: `try ${index}` });
    await clock.advance(5000);
    expect(stored()).toHaveLength(27);
  });

  it("never throws and never waits, and writes when the server is back", async () => {
    const { clock, recorder, setFault, stored } = setUp();
    setFault("server-error");
    expect(() => recorder.event(refused)).not.toThrow();
    expect(() => recorder.event({ ...refused, regarding: null as unknown as KubeObject })).not.toThrow();
    await clock.advance(3000);
    setFault(undefined);
    await clock.advance(20_000);
    expect(stored()).toHaveLength(1);
  });

  it("gives up on an event that fails again and again, and tries the next occurrence anew", async () => {
    const { clock, recorder, setFault, stored, registry } = setUp();
    setFault("server-error");
    recorder.event(refused);
    await clock.advance(120_000);
    expect(await registry.metrics()).toContain('event_recorder_events_total{outcome="failed"} 1');
    setFault(undefined);
    recorder.event(refused);
    await clock.advance(1000);
    expect(stored()).toHaveLength(1);
  });

  it("flushes what waits when its signal aborts, and leaves no timer", async () => {
    const { clock, recorder, stored } = setUp();
    const stop = new AbortController();
    const running = recorder.start(stop.signal);
    recorder.event(refused);
    await clock.advance(1000);
    recorder.event(refused);
    stop.abort();
    await clock.runUntil(() => stored()[0]?.series?.count === 2, 1000);
    await running;
    expect(clock.pending).toBe(0);
  });
});

describe("cutToBytes", () => {
  it("keeps short texts, cuts long ones at a whole character, and stays within the limit", () => {
    expect(cutToBytes("short", 1024)).toBe("short");
    const cut = cutToBytes("ä".repeat(600), 1024);
    expect(Buffer.byteLength(cut)).toBeLessThanOrEqual(1024);
    expect(cut).toMatch(/^ä+…$/);
  });
});
