import { openConnection, requestHead } from "./connection.ts";
import type { Connection, Target } from "./connection.ts";

export interface Load {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export const median = (numbers: readonly number[]): number =>
  numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN;

export function quantile(numbers: Float64Array, share: number): number {
  const sorted = numbers.toSorted();
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

export async function openConnections(target: Target, count: number): Promise<readonly Connection[]> {
  const connections: Connection[] = [];
  // A few handshakes at a time: each costs the server a millisecond or two.
  while (connections.length < count) {
    const wanted = Math.min(16, count - connections.length);
    connections.push(...(await Promise.all(Array.from({ length: wanted }, () => openConnection(target)))));
  }
  return connections;
}

/** Sends `count` POSTs, one in flight on each connection. */
export async function createAll(
  connections: readonly Connection[],
  count: number,
  request: (index: number) => { readonly path: string; readonly body: Buffer },
): Promise<Load> {
  const latencies = new Float64Array(count);
  let next = 0;
  const started = performance.now();
  await Promise.all(
    connections.map(async (connection) => {
      while (next < count) {
        const index = next++;
        const { path, body } = request(index);
        const sent = performance.now();
        const { status, body: text } = await connection.call(requestHead("POST", path), body);
        if (status !== 201) throw new Error(`POST ${path}: ${status} ${text}`);
        latencies[index] = performance.now() - sent;
      }
    }),
  );
  const seconds = (performance.now() - started) / 1000;
  return { perSecond: count / seconds, p50Ms: quantile(latencies, 0.5), p99Ms: quantile(latencies, 0.99) };
}
