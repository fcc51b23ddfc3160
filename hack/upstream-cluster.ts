import { createClient } from "@fleetwright/kube";
import { startControlPlane } from "@fleetwright/lab";
import { startNodes } from "@fleetwright/nodes";
import { twinProgram } from "../test/e2e/server.ts";

/** A whole cluster for upstream's suite: a server, the real controllers and scheduler, and nodes that run nothing. */
export async function startUpstreamCluster(
  server: "twin" | "real",
): Promise<{ readonly kubeconfigPath: string; stop(): Promise<void> }> {
  const controlPlane = await startControlPlane({
    controllerManager: true,
    scheduler: true,
    ...(server === "twin" ? { server: twinProgram({}) } : {}),
  });
  const client = createClient({ kubeconfig: controlPlane.kubeconfigPath });
  const nodes = await startNodes({ client, pools: [{ name: "cpu", count: 4, cpu: "16" }] });
  return {
    kubeconfigPath: controlPlane.kubeconfigPath,
    async stop() {
      await nodes.stop();
      await client.close();
      await controlPlane.stop();
    },
  };
}
