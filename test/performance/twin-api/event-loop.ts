/** Loaded into the twin before its program: at SIGUSR2 it says the longest stall of the event loop since the last time. */
import { monitorEventLoopDelay } from "node:perf_hooks";

const resolutionMs = 1;
const delay = monitorEventLoopDelay({ resolution: resolutionMs });
delay.enable();
process.on("SIGUSR2", () => {
  // The histogram's own timer is part of what it counts.
  const longestMs = Math.max(0, delay.max / 1e6 - resolutionMs);
  delay.reset();
  process.stderr.write(`longest stall ${longestMs.toFixed(1)} ms\n`);
});
