/** Takes work and does it soon, together with what else has come. */
export type Batch = (work: () => void) => void;

/**
 * Does work of one kind in a row at the end of the event loop's turn, at most so many pieces before others get a turn.
 * A server that reads, thinks and writes for one connection after another does each with cold caches, and every write that wakes
 * the peer interrupts the thinking: in rows the same requests take half of the time.
 */
export function createBatch(atMost: number): Batch {
  let waiting: (() => void)[] = [];
  function run(): void {
    const due = waiting;
    waiting = due.length > atMost ? due.splice(atMost) : [];
    if (waiting.length > 0) setImmediate(run);
    for (const work of due) work();
  }
  return (work) => {
    if (waiting.push(work) === 1) setImmediate(run);
  };
}
