/**
 * `make bench-kube [ARGS="--pods 100000"]`: lists and keeps pods of a real API server in a process of its own, ours and
 * `@kubernetes/client-node`'s informer in turn, and says time, memory and what 10,000 further events add.
 *
 * Last line: `{"bench":"kube","cluster":"real","pods":…,"rows":[{"name":…,"synced_s":…,"rss_mb":…,"heap_mb":…,"rss_peak_mb":…,"after_10k_events_heap_mb":…},…]}`
 */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { createClient, Namespaces, Pods } from "@fleetwright/kube";
import { startControlPlane } from "@fleetwright/lab";
import { benchmarkPod } from "./pods.ts";

const { values } = parseArgs({
  options: { pods: { type: "string", default: "100000" }, rounds: { type: "string", default: "3" } },
});
const count = Number(values.pods);
const rounds = Number(values.rounds);
const namespaces = 20;

await using controlPlane = await startControlPlane({
  apiServerFlags: { "disable-admission-plugins": "ServiceAccount" },
});
const client = createClient({ kubeconfig: controlPlane.kubeconfigPath, connections: 32 });

for (let index = 0; index < namespaces; index++) {
  await client.create(Namespaces, { apiVersion: "v1", kind: "Namespace", metadata: { name: `bench-${index}` } });
}
const started = performance.now();
let next = 0;
await Promise.all(
  Array.from({ length: 32 }, async () => {
    while (next < count) {
      const index = next++;
      await client.create(Pods, benchmarkPod(index, `bench-${index % namespaces}`));
      if ((index + 1) % 20_000 === 0)
        console.error(`${index + 1} of ${count} pods created, ${((performance.now() - started) / 1000).toFixed(0)} s`);
    }
  }),
);

interface Measure {
  readonly synced_s: number;
  readonly objects: number;
  readonly rss_mb: number;
  readonly heap_mb: number;
  readonly rss_peak_mb: number;
  readonly after_10k_events_heap_mb: number;
  readonly after_10k_events_rss_mb: number;
}

/** Starts a client in its own process; once it has synced, changes pods 10,000 times under it. */
async function measure(program: string): Promise<Measure> {
  const child = spawn(
    process.execPath,
    [
      "--expose-gc",
      fileURLToPath(new URL(`kube/${program}.ts`, import.meta.url)),
      controlPlane.kubeconfigPath,
      String(count),
    ],
    {
      stdio: ["pipe", "pipe", "inherit"],
    },
  );
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const line = async (): Promise<Record<string, number>> => {
    const { value, done } = await lines.next();
    if (done) throw new Error(`${program} ended early`);
    return JSON.parse(value) as Record<string, number>;
  };
  const synced = await line();
  let event = 0;
  await Promise.all(
    Array.from({ length: 16 }, async () => {
      while (event < 10_000) {
        const index = event++;
        const target = index % 2000;
        const patch = { metadata: { annotations: { touched: `${program}-${index}` } } };
        await client.patch(
          Pods,
          { namespace: `bench-${target % namespaces}`, name: `worker-${target}` },
          { type: "merge", patch },
        );
      }
    }),
  );
  child.stdin.end("\n");
  const after = await line();
  await new Promise((resolve) => {
    child.once("exit", resolve);
  });
  return { ...synced, ...after } as unknown as Measure;
}

const median = (numbers: readonly number[]): number =>
  numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN;
const programs = ["fleetwright", "fleetwright-projected", "client-node"];
const results = new Map<string, Measure[]>(programs.map((program) => [program, []]));
for (let round = 0; round < rounds; round++) {
  for (const program of programs) {
    const result = await measure(program);
    results.get(program)?.push(result);
    console.error(`round ${round + 1} ${program}: ${JSON.stringify(result)}`);
  }
}
const rows = [...results].map(([name, list]) => {
  const of = (key: keyof Measure): number => Number(median(list.map((one) => one[key])).toFixed(2));
  return {
    name,
    objects: of("objects"),
    synced_s: of("synced_s"),
    rss_mb: of("rss_mb"),
    heap_mb: of("heap_mb"),
    rss_peak_mb: of("rss_peak_mb"),
    after_10k_events_heap_mb: of("after_10k_events_heap_mb"),
    after_10k_events_rss_mb: of("after_10k_events_rss_mb"),
  };
});
await client.close();
console.log(
  JSON.stringify({ bench: "kube", cluster: "real", pods: count, rounds, rows: rows satisfies readonly object[] }),
);
