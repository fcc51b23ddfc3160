import { inParallel } from "../registry/parallel.ts";

/** Objects that are created, or deleted, at once. */
const atOnce = 32;

/** Works on all, whatever becomes of some; the first failure is thrown at the end, for another try. */
export async function allInParallel<Item>(
  items: readonly Item[],
  signal: AbortSignal,
  work: (item: Item) => Promise<void>,
): Promise<void> {
  const failures: unknown[] = [];
  await inParallel(items, atOnce, signal, async (item) => {
    try {
      await work(item);
    } catch (error) {
      signal.throwIfAborted();
      failures.push(error);
    }
  });
  if (failures.length > 0) throw failures[0];
}
