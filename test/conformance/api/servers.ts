import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startControlPlane } from "@fleetwright/lab";

/** An API server without controllers, and the administrator's ways in. */
export interface TestServer {
  readonly url: string;
  readonly caCertificate: string;
  readonly certificate: string;
  readonly key: string;
  readonly kubeconfigPath: string;
  stop(): Promise<void>;
}

/** kube-apiserver with etcd, as built by `make kubernetes`. */
export async function startRealServer(): Promise<TestServer> {
  const controlPlane = await startControlPlane();
  const { url, caCertificate, kubeconfigPath, admin } = controlPlane;
  return {
    url,
    caCertificate,
    kubeconfigPath,
    certificate: admin.certificate,
    key: admin.key,
    stop: () => controlPlane.stop(),
  };
}

interface StartedTwin {
  readonly url: string;
  readonly caCertificate: string;
  readonly admin: { readonly certificate: string; readonly key: string };
  readonly kubeconfig: string;
  stop(): Promise<void>;
}

/** The twin, listening on loopback. */
export async function startTwinServer(): Promise<TestServer> {
  // Late, so that recording the real server needs no twin.
  const { startTwin: start } = (await import("@fleetwright/twin")) as {
    readonly startTwin?: () => Promise<StartedTwin>;
  };
  if (start === undefined) throw new Error("@fleetwright/twin does not export startTwin yet");
  const started = await start();
  const folder = await mkdtemp(join(tmpdir(), "twin-conformance-"));
  const kubeconfigPath = join(folder, "kubeconfig");
  await writeFile(kubeconfigPath, started.kubeconfig, { mode: 0o600 });
  return {
    url: started.url,
    caCertificate: started.caCertificate,
    certificate: started.admin.certificate,
    key: started.admin.key,
    kubeconfigPath,
    stop: async () => {
      await started.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
