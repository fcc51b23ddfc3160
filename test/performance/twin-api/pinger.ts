/** A thread that asks for /readyz every few milliseconds on a connection of its own and says at the end how long the slowest took. */
import { parentPort, workerData } from "node:worker_threads";
import { sleep, systemClock } from "@fleetwright/kube";
import { openConnection, requestHead } from "./connection.ts";
import type { Target } from "./connection.ts";

const intervalMs = 5;
const connection = await openConnection(workerData as Target);
let longestMs = 0;
let ends = false;
parentPort?.once("message", () => {
  ends = true;
});
parentPort?.postMessage("ready");
while (!ends) {
  const sent = performance.now();
  await connection.call(requestHead("GET", "/readyz"));
  longestMs = Math.max(longestMs, performance.now() - sent);
  await sleep(systemClock, intervalMs);
}
connection.close();
parentPort?.postMessage(longestMs);
