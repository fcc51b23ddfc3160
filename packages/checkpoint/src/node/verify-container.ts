import { sleep, type Clock } from "@fleetwright/kube";
import type { Images } from "../core/inspect/image-set.ts";
import { verifyRestore, type RestoreDifference } from "../core/inspect/verify-restore.ts";
import type { LiveContainer } from "./containers.ts";

const maxLooks = 10;
const betweenMs = 200;

/**
 * Compares a container with the checkpoint that it should have gone on from, by {@link verifyRestore}. One look at `/proc` takes a while, and between two commands of a shell none runs: where a look
 * finds a difference there are more, over two seconds. The last one decides; programs that any of them saw are there.
 */
export async function verifyContainer(
  images: Images,
  look: () => Promise<LiveContainer>,
  clock: Clock,
): Promise<{ readonly running: boolean; readonly differences: readonly RestoreDifference[] }> {
  const seen = new Set<string>();
  for (let looks = 1; ; looks++) {
    const { processes, tcp } = await look();
    for (const { command } of processes) seen.add(command);
    const listening = tcp.filter(({ state }) => state === "listen").map(({ local }) => local);
    const differences = await verifyRestore(images, { processes, listening, programs: seen });
    if (differences.length === 0 || looks === maxLooks) return { running: processes.length > 0, differences };
    await sleep(clock, betweenMs);
  }
}
