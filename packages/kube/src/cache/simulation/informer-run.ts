import { createClient } from "../../client/create-client.ts";
import { sleep } from "../../core/clock.ts";
import { silentLogger } from "../../core/logger.ts";
import { compareResourceVersions, keyOf, keyString, type KubeObject } from "../../core/object.ts";
import { seededRandom, type Random } from "../../core/random.ts";
import type { Resource } from "../../core/resource.ts";
import { VirtualClock } from "../../core/virtual-clock.ts";
import { createCache } from "../cache.ts";
import type { Informer } from "../informer.ts";
import { FakeApiServer, type Fault } from "./fake-api-server.ts";

const pods: Resource = { group: "", version: "v1", kind: "Pod", plural: "pods", namespaced: true };
const teamSelector = "team=a";
const stormMs = 20 * 60_000;
/** Longer than a half-open watch lives (10 min and its grace). */
const quietMs = 15 * 60_000;
const restMinutes = 20;

const faults: readonly Fault[] = [
  "refused",
  "throttled",
  "server-error",
  "hang",
  "truncated",
  "cut",
  "half-open",
  "ends-at-once",
  "error-event",
  "expired",
  "garbage",
  "replay",
];

/** What one run showed; the lists are empty when all is well. */
export interface InformerRun {
  readonly violations: readonly string[];
  readonly faults: number;
  readonly writes: number;
  /** Per kind, at rest. */
  readonly requestsPerMinute: number;
  readonly mostRequestsInAMinute: number;
}

/**
 * Twenty minutes of writes and faults, then quiet, in virtual time: two informers (all pods; those of one team)
 * against a server that restarts, compacts, throttles, breaks, stalls and lies, all by the seed.
 */
export async function runInformers(seed: number): Promise<InformerRun> {
  const random = seededRandom(seed);
  // Nothing here takes more than one turn: no sockets, no setImmediate.
  const clock = new VirtualClock({ turns: 1 });
  const violations: string[] = [];
  const requests: number[] = [];
  let storm = true;
  let faultCount = 0;
  const faultRate = 0.1 + random.next() * 0.6;
  const server = new FakeApiServer({
    clock,
    random,
    streamingLists: pick(random, ["supported", "refused", "ignored"]),
    fault: () => {
      if (!storm || random.next() > faultRate) return undefined;
      const fault = pick(random, faults);
      // Each takes ten minutes of the storm: one in three is enough.
      if (fault === "half-open" && random.next() < 0.67) return "cut";
      faultCount += 1;
      return fault;
    },
    onRequest: () => requests.push(clock.now()),
  });
  for (let index = 0; index < random.next() * 1500; index++) writePod(server, random);

  const client = createClient({ transport: server.transport, clock });
  const cache = createCache({ client, clock, random, logger: silentLogger, streamingLists: random.next() < 0.7 });
  const all = cache.informer(pods, { indexes: { label: teamOf } });
  const team = cache.informer(pods, { labelSelector: teamSelector });
  const view = observe(all, server, violations);
  const teamView = observe(team, server, violations);
  const stop = new AbortController();
  const running = cache.run(stop.signal);

  const writing = writeUntil(clock.now() + stormMs, clock, server, random);
  const breaking = breakUntil(clock.now() + stormMs, clock, server, random);
  await clock.advance(stormMs);
  storm = false;
  await clock.advance(quietMs);
  await Promise.all([writing, breaking]);
  const restFrom = clock.now();
  await clock.advance(restMinutes * 60_000);

  const expected = server.storage.list("pods");
  expectSame("store", all.list(), expected, violations);
  expectSame("handlers", [...view.values()], expected, violations);
  const ofTeam = expected.filter((pod) => pod.metadata.labels?.["team"] === "a");
  expectSame("store by selector", team.list(), ofTeam, violations);
  expectSame("handlers by selector", [...teamView.values()], ofTeam, violations);
  expectSame("store by index", all.byIndex("label", "a"), ofTeam, violations);
  const newest = String(server.storage.revision);
  if (compareResourceVersions(all.resourceVersion, newest) !== 0) {
    violations.push(`resourceVersion is ${all.resourceVersion}, the server's ${newest}`);
  }
  stop.abort();
  await clock.settle();
  await running;
  if (server.openConnections > 0) violations.push(`${server.openConnections} watches left open after the end`);
  return {
    violations,
    faults: faultCount,
    writes: server.storage.revision - 100,
    requestsPerMinute: requests.filter((at) => at >= restFrom).length / restMinutes / 2,
    mostRequestsInAMinute: mostWithin(requests, 60_000),
  };
}

