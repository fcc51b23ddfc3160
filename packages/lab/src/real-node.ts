import { execFile } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { sleep } from "@fleetwright/kube";
import type { CertificateAuthority, Clock, KeyPair } from "@fleetwright/kube";
import { argumentsOf, startComponent, startFailure } from "./component.ts";
import type { Component } from "./component.ts";
import { labError } from "./errors.ts";
import { writeKubeconfig } from "./kubeconfig-file.ts";
import type { NodePrograms } from "./node-programs.ts";
import type { Workspace } from "./workspace.ts";

/** What a real node is started with. */
export interface RealNodeParts {
  readonly name: string;
  /** From 1: picks its addresses. */
  readonly number: number;
  /** Other nodes' numbers, to whose pods it needs a way. */
  readonly others: readonly number[];
  readonly workspace: Workspace;
  readonly programs: NodePrograms;
  readonly authority: CertificateAuthority;
  readonly server: string;
  readonly cgroup: string;
  readonly clock: Clock;
}

/** A kubelet and a containerd in namespaces of their own. */
export interface RealNode {
  readonly name: string;
  readonly address: string;
  /** `https://<address>:10250` */
  readonly kubeletUrl: string;
  /** Where the kubelet puts checkpoints. */
  readonly checkpointDirectory: string;
  readonly logDirectory: string;
  /** Runs a program in the node's network and mounts; returns what it wrote. */
  run(program: string, ...args: readonly string[]): Promise<string>;
  /** Starts a program that goes on running there, until it or the node is stopped. */
  start(name: string, program: string, ...args: readonly string[]): Promise<Component>;
  /** Services reach their pods from here on. */
  startProxy(): Promise<void>;
  /** `ctr -n k8s.io …` */
  ctr(...args: readonly string[]): Promise<string>;
  stopKubelet(how?: "gracefully" | "kill"): Promise<void>;
  startKubelet(): Promise<void>;
  stop(): Promise<void>;
}

const network = "10.77.0";
export const controlPlaneAddress = `${network}.1`;
const nodeAddress = (number: number): string => `${network}.${10 + number}`;
const podNetwork = (number: number): string => `10.78.${number}.0/24`;
export const bridgeName = "fw0";

/** A command of this process's own namespaces. */
export async function inNamespace(program: string, args: readonly string[]): Promise<string> {
  try {
    return (await promisify(execFile)(program, args, { maxBuffer: 64 * 2 ** 20 })).stdout;
  } catch (error) {
    const { stderr = "", message } = error as { stderr?: string; message: string };
    throw labError("FW_LAB_START", `${[program, ...args].join(" ").slice(0, 300)}: ${stderr.trim() || message}`, error);
  }
}

function containerdConfig({ programs }: RealNodeParts, directory: string): string {
  const runtime = "plugins.'io.containerd.cri.v1.runtime'";
  const images = "plugins.'io.containerd.cri.v1.images'";
  const text = JSON.stringify;
  return `version = 3
root = ${text(join(directory, "containerd"))}
state = "/run/containerd"
[grpc]
  address = "/run/containerd/containerd.sock"
[${runtime}]
  enable_experimental_restore_via_create = true
  restrict_oom_score_adj = true
  disable_apparmor = true
  netns_mounts_under_state_dir = true
  [${runtime}.containerd]
    default_runtime_name = "runc"
    [${runtime}.containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [${runtime}.containerd.runtimes.runc.options]
        BinaryName = ${text(programs.programs.runc)}
        SystemdCgroup = false
  [${runtime}.cni]
    bin_dirs = [${text(programs.cni)}]
    conf_dir = ${text(join(directory, "cni"))}
[${images}.pinned_images]
  sandbox = "localhost/pause:1"
[${images}.registry]
  config_path = ${text(join(directory, "registries"))}
`;
}

const cniConfig = (number: number): string =>
  JSON.stringify({
    cniVersion: "1.0.0",
    name: "pods",
    plugins: [
      {
        type: "bridge",
        bridge: "cni0",
        isGateway: true,
        hairpinMode: true,
        ipam: { type: "host-local", ranges: [[{ subnet: podNetwork(number) }]], routes: [{ dst: "0.0.0.0/0" }] },
      },
      { type: "portmap", capabilities: { portMappings: true } },
    ],
  });

