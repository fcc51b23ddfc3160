/** Ours, keeping of each pod only what a controller reads (a transform). */
import {
  createCache,
  createClient,
  Pods,
  silentLogger,
  systemClock,
  systemRandom,
  type KubeObject,
} from "@fleetwright/kube";
import { measureClient } from "./measure.ts";

const [kubeconfig = ""] = process.argv.slice(2);
const project = ({ metadata, ...rest }: KubeObject): KubeObject => {
  const { name, namespace, uid, resourceVersion, labels, annotations } = metadata;
  const { nodeName } = (rest as { spec?: { nodeName?: string } }).spec ?? {};
  const touched = annotations?.["touched"];
  const kept = {
    metadata: { name, namespace, uid, resourceVersion, labels, ...(touched ? { annotations: { touched } } : {}) },
    spec: { nodeName },
  };
  return kept as KubeObject;
};
await measureClient(async () => {
  const client = createClient({ kubeconfig });
  const cache = createCache({ client, clock: systemClock, random: systemRandom, logger: silentLogger });
  const informer = cache.informer(Pods, { transform: project });
  void cache.run(new AbortController().signal);
  await cache.waitForSync();
  return {
    size: () => informer.size,
    seen: (mark) =>
      informer.get({ namespace: "bench-19", name: "worker-1999" })?.metadata.annotations?.["touched"] === mark,
  };
}, "fleetwright-projected-9999");