const teamOf = (pod: KubeObject): readonly string[] => [pod.metadata.labels?.["team"] ?? ""];

function pick<T>(random: Random, from: readonly T[]): T {
  return from[Math.floor(random.next() * from.length)] as T;
}

function writePod(server: FakeApiServer, random: Random): void {
  const namespace = pick(random, ["ml", "web", "batch"]);
  const name = `pod-${Math.floor(random.next() * 900)}`;
  const key = `${namespace}/${name}`;
  if (random.next() < 0.3) {
    server.storage.delete("pods", key);
    return;
  }
  const metadata = { namespace, name, labels: { team: pick(random, ["a", "b"]) } };
  server.storage.put("pods", key, { apiVersion: "v1", kind: "Pod", metadata });
}

async function writeUntil(end: number, clock: VirtualClock, server: FakeApiServer, random: Random): Promise<void> {
  while (clock.now() < end) {
    await sleep(clock, 200 + random.next() * 6000);
    const burst = random.next() < 0.05 ? 60 : 1;
    for (let index = 0; index < burst; index++) writePod(server, random);
  }
}

async function breakUntil(end: number, clock: VirtualClock, server: FakeApiServer, random: Random): Promise<void> {
  while (clock.now() < end) {
    await sleep(clock, random.next() * 60_000);
    const chance = random.next();
    if (chance < 0.6) server.cutConnections();
    else if (chance < 0.8) server.compact();
    else await server.restart(500 + random.next() * 10_000);
  }
}

/** Keeps what handlers were told, and checks each word against what came before and against the server. */
function observe(informer: Informer<KubeObject>, server: FakeApiServer, violations: string[]): Map<string, KubeObject> {
  const view = new Map<string, KubeObject>();
  const gone = new Set<string>();
  server.storage.onWrite(({ before, after }) => {
    // Leaving a selection is an end, too.
    if (before !== undefined && after?.metadata.labels?.["team"] !== before.metadata.labels?.["team"]) {
      gone.add(before.metadata.uid ?? "");
    }
  });
  informer.addHandler({
    added(object) {
      const key = keyString(keyOf(object));
      if (view.has(key)) violations.push(`${key} was added twice`);
      if (object.metadata.managedFields !== undefined) violations.push(`${key} kept its managedFields`);
      if (object.kind !== "Pod" || object.apiVersion !== "v1") violations.push(`${key} has no kind`);
      view.set(key, object);
    },
    updated(before, after) {
      const key = keyString(keyOf(after));
      if (view.get(key) !== before) violations.push(`${key} was updated from what it was not`);
      const order = compareResourceVersions(
        before.metadata.resourceVersion ?? "",
        after.metadata.resourceVersion ?? "",
      );
      if (order >= 0) violations.push(`${key} went back to ${after.metadata.resourceVersion}`);
      view.set(key, after);
    },
    deleted(object) {
      const key = keyString(keyOf(object));
      if (!view.delete(key)) violations.push(`${key} was deleted without having been added`);
      if (!gone.has(object.metadata.uid ?? "")) violations.push(`${key} was deleted, and the server has it`);
      if (informer.get(keyOf(object)) !== undefined) violations.push(`${key} was deleted and is still in the store`);
    },
  });
  return view;
}

function expectSame(
  what: string,
  actual: readonly KubeObject[],
  expected: readonly KubeObject[],
  violations: string[],
): void {
  const lines = (objects: readonly KubeObject[]): string[] =>
    objects.map((object) => `${keyString(keyOf(object))} ${object.metadata.uid} ${object.metadata.resourceVersion}`);
  const [have, want] = [new Set(lines(actual)), new Set(lines(expected))];
  for (const line of want.difference(have)) violations.push(`${what} lacks ${line}`);
  for (const line of have.difference(want)) violations.push(`${what} has ${line}, the server has not`);
}

function mostWithin(times: readonly number[], windowMs: number): number {
  let most = 0;
  let start = 0;
  for (let end = 0; end < times.length; end++) {
    while ((times[end] ?? 0) - (times[start] ?? 0) > windowMs) start += 1;
    most = Math.max(most, end - start + 1);
  }
  return most;
}