const kubeletConfig = ({ number, cgroup, name }: RealNodeParts, directory: string): string =>
  JSON.stringify({
    apiVersion: "kubelet.config.k8s.io/v1beta1",
    kind: "KubeletConfiguration",
    address: nodeAddress(number),
    port: 10250,
    healthzPort: 0,
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true, cacheTTL: "1s" },
      x509: { clientCAFile: join(directory, "ca.crt") },
    },
    authorization: { mode: "Webhook", webhook: { cacheAuthorizedTTL: "1s", cacheUnauthorizedTTL: "1s" } },
    tlsCertFile: join(directory, "kubelet.crt"),
    tlsPrivateKeyFile: join(directory, "kubelet.key"),
    containerRuntimeEndpoint: "unix:///run/containerd/containerd.sock",
    cgroupDriver: "cgroupfs",
    cgroupRoot: `/${cgroup}/${name}`,
    failCgroupV1: false,
    failSwapOn: false,
    enforceNodeAllocatable: [],
    localStorageCapacityIsolation: true,
    evictionHard: { "memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%" },
    imageGCHighThresholdPercent: 100,
    imageGCLowThresholdPercent: 99,
    podLogsDir: join(directory, "pod-logs"),
    resolvConf: join(directory, "resolv.conf"),
    nodeStatusUpdateFrequency: "2s",
    syncFrequency: "5s",
    // Pods end when a test says so, not half a minute later.
    shutdownGracePeriod: "0s",
  });

/** nftables: iptables is not on every machine. Sysctls of connection tracking are the machine's. */
const proxyConfig = ({ name }: RealNodeParts, directory: string): string =>
  JSON.stringify({
    apiVersion: "kubeproxy.config.k8s.io/v1alpha1",
    kind: "KubeProxyConfiguration",
    mode: "nftables",
    clientConnection: { kubeconfig: join(directory, "kube-proxy.kubeconfig") },
    clusterCIDR: "10.78.0.0/16",
    hostnameOverride: name,
    healthzBindAddress: "",
    metricsBindAddress: "127.0.0.1:10249",
    nodePortAddresses: [],
    conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: "0s", tcpCloseWaitTimeout: "0s" },
  });

/** Makes the namespaces of a node, kept by a process that does nothing, and wires them to the bridge. */
async function openNamespaces(parts: RealNodeParts, directory: string): Promise<Component> {
  const { number, workspace, clock, others } = parts;
  const holder = await startComponent({
    name: `${parts.name}-namespaces`,
    path: "unshare",
    arguments: ["--net", "--mount", "--propagation", "private", "--", "sleep", "infinity"],
    flags: {},
    workspace,
    logPath: join(directory, "namespaces.log"),
    clock,
  });
  const pid = String(holder.pid);
  const link = `fw${number}`;
  const enter = (script: string): Promise<string> =>
    inNamespace("nsenter", ["--target", pid, "--net", "--mount", "--", "sh", "-ec", script]);
  // Until unshare has run, the process is still in our own namespaces: nothing may be mounted there.
  for (let tries = 0; ; tries++) {
    const [own, its] = [
      await inNamespace("readlink", ["/proc/self/ns/mnt"]),
      await inNamespace("readlink", [`/proc/${pid}/ns/mnt`]),
    ];
    if (own !== its) break;
    if (tries > 200) throw startFailure(holder, "did not get namespaces of its own");
    await sleep(clock, 20);
  }
  // A node of before goes with its last process, which may take its time.
  await inNamespace("ip", ["link", "delete", link]).catch(() => undefined);
  await inNamespace("ip", ["link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", pid]);
  await inNamespace("ip", ["link", "set", link, "master", bridgeName, "up"]);
  await enter(
    [
      "mount --make-rshared /",
      "mount -t tmpfs tmpfs /run",
      "mount -t tmpfs tmpfs /var/lib",
      "mkdir -p /var/lib/kubelet /run/containerd",
      `mount --bind ${join(directory, "kubelet")} /var/lib/kubelet`,
      `mount -t overlay overlay -o lowerdir=/etc,upperdir=${join(directory, "etc")},workdir=${join(directory, "etc-work")} /etc`,
      "mkdir -p /etc/criu",
      // CRIU's default, iptables, is not on every machine.
      "echo 'network-lock nftables' > /etc/criu/runc.conf",
      "ip link set lo up",
      `ip address add ${nodeAddress(number)}/24 dev eth0`,
      "ip link set eth0 up",
      ...others.map((other) => `ip route add ${podNetwork(other)} via ${nodeAddress(other)}`),
      "echo 1 > /proc/sys/net/ipv4/ip_forward",
    ].join("\n"),
  );
  await inNamespace("ip", ["route", "replace", podNetwork(number), "via", nodeAddress(number)]);
  return holder;
}

