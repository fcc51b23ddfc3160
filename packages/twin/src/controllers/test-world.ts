import { createCache, createClient, seededRandom, silentLogger, VirtualClock } from "@fleetwright/kube";
import type { Client, Logger } from "@fleetwright/kube";
import { startTwin } from "../server/start-twin.ts";
import { createControllerContext } from "./context.ts";
import type { ControllerContext, Controllers } from "./context.ts";

/** An API server and some controllers in virtual time, for tests. */
export interface TestWorld {
  readonly clock: VirtualClock;
  /** The administrator's. */
  readonly client: Client;
  readonly context: ControllerContext;
  /** Lets everything that can happen now happen. */
  settle(): Promise<void>;
  /** Lets time pass. */
  advance(ms: number): Promise<void>;
  /** Lets time pass until the condition holds. @throws FleetwrightError `FW_CLOCK_LIMIT` */
  until(condition: () => Promise<boolean>, limitMs?: number): Promise<void>;
  stop(): Promise<void>;
}

/**
 * @example
 * const world = await startTestWorld([deploymentController, replicaSetController]);
 * await world.client.create(Deployments, …);
 * await world.settle();
 */
export async function startTestWorld(
  controllers: readonly Controllers[],
  options: { readonly seed?: number; readonly logger?: Logger } = {},
): Promise<TestWorld> {
  const { seed = 1, logger = silentLogger } = options;
  const late: { activity: () => number } = { activity: () => 0 };
  const clock = new VirtualClock({ activity: () => late.activity() });
  const random = seededRandom(seed);
  const twin = await startTwin({ listen: false, clock, random, logger });
  late.activity = () => twin.activity;
  const client = createClient({ transport: twin.transport(), clock, logger, userAgent: "kubectl/v1.36.3" });
  const cache = createCache({ client, clock, random, logger });
  const context = createControllerContext({
    transport: (user) => twin.transport(user),
    cache,
    caCertificate: twin.caCertificate,
    clock,
    random,
    logger,
  });
  const parts = controllers.flatMap((start) => start(context));
  const stopParts = new AbortController();
  const stopCache = new AbortController();
  const running = cache.run(stopCache.signal);
  await cache.waitForSync();
  const working = parts.map((part) => part.start(stopParts.signal));
  await clock.settle();
  return {
    clock,
    client,
    context,
    settle: () => clock.settle(),
    advance: (ms) => clock.advance(ms),
    async until(condition, limitMs = 3_600_000) {
      const end = clock.now() + limitMs;
      await clock.settle();
      while (!(await condition())) {
        if (clock.now() >= end) throw new Error(`the condition did not come true in ${limitMs} ms of virtual time`);
        await clock.advance(1000);
      }
    },
    async stop() {
      stopParts.abort();
      await clock.settle();
      await Promise.all(working);
      stopCache.abort();
      await running;
      await twin.stop();
    },
  };
}
