/** The peer: `@kubernetes/client-node`'s informer, as its README shows it. */
import { CoreV1Api, KubeConfig, makeInformer, type V1Pod } from "@kubernetes/client-node";
import { measureClient } from "./measure.ts";

const [kubeconfig = "", expected = "0"] = process.argv.slice(2);
await measureClient(async () => {
  const config = new KubeConfig();
  config.loadFromFile(kubeconfig);
  const api = config.makeApiClient(CoreV1Api);
  const informer = makeInformer<V1Pod>(config, "/api/v1/pods", () => api.listPodForAllNamespaces());
  let count = 0;
  await new Promise<void>((resolve, reject) => {
    informer.on("add", () => {
      if (++count === Number(expected)) resolve();
    });
    informer.on("error", reject);
    informer.start().catch(reject);
  });
  return {
    size: () => informer.list().length,
    seen: (mark) => informer.get("worker-1999", "bench-19")?.metadata?.annotations?.["touched"] === mark,
  };
}, "client-node-9999");
