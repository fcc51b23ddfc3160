/**
 * `make bench-twin-api [ARGS="--nodes 7500 --pods 50000"]`: a fleet's objects written to the twin and to the real server (etcd and
 * kube-apiserver together), each in processes of its own, over HTTPS by a user of RBAC, with validation and admission; then all
 * pods listed, then watched while more are created. Turns of 5,000 creates alternate between the servers; rates are medians of turns.
 *
 * Processor time per create is the servers' own, so that it says what the load generator on the same cores took away from the rates.
 *
 * Last line: `{"bench":"twin-api","nodes":…,"pods":…,"rows":[{"name":…,"twin":…,"real":…,"unit":…},…]}`
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Worker } from "node:worker_threads";
import { sleep, systemClock } from "@fleetwright/kube";
import { openConnection, requestHead } from "./twin-api/connection.ts";
import type { Connection, Target } from "./twin-api/connection.ts";
import { createAll, median, openConnections } from "./twin-api/load.ts";
import type { Load } from "./twin-api/load.ts";
import { benchmarkUser, nodeRequest, podRequest, prepare } from "./twin-api/scene.ts";
import { bundledProgram, startServer } from "./twin-api/servers.ts";
import type { MeasuredServer, ServerName } from "./twin-api/servers.ts";
import { chunkedBody, Latencies, lines, Watcher } from "./twin-api/watch-events.ts";

const { values } = parseArgs({
  options: {
    nodes: { type: "string", default: "7500" },
    pods: { type: "string", default: "50000" },
    lists: { type: "string", default: "5" },
    connections: { type: "string", default: "128" },
    watched: { type: "string", default: "20000" },
    program: { type: "string", default: bundledProgram },
  },
});
const nodes = Number(values.nodes);
const pods = Number(values.pods);
const lists = Number(values.lists);
const watchedPods = Number(values.watched);
const turnPods = 5000;
/** Each a connection of its own, which is what makes thousands of them dear. */
const remoteNodeWatches = 500;
const allWatches = 10;

interface Row {
  readonly name: string;
  readonly twin: number | null;
  readonly real: number | null;
  readonly unit: string;
}
const rows: Row[] = [];
const rounded = (value: number | undefined): number | null =>
  value === undefined || Number.isNaN(value) ? null : Number(value.toFixed(value < 10 ? 2 : value < 1000 ? 1 : 0));

function report(name: string, unit: string, twin: number | undefined, real: number | undefined): void {
  const row = { name, twin: rounded(twin), real: rounded(real), unit };
  rows.push(row);
  console.error(JSON.stringify(row));
}

interface Turn extends Load {
  readonly processorUs: number;
  readonly stallMs: number | undefined;
}

/** One server with what was measured of it. */
class Contender {
  readonly nodeTurns: Turn[] = [];
  readonly podTurns: Turn[] = [];
  readonly server: MeasuredServer;
  readonly #connections: readonly Connection[];

  private constructor(server: MeasuredServer, connections: readonly Connection[]) {
    this.server = server;
    this.#connections = connections;
  }

  static async start(name: ServerName): Promise<Contender> {
    const server = await startServer(name, values.program);
    await prepare(server.admin);
    return new Contender(server, await openConnections(await server.user(benchmarkUser), Number(values.connections)));
  }

