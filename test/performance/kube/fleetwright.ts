/** Ours, keeping whole objects but managedFields. */
import {
  createCache,
  createClient,
  silentLogger,
  systemClock,
  systemRandom,
  type KubeObject,
  type Resource,
} from "@fleetwright/kube";
import { measureClient } from "./measure.ts";

const [kubeconfig = ""] = process.argv.slice(2);
const Pods: Resource = { group: "", version: "v1", kind: "Pod", plural: "pods", namespaced: true };

await measureClient(async () => {
  const client = createClient({ kubeconfig });
  const cache = createCache({ client, clock: systemClock, random: systemRandom, logger: silentLogger });
  const informer = cache.informer(Pods);
  void cache.run(new AbortController().signal);
  await cache.waitForSync();
  return {
    size: () => informer.size,
    seen: (mark) =>
      informer.get({ namespace: "bench-19", name: "worker-1999" })?.metadata.annotations?.["touched"] === mark,
  };
}, "fleetwright-9999");
