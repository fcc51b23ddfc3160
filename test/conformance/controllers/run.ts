import { keyOf, Namespaces } from "@fleetwright/kube";
import type { Client, KubeObject } from "@fleetwright/kube";
import { Observer } from "./observe.ts";
import type { Run } from "./observe.ts";
import type { Scenario, Steps } from "./scenario.ts";

/** A cluster that scenarios run on, in real or in virtual time. */
export interface Stage {
  readonly client: Client;
  pass(ms: number): Promise<void>;
}

/** So long nothing must change for a moment to be quiet. */
const quietMs = 1_600;
const lookMs = 200;
const maxWaitMs = 60_000;

/** The pools of all stages. */
export const pools = [
  { name: "node", count: 4, cpu: "16", memory: "64Gi", pods: "110", gpu: { product: "NVIDIA-A30", count: 4 } },
];

export async function runScenario({ name, steps, exclusive }: Scenario, { client, pass }: Stage): Promise<Run> {
  const namespace = name;
  const observer = new Observer(client, namespace, exclusive === true);
  await client.create(Namespaces, { metadata: { name: namespace } });
  observer.start();
  const settle = async (): Promise<void> => {
    let seen = -1;
    let quietFor = 0;
    for (let waited = 0; quietFor < quietMs && waited < maxWaitMs; waited += lookMs) {
      await pass(lookMs);
      quietFor = observer.changes === seen ? quietFor + lookMs : 0;
      seen = observer.changes;
    }
  };
  const doing: Steps = {
    namespace,
    client,
    async create(resource, object) {
      await client.create(resource, { ...object, metadata: { ...object.metadata, namespace } } as never);
    },
    async patch(resource, objectName, patch, subresource) {
      await client.patch(
        resource,
        { namespace, name: objectName },
        { type: "merge", patch },
        subresource === undefined ? {} : { subresource },
      );
    },
    async remove(resource, objectName, propagationPolicy) {
      await client.delete(
        resource,
        { namespace, name: objectName },
        propagationPolicy === undefined ? {} : { propagationPolicy },
      );
    },
    async evict(pod) {
      await client.evict({ namespace, name: pod }).catch(() => {});
    },
    async names(resource) {
      const { items } = await client.list(resource, { namespace });
      return items.toSorted(byAge).map((item) => keyOf(item).name);
    },
    pass,
  };
  await settle();
  observer.mark();
  for (const step of steps) {
    await step(doing);
    await settle();
    observer.mark();
  }
  const run = await observer.end();
  await client.delete(Namespaces, { name: namespace });
  return run;
}

const byAge = (left: KubeObject, right: KubeObject): number => {
  const age = (object: KubeObject): string =>
    `${object.metadata.creationTimestamp ?? ""} ${object.metadata.name ?? ""}`;
  return age(left) < age(right) ? -1 : 1;
};
