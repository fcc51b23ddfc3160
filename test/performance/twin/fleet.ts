import { Deployments, Namespaces, Pods, type Cache, type Client, type Clock, type Pod } from "@fleetwright/kube";
import type { ClusterOptions } from "@fleetwright/twin";

export interface FleetSize {
  readonly nodes: number;
  readonly pods: number;
}

const namespaces = 50;

/** The nodes: eight GPUs each, as many as there are pods for and some more. */
export const poolsOf = ({ nodes }: FleetSize): ClusterOptions["pools"] => [
  {
    name: "gpu",
    count: nodes,
    cpu: "192",
    memory: "2Ti",
    gpu: { product: "NVIDIA-H200", count: 8, memoryMiB: 143_771 },
  },
];

/** Deployments of equal size in fifty namespaces. */
export async function createWorkloads(client: Client, { pods }: FleetSize): Promise<void> {
  const deployments = Math.max(1, Math.round(pods / 500));
  const create = async (index: number): Promise<void> => {
    const namespace = `team-${index % namespaces}`;
    const replicas = Math.floor(((index + 1) * pods) / deployments) - Math.floor((index * pods) / deployments);
    const labels = { app: `work-${index}` };
    await client.create(Deployments, {
      metadata: { name: `work-${index}`, namespace },
      spec: {
        replicas,
        selector: { matchLabels: labels },
        template: {
          metadata: { labels },
          spec: {
            containers: [
              {
                name: "main",
                image: "registry.example/work:1",
                resources: { limits: { cpu: "16", memory: "128Gi", "nvidia.com/gpu": "1" } },
              },
            ],
          },
        },
      },
    });
  };
  const names = Array.from({ length: namespaces }, (_, index) => `team-${index}`);
  await Promise.all(names.map((name) => client.create(Namespaces, { metadata: { name } })));
  await Promise.all(Array.from({ length: deployments }, (_, index) => create(index)));
}

/** How many pods run and are ready, counted as they change. */
export function countRunning(cache: Cache): { readonly running: () => number; readonly stop: () => void } {
  let running = 0;
  const isRunning = (pod: Pod): boolean =>
    pod.metadata.deletionTimestamp === undefined &&
    pod.status?.phase === "Running" &&
    pod.status.conditions?.some(({ type, status }) => type === "Ready" && status === "True") === true;
  const stop = cache.informer(Pods).addHandler({
    added: (pod) => void (running += Number(isRunning(pod))),
    updated: (before, after) => void (running += Number(isRunning(after)) - Number(isRunning(before))),
    deleted: (pod) => void (running -= Number(isRunning(pod))),
  });
  return { running: () => running, stop };
}

/** Seconds since it was made. */
export function stopwatch(clock: Clock): () => number {
  const start = clock.now();
  return () => (clock.now() - start) / 1000;
}
