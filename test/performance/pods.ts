import type { Pod } from "@fleetwright/kube";

/** A pod as a training job's template makes it: about 3 KB as stored. */
export function benchmarkPod(index: number, namespace: string): Pod {
  const name = `worker-${index}`;
  const env = Array.from({ length: 12 }, (_, number) => ({
    name: `SETTING_${number}`,
    value: `value-${number}-of-the-experiment-${index % 97}`,
  }));
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name,
      namespace,
      labels: {
        app: `experiment-${index % 500}`,
        "biz.group.resource.quota": `team-${index % 20}`,
        rank: String(index % 64),
      },
      annotations: { "example.com/description": "a member of a gang ".repeat(8) },
    },
    spec: {
      // Somewhere, so that no scheduler is asked; nothing runs them.
      nodeName: `node-${index % 7500}`,
      automountServiceAccountToken: false,
      containers: [
        {
          name: "main",
          image: "registry.example/training:2026.11",
          command: ["python", "-m", "train", "--config", `/config/experiment-${index % 500}.yaml`],
          env,
          resources: { limits: { cpu: "8", memory: "64Gi", "nvidia.com/gpu": "1" } },
          volumeMounts: [
            { name: "config", mountPath: "/config" },
            { name: "scratch", mountPath: "/scratch" },
          ],
        },
      ],
      volumes: [
        { name: "config", configMap: { name: `experiment-${index % 500}` } },
        { name: "scratch", emptyDir: {} },
      ],
    },
  };
}
