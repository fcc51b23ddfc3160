import type { ReconcileRequest, Source } from "@fleetwright/kube";

/** Long enough for what happens together to be looked at together, too short for anybody to wait. */
const batchMs = 10;
/** Counting more takes longer, and need not be done as often. */
const objectsPerBatch = 50;

/**
 * Changes that come in crowds: a set of five hundred pods must not be counted anew at each of theirs. Upstream's own limits of calls a second have the
 * same effect.
 *
 * @param sizeOf how many objects are looked at for a request
 */
export function batched(source: Source, sizeOf: (request: ReconcileRequest) => number = () => 0): Source {
  return {
    start: (enqueue) =>
      source.start((request, options) => {
        const afterMs = batchMs * (1 + Math.floor(sizeOf(request) / objectsPerBatch));
        enqueue(request, { ...options, afterMs });
      }),
  };
}
