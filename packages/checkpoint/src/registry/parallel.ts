/** Works on items, so many at once. The first failure aborts the others, and is thrown when all of them have ended. */
export async function inParallel<Item>(
  items: readonly Item[],
  width: number,
  signal: AbortSignal | undefined,
  work: (item: Item, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const failed = new AbortController();
  const joined = signal === undefined ? failed.signal : AbortSignal.any([signal, failed.signal]);
  const queue = items.values();
  const worker = async (): Promise<void> => {
    for (const item of queue) {
      joined.throwIfAborted();
      await work(item, joined);
    }
  };
  const workers = Array.from({ length: Math.max(1, Math.min(width, items.length)) }, () =>
    worker().catch((error: unknown) => {
      failed.abort(error);
    }),
  );
  await Promise.all(workers);
  joined.throwIfAborted();
}
