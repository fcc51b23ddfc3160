/** Ours, keeping whole objects but managedFields. */
import { createCache, createClient, Pods, silentLogger, systemClock, systemRandom } from "@fleetwright/kube";
import { measureClient } from "./measure.ts";

const [kubeconfig = ""] = process.argv.slice(2);

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