async function writeNodeFiles(parts: RealNodeParts, directory: string): Promise<void> {
  const { name, number, authority, server } = parts;
  const address = nodeAddress(number);
  for (const folder of ["cni", "registries", "kubelet", "pod-logs", "containerd", "etc", "etc-work"])
    await mkdir(join(directory, folder), { recursive: true });
  const serving: KeyPair = await authority.issue({
    usage: "server",
    commonName: `system:node:${name}`,
    hosts: [address, name],
  });
  const client = await authority.issue({
    usage: "client",
    commonName: `system:node:${name}`,
    organizations: ["system:nodes"],
  });
  const files: Readonly<Record<string, string>> = {
    "containerd.toml": containerdConfig(parts, directory),
    "cni/10-pods.conflist": cniConfig(number),
    "kubelet.json": kubeletConfig(parts, directory),
    "kube-proxy.json": proxyConfig(parts, directory),
    "kubelet.crt": serving.certificate,
    "kubelet.key": serving.key,
    "ca.crt": authority.certificate,
    "resolv.conf": "",
  };
  for (const [file, text] of Object.entries(files)) await writeFile(join(directory, file), text, { mode: 0o600 });
  await writeKubeconfig(join(directory, "kube-proxy.kubeconfig"), {
    name,
    server,
    caCertificate: authority.certificate,
    credentials: await authority.issue({ usage: "client", commonName: "system:kube-proxy" }),
  });
  await writeKubeconfig(join(directory, "kubelet.kubeconfig"), {
    name,
    server,
    caCertificate: authority.certificate,
    credentials: client,
  });
}

/** Starts a node and waits until containerd answers; the kubelet registers it on its own. */
export async function startRealNode(parts: RealNodeParts): Promise<RealNode> {
  const { name, number, workspace, programs, clock } = parts;
  const directory = join(workspace.directory, name);
  await mkdir(directory, { recursive: true });
  await writeNodeFiles(parts, directory);
  const holder = await openNamespaces(parts, directory);
  const enter = ["--target", String(holder.pid), "--net", "--mount", "--"];
  const path = [programs.directory, dirname(programs.criu), dirname(programs.nft), process.env["PATH"] ?? ""].join(":");
  const run = (program: string, ...args: readonly string[]): Promise<string> =>
    inNamespace("nsenter", [...enter, program, ...args]);
  const launch = (what: string, program: string, args: readonly string[]): Promise<Component> =>
    startComponent({
      name: `${name}-${what}`,
      path: "nsenter",
      arguments: [...enter, "env", `PATH=${path}`, program, ...args],
      flags: {},
      workspace,
      logPath: join(directory, `${what}.log`),
      clock,
    });
  const containerd = await launch("containerd", programs.programs.containerd, [
    "--config",
    join(directory, "containerd.toml"),
  ]);
  const ctr = (...args: readonly string[]): Promise<string> =>
    run(programs.programs.ctr, "--namespace", "k8s.io", ...args);
  const until = async (component: Component, ready: () => Promise<unknown>): Promise<void> => {
    for (const deadline = clock.now() + 30_000; ; await sleep(clock, 50)) {
      if (component.endedBy() !== undefined) throw startFailure(component, `ended (${component.endedBy()})`);
      if (
        await ready().then(
          () => true,
          () => false,
        )
      )
        return;
      if (clock.now() > deadline) throw startFailure(component, "was not ready within 30 s");
    }
  };
  await until(containerd, () => ctr("version"));
  for (const image of Object.values(programs.images)) await ctr("images", "import", image);
  let kubelet: Component | undefined;
  const others: Component[] = [];
  const node: RealNode = {
    name,
    address: nodeAddress(number),
    kubeletUrl: `https://${nodeAddress(number)}:10250`,
    checkpointDirectory: join(directory, "kubelet", "checkpoints"),
    logDirectory: directory,
    run,
    async start(what, program, ...args) {
      const component = await launch(what, program, args);
      others.push(component);
      return component;
    },
    ctr,
    async startProxy() {
      others.push(
        await launch(
          "kube-proxy",
          programs.programs["kube-proxy"],
          argumentsOf({ config: join(directory, "kube-proxy.json") }),
        ),
      );
    },
    async startKubelet() {
      if (kubelet?.endedBy() === undefined && kubelet !== undefined) return;
      kubelet = await launch(
        "kubelet",
        programs.programs.kubelet,
        argumentsOf({
          config: join(directory, "kubelet.json"),
          kubeconfig: join(directory, "kubelet.kubeconfig"),
          "root-dir": "/var/lib/kubelet",
          "node-ip": nodeAddress(number),
          "hostname-override": name,
          v: 2,
        }),
      );
    },
    async stopKubelet(how = "gracefully") {
      await kubelet?.stop(how === "kill" ? 0 : 5000);
      kubelet = undefined;
    },
    async stop() {
      await Promise.all(others.map((component) => component.stop(5000)));
      await node.stopKubelet();
      // Shims outlive containerd: their containers are ended first, through it.
      const tasks = await ctr("tasks", "list", "--quiet").catch(() => "");
      for (const task of tasks.split("\n").filter((id) => id !== ""))
        await ctr("tasks", "kill", "--signal", "SIGKILL", "--all", task).catch(() => undefined);
      await containerd.stop(5000);
      await holder.stop(0);
    },
  };
  await node.startKubelet();
  return node;
}
