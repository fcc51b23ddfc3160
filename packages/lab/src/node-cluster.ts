import { mkdirSync } from "node:fs";
import { ClusterRoleBindings, createClient, Nodes, sleep, systemClock } from "@fleetwright/kube";
import type { Client, Clock } from "@fleetwright/kube";
import { startControlPlane } from "./control-plane.ts";
import type { ControlPlane, ControlPlaneOptions } from "./control-plane.ts";
import { labError } from "./errors.ts";
import { nodeCgroup } from "./node-namespace.ts";
import { findNodePrograms } from "./node-programs.ts";
import type { NodePrograms } from "./node-programs.ts";
import { bridgeName, controlPlaneAddress, inNamespace, startRealNode } from "./real-node.ts";
import type { RealNode } from "./real-node.ts";
import { createWorkspace } from "./workspace.ts";

export interface NodeClusterOptions {
  /** Named `node-1` to `node-<count>`. @default 1 */
  readonly nodes?: number;
  readonly controlPlane?: ControlPlaneOptions;
  readonly clock?: Clock;
}

/** A real cluster: control plane, kubelets, containerds, a network between their pods. */
export interface NodeCluster {
  readonly controlPlane: ControlPlane;
  readonly nodes: readonly RealNode[];
  readonly programs: NodePrograms;
  stop(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Once per namespace; a second cluster in it uses the same bridge. */
async function openBridge(): Promise<void> {
  await inNamespace("ip", ["link", "set", "lo", "up"]);
  const links = JSON.parse(await inNamespace("ip", ["-json", "link", "show", "type", "bridge"])) as readonly {
    readonly ifname: string;
  }[];
  if (links.some(({ ifname }) => ifname === bridgeName)) return;
  await inNamespace("ip", ["link", "add", bridgeName, "type", "bridge"]);
  await inNamespace("ip", ["address", "add", `${controlPlaneAddress}/24`, "dev", bridgeName]);
  await inNamespace("ip", ["link", "set", bridgeName, "up"]);
}

function makeNodeCgroups(cgroup: string, names: readonly string[]): Promise<string> {
  const paths = names.map((name) => `"$h/${cgroup}/${name}"`).join(" ");
  const script = `for h in /sys/fs/cgroup /sys/fs/cgroup/*; do
    [ -d "$h/${cgroup}" ] || continue
    for g in ${paths}; do
      mkdir -p "$g"
      [ ! -e "$g/cpuset.cpus" ] || [ ! -e "$h/${cgroup}/cpuset.mems" ] || { cat "$h/${cgroup}/cpuset.cpus" > "$g/cpuset.cpus"; cat "$h/${cgroup}/cpuset.mems" > "$g/cpuset.mems"; }
    done
  done`;
  return inNamespace("sh", ["-c", script]);
}

/** What installers of clusters give the API server: logs, exec and the node proxy need it. `nodes/checkpoint` is not in it. */
async function letApiServerCallKubelets(client: Client): Promise<void> {
  await client.create(ClusterRoleBindings, {
    metadata: { name: "kube-apiserver-kubelet-client" },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "system:kubelet-api-admin" },
    subjects: [{ apiGroup: "rbac.authorization.k8s.io", kind: "User", name: "kube-apiserver-kubelet-client" }],
  });
}

async function untilReady(client: Client, names: readonly string[], clock: Clock): Promise<void> {
  for (const deadline = clock.now() + 60_000; ; await sleep(clock, 200)) {
    const { items } = await client.list(Nodes);
    const ready = new Set(
      items.flatMap(({ metadata, status }) =>
        status?.conditions?.some(({ type, status: value }) => type === "Ready" && value === "True")
          ? [metadata.name]
          : [],
      ),
    );
    const missing = names.filter((name) => !ready.has(name));
    if (missing.length === 0) return;
    if (clock.now() > deadline) throw labError("FW_LAB_START", `${missing.join(", ")}: not Ready within 60 s`);
  }
}

/**
 * Starts a control plane and real nodes, within `runInNodeNamespace`. Waits until the nodes are Ready (about 10 s).
 *
 * @throws FleetwrightError `FW_LAB_STATE` outside such a namespace, `FW_LAB_BINARIES`, `FW_LAB_START`
 */
export async function startNodeCluster(options: NodeClusterOptions = {}): Promise<NodeCluster> {
  const cgroup = nodeCgroup();
  if (cgroup === undefined)
    throw labError("FW_LAB_STATE", "real nodes run in namespaces of their own: start this through runInNodeNamespace");
  const clock = options.clock ?? systemClock;
  const programs = await findNodePrograms();
  await openBridge();
  const numbers = Array.from({ length: options.nodes ?? 1 }, (_, index) => index + 1);
  await makeNodeCgroups(
    cgroup,
    numbers.map((number) => `node-${number}`),
  );
  const controlPlane = await startControlPlane({
    controllerManager: true,
    scheduler: true,
    ...options.controlPlane,
    address: controlPlaneAddress,
  });
  const workspace = await createWorkspace();
  mkdirSync(workspace.directory, { recursive: true });
  const nodes: RealNode[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(nodes.map((node) => node.stop()));
    await controlPlane.stop();
    // Mounts of this folder are in the nodes' namespaces, which are gone.
    await workspace.remove();
  };
  try {
    for (const number of numbers)
      nodes.push(
        await startRealNode({
          name: `node-${number}`,
          number,
          others: numbers.filter((other) => other !== number),
          workspace,
          programs,
          authority: controlPlane.authority,
          server: controlPlane.url,
          cgroup,
          clock,
        }),
      );
    const client = createClient({ kubeconfig: controlPlane.kubeconfigPath });
    await letApiServerCallKubelets(client);
    await untilReady(
      client,
      nodes.map(({ name }) => name),
      clock,
    );
    await client.close();
  } catch (error) {
    await Promise.all(nodes.map((node) => node.stop()));
    await controlPlane.stop();
    throw error;
  }
  return { controlPlane, nodes, programs, stop, [Symbol.asyncDispose]: stop };
}
