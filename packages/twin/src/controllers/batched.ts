import type { Source } from "@fleetwright/kube";

/** Long enough for what happens together to be looked at together, too short for anybody to wait. */
const batchMs = 10;

/**
 * Changes that come in crowds: a set of five hundred pods must not be counted anew at each of theirs. Upstream's own limits of calls a second have the
 * same effect.
 */
export function batched(source: Source): Source {
  return { start: (enqueue) => source.start((request, options) => enqueue(request, { ...options, afterMs: batchMs })) };
}
