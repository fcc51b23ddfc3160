import type { Node, Pod } from "@fleetwright/kube";

/** A node as a GPU fleet has it: 4 KB as stored. */
export function benchmarkNode(index: number): Node {
  const name = `node-${index}`;
  const time = "2026-11-01T00:00:00Z";
  const condition = (type: string, status: string, reason: string): object => ({
    type,
    status,
    reason,
    message: `kubelet says that ${type} is ${status}`,
    lastHeartbeatTime: time,
    lastTransitionTime: time,
  });
  const amounts = {
    cpu: "192",
    memory: "2113427740Ki",
    "nvidia.com/gpu": "8",
    pods: "250",
    "ephemeral-storage": "7Ti",
  };
  return {
    apiVersion: "v1",
    kind: "Node",
    metadata: {
      name,
      labels: {
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/os": "linux",
        "kubernetes.io/hostname": name,
        "node.kubernetes.io/instance-type": "h200.8",
        "topology.kubernetes.io/region": "north",
        "topology.kubernetes.io/zone": `north-${index % 4}`,
        "fleetwright.dev/rack": `rack-${Math.floor(index / 16)}`,
        "fleetwright.dev/model": "H200",
      },
      annotations: {
        "node.alpha.kubernetes.io/ttl": "0",
        "volumes.kubernetes.io/controller-managed-attach-detach": "true",
      },
    },
    spec: {
      podCIDR: `10.${128 + (index >> 8)}.${index & 255}.0/24`,
      providerID: `fleet://north/${name}`,
      taints: [{ key: "nvidia.com/gpu", value: "present", effect: "NoSchedule" }],
    },
    status: {
      capacity: amounts,
      allocatable: amounts,
      addresses: [
        { type: "InternalIP", address: `10.64.${index >> 8}.${index & 255}` },
        { type: "Hostname", address: name },
      ],
      conditions: [
        condition("MemoryPressure", "False", "KubeletHasSufficientMemory"),
        condition("DiskPressure", "False", "KubeletHasNoDiskPressure"),
        condition("PIDPressure", "False", "KubeletHasSufficientPID"),
        condition("Ready", "True", "KubeletReady"),
      ],
      images: Array.from({ length: 8 }, (_, number) => ({
        names: [`registry.example/training:2026.${number + 1}`, `registry.example/base/cuda-runtime:13.${number}`],
        sizeBytes: 8_412_334_100 + number,
      })),
      daemonEndpoints: { kubeletEndpoint: { Port: 10_250 } },
      nodeInfo: {
        architecture: "amd64",
        bootID: "5e0c2f0d-44a1-4a1c-8a58-3a4f9d6a0001",
        containerRuntimeVersion: "containerd://2.1.4",
        kernelVersion: "6.8.0-60-generic",
        kubeProxyVersion: "",
        kubeletVersion: "v1.36.3",
        machineID: "ec2a4f7be1a54b18a2f4a1d1e2a30001",
        operatingSystem: "linux",
        osImage: "Ubuntu 24.04.3 LTS",
        systemUUID: "ec2a4f7b-e1a5-4b18-a2f4-a1d1e2a30001",
      },
    } as Node["status"],
  } as Node;
}

/** When a pod was sent, in milliseconds since the epoch: what a watcher counts from, in whichever process it is. */
export const sentAnnotation = "bench/sent";

/** A member of a training job that runs as a service account: 3.3 KB as stored, with its token's volume. */
export function benchmarkPod(index: number, namespace: string, nodes: number): Pod {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: `worker-${index}`,
      namespace,
      labels: { app: `experiment-${index % 500}`, rank: String(index % 64) },
      annotations: { [sentAnnotation]: "0000000000000.000" },
    },
    spec: {
      nodeName: `node-${index % nodes}`,
      serviceAccountName: "trainer",
      containers: [
        {
          name: "main",
          image: "registry.example/training:2026.11",
          command: ["python", "-m", "train", "--config", `/config/experiment-${index % 500}.yaml`],
          env: Array.from({ length: 2 }, (_, number) => ({
            name: `SETTING_${number}`,
            value: `value-${number}-of-the-experiment-${index % 97}`,
          })),
          resources: { limits: { cpu: "8", memory: "64Gi", "nvidia.com/gpu": "1" } },
          volumeMounts: [{ name: "config", mountPath: "/config" }],
        },
      ],
      volumes: [{ name: "config", configMap: { name: `experiment-${index % 500}` } }],
      tolerations: [{ key: "nvidia.com/gpu", operator: "Exists", effect: "NoSchedule" }],
    },
  };
}