  async createTurn(
    turns: Turn[],
    count: number,
    request: (index: number) => { readonly path: string; readonly body: Buffer },
  ): Promise<void> {
    await this.server.longestStallMs();
    const before = this.server.processorSeconds();
    const load = await createAll(this.#connections, count, request);
    const processorUs = ((this.server.processorSeconds() - before) / count) * 1e6;
    turns.push({ ...load, processorUs, stallMs: await this.server.longestStallMs() });
    console.error(`${this.server.name}: ${JSON.stringify(turns.at(-1))}`);
  }

  closeConnections(): void {
    for (const connection of this.#connections) connection.close();
  }
}

async function start(): Promise<readonly [Contender, Contender]> {
  return [await Contender.start("twin"), await Contender.start("real")];
}

async function measureCreates(contenders: readonly [Contender, Contender]): Promise<void> {
  for (let first = 0; first < nodes; first += turnPods) {
    const count = Math.min(turnPods, nodes - first);
    for (const one of contenders) await one.createTurn(one.nodeTurns, count, (index) => nodeRequest(first + index));
  }
  for (let first = 0; first < pods; first += turnPods) {
    const count = Math.min(turnPods, pods - first);
    for (const one of contenders) {
      await one.createTurn(one.podTurns, count, (index) => podRequest(first + index, nodes));
    }
  }
  const [twin, real] = contenders;
  const of = (contender: Contender, turns: "nodeTurns" | "podTurns", key: keyof Turn): number =>
    median(contender[turns].map((turn) => turn[key] ?? Number.NaN));
  const both = (name: string, unit: string, turns: "nodeTurns" | "podTurns", key: keyof Turn): void =>
    report(name, unit, of(twin, turns, key), of(real, turns, key));
  both("create nodes", "1/s", "nodeTurns", "perSecond");
  both("create pods", "1/s", "podTurns", "perSecond");
  both("create a pod: server's processor time", "µs", "podTurns", "processorUs");
  both("create a pod: p50", "ms", "podTurns", "p50Ms");
  both("create a pod: p99", "ms", "podTurns", "p99Ms");
  both("creates: longest stall of the event loop in a turn", "ms", "podTurns", "stallMs");
  report("resident after the creates", "MB", twin.server.memory().nowMb, real.server.memory().nowMb);
}

async function sizeOf(server: MeasuredServer, path: string): Promise<number> {
  const connection = await openConnection(server.admin);
  const { bytes } = await connection.call(requestHead("GET", path));
  connection.close();
  return bytes;
}

async function startPinger(target: Target): Promise<{ readonly stop: () => Promise<number> }> {
  const worker = new Worker(new URL("twin-api/pinger.ts", import.meta.url), { workerData: target });
  await once(worker, "message");
  return {
    async stop() {
      const said = once(worker, "message");
      worker.postMessage("stop");
      const [longestMs] = (await said) as [number];
      await worker.terminate();
      return longestMs;
    },
  };
}

interface Listing {
  readonly seconds: number;
  readonly stallMs: number | undefined;
  readonly pingMs: number;
}

async function listOnce(server: MeasuredServer, connection: Connection): Promise<Listing> {
  const pinger = await startPinger(server.admin);
  await server.longestStallMs();
  const started = performance.now();
  const { status } = await connection.call(requestHead("GET", "/api/v1/pods"));
  const seconds = (performance.now() - started) / 1000;
  if (status !== 200) throw new Error(`listing pods: ${status}`);
  const listing = { seconds, stallMs: await server.longestStallMs(), pingMs: await pinger.stop() };
  console.error(`${server.name}: list ${JSON.stringify(listing)}`);
  return listing;
}

async function measureLists(contenders: readonly [Contender, Contender]): Promise<void> {
  const found: [Listing[], Listing[]] = [[], []];
  const connections: [Connection, Connection] = [
    await openConnection(await contenders[0].server.user(benchmarkUser)),
    await openConnection(await contenders[1].server.user(benchmarkUser)),
  ];
  for (let round = 0; round < lists; round++) {
    for (const index of [0, 1] as const) {
      found[index].push(await listOnce(contenders[index].server, connections[index]));
    }
  }
  for (const connection of connections) connection.close();
  const both = (name: string, unit: string, of: (listings: readonly Listing[]) => number): void =>
    report(name, unit, of(found[0]), of(found[1]));
  both("list all pods", "s", (listings) => median(listings.map(({ seconds }) => seconds)));
  both("list all pods: longest stall of the event loop", "ms", (listings) =>
    Math.max(...listings.map(({ stallMs = Number.NaN }) => stallMs)),
  );
  both("list all pods: longest wait for /readyz meanwhile", "ms", (listings) =>
    Math.max(...listings.map(({ pingMs }) => pingMs)),
  );
}

interface Watched {
  readonly eventsPerSecond: number;
  readonly createsPerSecond: number;
  readonly p99Ms: number;
  readonly wrong: number;
}

/** Opens watches over HTTPS from now on: of all pods, and of the first nodes' pods. */
async function openWatches(
  user: Target,
  nodeWatches: number,
): Promise<{ readonly watchers: readonly Watcher[]; readonly latencies: Latencies; readonly close: () => void }> {
  const latencies = new Latencies();
  const connections = await openConnections(user, allWatches + nodeWatches);
  const lister = await openConnection(user);
  const { body } = await lister.call(requestHead("GET", "/api/v1/pods?limit=1"), undefined, true);
  const revision = /"resourceVersion":"(\d+)"/.exec(body)?.[1] ?? "";
  const watchers = connections.map((connection, index) => {
    const node = index < allWatches ? undefined : `node-${index - allWatches}`;
    const watcher = new Watcher(latencies, node);
    const selector = node === undefined ? "" : `&fieldSelector=${encodeURIComponent(`spec.nodeName=${node}`)}`;
    connection.stream(
      requestHead("GET", `/api/v1/pods?watch=true&resourceVersion=${revision}${selector}`),
      chunkedBody(lines((line) => watcher.see(line))),
    );
    return watcher;
  });
  await sleep(systemClock, 1000);
  return {
    watchers,
    latencies,
    close: () => {
      for (const connection of [...connections, lister]) connection.close();
    },
  };
}

/** Creates pods under watches and waits until every watcher has its own. */
async function createUnderWatches(
  user: Target,
  scene: { readonly firstPod: number; readonly nodeWatches: number; readonly here?: () => Promise<LocalReport> },
): Promise<Watched> {
  const { watchers, latencies, close } = await openWatches(user, scene.nodeWatches);
  const connections = await openConnections(user, 64);
  const started = performance.now();
  const load = await createAll(connections, watchedPods, (index) => podRequest(scene.firstPod + index, nodes));
  const perNode = (node: number): number =>
    Math.ceil((watchedPods - ((node - (scene.firstPod % nodes) + nodes) % nodes)) / nodes);
  const expected = watchers.map((_, index) => (index < allWatches ? watchedPods : perNode(index - allWatches)));
  const total = expected.reduce((sum, count) => sum + count, 0);
  while (latencies.count < total) {
    if (performance.now() - started > 300_000) throw new Error(`${latencies.count} of ${total} events came`);
    await sleep(systemClock, 5);
  }
  const seconds = (performance.now() - started) / 1000;
  const local = await scene.here?.();
  // One more than expected would be as wrong as one less.
  const wrong = watchers.reduce(
    (sum, watcher, index) => sum + watcher.wrong + Math.abs(watcher.events - (expected[index] ?? 0)),
    local === undefined ? 0 : local.wrong + Math.abs(local.events - watchedPods),
  );
  for (const connection of connections) connection.close();
  close();
  const { p99Ms } = latencies.summary();
  return {
    eventsPerSecond: (total + (local?.events ?? 0)) / seconds,
    createsPerSecond: load.perSecond,
    p99Ms: Math.max(p99Ms, local?.p99Ms ?? 0),
    wrong,
  };
}

interface LocalReport {
  readonly events: number;
  readonly p99Ms: number;
  readonly wrong: number;
}

function reportWatched(name: string, twin: Watched, real: Watched | undefined): void {
  report(`${name}: events delivered`, "1/s", twin.eventsPerSecond, real?.eventsPerSecond);
  report(`${name}: creates meanwhile`, "1/s", twin.createsPerSecond, real?.createsPerSecond);
  report(`${name}: p99 from request to watcher`, "ms", twin.p99Ms, real?.p99Ms);
  report(`${name}: events lost, doubled or out of order`, "", twin.wrong, real?.wrong);
}

/** The twin with one watch for each node in its own process, and watches of all pods over HTTPS. */
async function measureFleet(): Promise<void> {
  const path = fileURLToPath(new URL("twin-api/watched-twin.ts", import.meta.url));
  const child = spawn(process.execPath, [path, String(nodes)], { stdio: ["pipe", "pipe", "inherit"] });
  const output = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const line = async (): Promise<unknown> => {
    const { value, done } = await output.next();
    if (done) throw new Error("the watched twin ended early");
    return JSON.parse(value) as unknown;
  };
  const { admin, user } = (await line()) as { readonly admin: Target; readonly user: Target };
  await prepare(admin);
  const twin = await createUnderWatches(user, {
    firstPod: 0,
    nodeWatches: 0,
    async here() {
      child.stdin.write("\n");
      return (await line()) as LocalReport;
    },
  });
  const exited = once(child, "exit");
  child.stdin.end();
  await exited;
  reportWatched(`${nodes} node watches in the process, ${allWatches} of all pods over HTTPS`, twin, undefined);
}

const contenders = await start();
const [{ server: twin }, { server: real }] = contenders;
await measureCreates(contenders);
await measureLists(contenders);
report("peak resident", "MB", twin.memory().peakMb, real.memory().peakMb);
const pod = "/api/v1/namespaces/team-0/pods/worker-0";
report("a pod's size", "B", await sizeOf(twin, pod), await sizeOf(real, pod));
report("a node's size", "B", await sizeOf(twin, "/api/v1/nodes/node-0"), await sizeOf(real, "/api/v1/nodes/node-0"));
for (const contender of contenders) contender.closeConnections();

const remote = { firstPod: pods, nodeWatches: Math.min(remoteNodeWatches, nodes) };
const twinWatched = await createUnderWatches(await twin.user(benchmarkUser), remote);
await twin.stop();
const realWatched = await createUnderWatches(await real.user(benchmarkUser), remote);
await real.stop();
reportWatched(`${remote.nodeWatches} node watches and ${allWatches} of all pods over HTTPS`, twinWatched, realWatched);
await measureFleet();

console.log(JSON.stringify({ bench: "twin-api", nodes, pods, rows }));
process.exit(0);
