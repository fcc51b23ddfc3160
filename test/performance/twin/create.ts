/** One phase of `make bench-twin`, in a process of its own: the fleet created and running, in real time. */
import { setTimeout as pause } from "node:timers/promises";
import { createLogger, systemClock } from "@fleetwright/kube";
import { sizeHeap, startCluster } from "@fleetwright/twin";
import { countRunning, createWorkloads, poolsOf, stopwatch } from "./fleet.ts";

const [nodes = 7_500, pods = 50_000] = process.argv.slice(2).map(Number);
const size = { nodes, pods };
const seconds = stopwatch(systemClock);
sizeHeap();
const cluster = await startCluster({
  pools: poolsOf(size) ?? [],
  nodes: { heartbeats: "derived" },
  logger: createLogger({ level: "warn" }),
});
const nodesReady = seconds();
const count = countRunning(cluster.cache);
await createWorkloads(cluster.client, size);
let peakMb = 0;
const deadline = 600;
while (count.running() < pods && seconds() < deadline) {
  peakMb = Math.max(peakMb, process.memoryUsage.rss() / 1e6);
  await pause(50);
}
const created = seconds();
const rss = process.memoryUsage.rss();
console.log(
  JSON.stringify({
    running: count.running(),
    nodes_s: Number(nodesReady.toFixed(2)),
    create_s: Number(created.toFixed(2)),
    rss_mb: Math.round(Math.max(peakMb, rss / 1e6)),
  }),
);
await cluster.stop();
