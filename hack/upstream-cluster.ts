import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "@fleetwright/kube";
import { startControlPlane } from "@fleetwright/lab";
import { startNodes } from "@fleetwright/nodes";
import { startCluster } from "@fleetwright/twin";
import { twinProgram } from "../test/e2e/server.ts";

/** What upstream's suite runs against: the twin with its own controllers, the twin's API with the real ones, or all of it real. */
export type UpstreamServer = "twin" | "twin-api" | "real";

interface UpstreamCluster {
  readonly kubeconfigPath: string;
  stop(): Promise<void>;
}

const pools = [{ name: "cpu", count: 4, cpu: "16" }];

/** A whole cluster for upstream's suite, with nodes that run nothing. */
export async function startUpstreamCluster(server: UpstreamServer): Promise<UpstreamCluster> {
  return server === "twin" ? startTwinCluster() : startWithRealControllers(server);
}

async function startTwinCluster(): Promise<UpstreamCluster> {
  const folder = await mkdtemp(join(tmpdir(), "upstream-cluster-"));
  const kubeconfigPath = join(folder, "kubeconfig");
  const cluster = await startCluster({ pools });
  await writeFile(kubeconfigPath, cluster.kubeconfig, { mode: 0o600 });
  return {
    kubeconfigPath,
    async stop() {
      await cluster.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function startWithRealControllers(server: "twin-api" | "real"): Promise<UpstreamCluster> {
  const controlPlane = await startControlPlane({
    controllerManager: true,
    scheduler: true,
    ...(server === "twin-api" ? { server: twinProgram({}) } : {}),
  });
  const client = createClient({ kubeconfig: controlPlane.kubeconfigPath });
  const nodes = await startNodes({ client, pools });
  return {
    kubeconfigPath: controlPlane.kubeconfigPath,
    async stop() {
      await nodes.stop();
      await client.close();
      await controlPlane.stop();
    },
  };
}
