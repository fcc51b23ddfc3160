const toMb = (bytes: number): number => Number((bytes / 2 ** 20).toFixed(1));

/** Memory after a full collection. */
function memory(): { rss: number; heap: number } {
  globalThis.gc?.();
  globalThis.gc?.();
  const { rss, heapUsed, external } = process.memoryUsage();
  return { rss: toMb(rss), heap: toMb(heapUsed + external) };
}

/**
 * What every measured client does: fill, say how long and how large, wait for the events that the parent makes (it ends
 * standard input), let them arrive, say how large again.
 */
export async function measureClient(
  fill: () => Promise<{ size: () => number; seen: (mark: string) => boolean }>,
  mark: string,
): Promise<void> {
  const started = performance.now();
  const { size, seen } = await fill();
  const synced = (performance.now() - started) / 1000;
  const before = memory();
  const rssPeak = toMb(process.resourceUsage().maxRSS * 1024);
  console.log(
    JSON.stringify({
      synced_s: Number(synced.toFixed(2)),
      objects: size(),
      rss_mb: before.rss,
      heap_mb: before.heap,
      rss_peak_mb: rssPeak,
    }),
  );
  await new Promise((resolve) => {
    process.stdin.once("data", resolve);
  });
  const deadline = performance.now() + 60_000;
  while (!seen(mark)) {
    if (performance.now() > deadline) throw new Error("the last event did not arrive within 60 s");
    await new Promise((resolve) => {
      setTimeout(resolve, 20);
    });
  }
  const after = memory();
  console.log(JSON.stringify({ after_10k_events_heap_mb: after.heap, after_10k_events_rss_mb: after.rss }));
  process.exit(0);
}
