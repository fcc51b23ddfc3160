import { execFile } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import {
  agentGroups,
  createAgentClient,
  type AgentClient,
  type CheckpointObject,
  type RestoreObject,
} from "@fleetwright/checkpoint";
import { createClient, formatKubeconfig, Pods, type Client, type KeyPair } from "@fleetwright/kube";
import { startNodeCluster, startRegistry, type NodeCluster, type RealNode, type RealRegistry } from "@fleetwright/lab";
import { eventually } from "../e2e/eventually.ts";
import { programPath, runProgram, startProgram, type Ended, type RunningProgram } from "../e2e/program.ts";

/** A real cluster with agents, manager and registry. */
export interface CheckpointCluster {
  readonly cluster: NodeCluster;
  readonly registry: RealRegistry;
  readonly client: Client;
  readonly manager: RunningProgram;
  readonly kubectl: (...args: readonly string[]) => Promise<string>;
  readonly apply: (object: object) => Promise<void>;
  /** One container, `main`; waits until it is ready. */
  runPod(name: string, image: string, node: string, command?: readonly string[]): Promise<void>;
  /** What a counter-server says, asked by the pod `shell`, which must run. @param host of it, instead of the pod's address */
  counter(pod: string, host?: string): Promise<number>;
  /** Runs `fleetwright …` as the administrator, to its end. */
  fleetwright(...args: readonly string[]): Promise<Ended>;
  /** As the manager, with every right. */
  agent(node: RealNode): AgentClient;
  /** Of the nodes' chains of evidence: a public key. */
  readonly evidenceKeyPath: string;
  /** Stops the one that runs. @param through the API server's proxy instead of the kubelets themselves */
  startManager(through?: "proxy"): Promise<RunningProgram>;
  stop(): Promise<void>;
}

/** Of an age key that opens nothing but what these tests encrypt. */
export const testRecipient = "age1j2eze7zk7cvn2kpw954zm0kwakw05ldk7k3ae2d8hqkgs3cnsv5qyjj4dt";
const testIdentity = "AGE-SECRET-KEY-1TFRE7TRP5VLZUVZ8J7Y9530565UDDX6TLSP8TGZMFDXCHWLS5FKQ0L6ZD8";

/**
 * A Checkpoint or a restore that ended well.
 *
 * @throws Error with the reasons and verdicts of one that failed
 */
export function succeeded<Ended extends CheckpointObject | RestoreObject>(object: Ended | undefined): Ended {
  const { metadata, status } = object ?? {};
  if (object !== undefined && (status?.phase === "Completed" || status?.phase === "Succeeded")) return object;
  const said = (status?.conditions ?? []).map(({ reason, message }) => `${reason}: ${message}`);
  throw new Error(`${metadata?.name}: ${status?.phase}: ${[...said, JSON.stringify(status?.verdicts)].join("; ")}`);
}

async function writePair(folder: string, { certificate, key }: KeyPair, authority: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const [name, text] of [
    ["tls.crt", certificate],
    ["tls.key", key],
    ["ca.crt", authority],
  ] as const)
    await writeFile(join(folder, name), text, { mode: 0o600 });
}

