/** The small fleet of `make bench-twin` on the real control plane, with the same simulated nodes. */
import { setTimeout as pause } from "node:timers/promises";
import { createCache, createClient, silentLogger, systemClock, systemRandom } from "@fleetwright/kube";
import { startControlPlane } from "@fleetwright/lab";
import { startNodes } from "@fleetwright/nodes";
import { countRunning, createWorkloads, poolsOf, stopwatch } from "./fleet.ts";

const [nodes = 150, pods = 1_000] = process.argv.slice(2).map(Number);
const size = { nodes, pods };
const controlPlane = await startControlPlane({ controllerManager: true, scheduler: true });
const client = createClient({ kubeconfig: controlPlane.kubeconfigPath, connections: 64, timeoutMs: 120_000 });
const cache = createCache({ client, clock: systemClock, random: systemRandom, logger: silentLogger });
const stop = new AbortController();
const seconds = stopwatch(systemClock);
const simulated = await startNodes({ client, pools: poolsOf(size) ?? [], concurrency: 64 });
const count = countRunning(cache);
const following = cache.run(stop.signal);
await createWorkloads(client, size);
while (count.running() < pods && seconds() < 600) await pause(50);
console.log(JSON.stringify({ running: count.running(), create_s: Number(seconds().toFixed(2)) }));
stop.abort();
await following;
await simulated.stop();
await client.close();
await controlPlane.stop();
