/** One phase of `make bench-twin`, in a process of its own: a day of the fleet in virtual time, with churn. */
import { keyOf, Pods, seededRandom, systemClock } from "@fleetwright/kube";
import { sizeHeap, startSimulation } from "@fleetwright/twin";
import { countRunning, createWorkloads, poolsOf, stopwatch } from "./fleet.ts";

const [nodes = 7_500, pods = 50_000, hours = 24, churnPercent = 2] = process.argv.slice(2).map(Number);
const size = { nodes, pods };
sizeHeap();
const simulation = await startSimulation({
  seed: 1,
  pools: poolsOf(size) ?? [],
  nodes: { heartbeats: "derived" },
});
const { cluster, clock } = simulation;
const random = seededRandom(2);
const count = countRunning(cluster.cache);
await createWorkloads(cluster.client, size);
await clock.runUntil(() => count.running() === pods, 3_600_000);
const filled = stopwatch(systemClock);

const perHour = Math.round((pods * churnPercent) / 100);
const stepMs = 60_000;
const informer = cluster.cache.informer(Pods);
let churned = 0;
for (let minute = 0; minute < hours * 60; minute++) {
  const due =
    Math.floor(((minute + 1) * perHour * stepMs) / 3_600_000) - Math.floor((minute * perHour * stepMs) / 3_600_000);
  const all = informer.list();
  const victims = Array.from({ length: due }, () => all[Math.floor(random.next() * all.length)]);
  await Promise.all(
    victims.map(async (pod) => {
      if (pod !== undefined) await cluster.client.delete(Pods, keyOf(pod)).catch(() => {});
    }),
  );
  churned += due;
  await clock.advance(stepMs);
}
console.log(
  JSON.stringify({
    running: count.running(),
    churned,
    simulated_day_s: Number(filled().toFixed(1)),
    rss_mb: Math.round(process.memoryUsage().rss / 1e6),
  }),
);
await simulation.stop();