/** Everything as `docs/checkpoints.md` has it installed: the files of `config/`, certificates, an agent on each node, the manager as its service account. */
export async function startCheckpointCluster(nodes: number): Promise<CheckpointCluster> {
  const cluster = await startNodeCluster({ nodes });
  const { controlPlane } = cluster;
  const { authority, kubeconfigPath, binaries } = controlPlane;
  const registry = await startRegistry({ auth: "basic", address: "10.77.0.1:0" });
  const client = createClient({ kubeconfig: kubeconfigPath });
  const kubectl = async (...args: readonly string[]): Promise<string> =>
    (await promisify(execFile)(binaries.kubectl, ["--kubeconfig", kubeconfigPath, ...args])).stdout;
  let applied = 0;
  const apply = async (object: object): Promise<void> => {
    const file = join(controlPlane.directory, `object-${applied++}.json`);
    await writeFile(file, JSON.stringify(object));
    await kubectl("apply", "-f", file);
  };
  const runPod = async (name: string, image: string, node: string, command?: readonly string[]): Promise<void> => {
    await apply({
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name, labels: { app: name } },
      spec: {
        nodeName: node,
        terminationGracePeriodSeconds: 1,
        containers: [{ name: "main", image, imagePullPolicy: "IfNotPresent", ...(command && { command }) }],
      },
    });
    await kubectl("wait", "--for=condition=Ready", `pod/${name}`, "--timeout=60s");
  };
  const counter = async (pod: string, host?: string): Promise<number> => {
    const address = host ?? (await client.get(Pods, { namespace: "default", name: pod })).status?.podIP;
    return Number(await kubectl("exec", "shell", "--", "wget", "-q", "-O", "-", `http://${address}:8080`));
  };
  for (const folder of ["crd", "rbac"]) await kubectl("apply", "-f", join(import.meta.dirname, "../../config", folder));
  const organizations = Object.values(agentGroups);
  const manages = await authority.issue({ usage: "client", commonName: "manager", organizations });
  const evidence = generateKeyPairSync("ed25519", {
    publicKeyEncoding: { type: "spki", format: "pem" },
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
  });
  const evidenceKeyPath = join(controlPlane.directory, "evidence.pub");
  await writeFile(evidenceKeyPath, evidence.publicKey);
  for (const node of cluster.nodes) {
    await node.startProxy();
    const folder = join(node.logDirectory, "agent");
    const serving = await authority.issue({ usage: "server", commonName: node.name, hosts: [node.name] });
    await writePair(folder, serving, authority.certificate);
    await writeFile(join(folder, "evidence.pem"), evidence.privateKey, { mode: 0o600 });
    await writeFile(join(folder, "age.txt"), `# of tests\n${testIdentity}\n`, { mode: 0o600 });
    const agent = await node.start(
      "agent",
      process.execPath,
      programPath,
      "agent",
      "--cert-dir",
      folder,
      "--audit-log",
      join(node.logDirectory, "audit.log"),
      "--plain-registries",
      registry.address,
      "--age-identity",
      join(folder, "age.txt"),
      "--evidence-key",
      join(folder, "evidence.pem"),
    );
    await eventually(
      "the agent is ready",
      () => readFile(agent.logPath, "utf8"),
      (log) => log.includes("ready: "),
    );
  }
  const folder = controlPlane.directory;
  await writePair(join(folder, "agent-client"), manages, authority.certificate);
  const takes = await authority.issue({ usage: "client", commonName: "fleetwright:checkpoints" });
  await writePair(join(folder, "kubelet-client"), takes, authority.certificate);
  const { token } = await client.createToken({ namespace: "fleetwright-system", name: "fleetwright-manager" });
  const kubeconfig = join(folder, "manager.kubeconfig");
  const { url: server, caCertificate } = controlPlane;
  await writeFile(kubeconfig, formatKubeconfig({ name: "lab", server, caCertificate, userName: "manager", token }), {
    mode: 0o600,
  });
  const startManager = async (through?: "proxy"): Promise<RunningProgram> => {
    const manager = startProgram([
      "manager",
      "--kubeconfig",
      kubeconfig,
      "--webhook-address",
      "127.0.0.1:9443",
      "--webhook-url",
      "https://127.0.0.1:9443",
      "--health-address",
      "off",
      "--leader-elect",
      "off",
      "--agent-cert-dir",
      join(folder, "agent-client"),
      ...(through === "proxy" ? [] : ["--kubelet-cert-dir", join(folder, "kubelet-client")]),
      "--plain-registries",
      registry.address,
    ]);
    await manager.line(/manager ready/);
    return manager;
  };
  let manager = await startManager();
  return {
    cluster,
    registry,
    client,
    get manager() {
      return manager;
    },
    kubectl,
    apply,
    runPod,
    counter,
    fleetwright: (...args) => runProgram([...args, "--kubeconfig", kubeconfigPath]),
    agent: ({ name, address }) =>
      createAgentClient({ host: address, port: 5781, nodeName: name }, () => ({
        pair: manages,
        authority: authority.certificate,
      })),
    evidenceKeyPath,
    async startManager(through) {
      await manager.kill();
      manager = await startManager(through);
      return manager;
    },
    async stop() {
      await manager.kill();
      await client.close();
      await registry.stop();
      await cluster.stop();
    },
  };
}
