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

/** The twin, listening on loopback. */
export async function startTwinServer(): Promise<TestServer> {
  // Late, so that recording the real server needs no twin.
  const { startTwin } = await import("@fleetwright/twin");
  const twin = await startTwin();
  // Answers name who asked.
  const admin = await twin.issueUser("admin", ["system:masters"]);
  const folder = await mkdtemp(join(tmpdir(), "twin-conformance-"));
  const kubeconfigPath = join(folder, "kubeconfig");
  await writeFile(kubeconfigPath, admin.kubeconfig, { mode: 0o600 });
  return {
    url: twin.url,
    caCertificate: twin.caCertificate,
    certificate: admin.certificate,
    key: admin.key,
    kubeconfigPath,
    stop: async () => {
      await twin.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
