import { ConfigMaps, Deployments, Pods, Services } from "@fleetwright/kube";
import type { KubeObject, Resource } from "@fleetwright/kube";

/** An object that patches are tried on, as its author would write it. */
export interface Subject {
  readonly resource: Resource<KubeObject>;
  readonly object: KubeObject & Readonly<Record<string, unknown>>;
}

const metadata = (name: string) => ({
  name,
  namespace: "default",
  labels: { app: "web", "example.com/tier": "gpu" },
  annotations: { "example.com/a.b": "tilde", note: "x" },
  finalizers: ["example.com/a", "example.com/b"],
});

const podSpec = {
  containers: [
    {
      name: "web",
      image: "web:1",
      command: ["run", "--fast"],
      env: [
        { name: "A", value: "1" },
        { name: "B", value: "2" },
        { name: "C", value: "3" },
      ],
      ports: [
        { name: "http", containerPort: 80 },
        { name: "metrics", containerPort: 9090 },
      ],
      resources: { requests: { cpu: "100m", memory: "64Mi" }, limits: { memory: "128Mi" } },
      volumeMounts: [
        { name: "scratch", mountPath: "/scratch" },
        { name: "config", mountPath: "/config" },
      ],
    },
    { name: "sidecar", image: "sidecar:1", args: ["-v"] },
  ],
  initContainers: [{ name: "init", image: "init:1" }],
  volumes: [
    { name: "scratch", emptyDir: { sizeLimit: "1Gi" } },
    { name: "config", configMap: { name: "config" } },
  ],
  tolerations: [
    { key: "gpu", operator: "Exists", effect: "NoSchedule" },
    { key: "spot", operator: "Equal", value: "yes", effect: "NoExecute", tolerationSeconds: 30 },
  ],
  imagePullSecrets: [{ name: "one" }, { name: "two" }],
  hostAliases: [{ ip: "10.0.0.1", hostnames: ["a", "b"] }],
  nodeSelector: { pool: "a", zone: "1" },
};

export const subjects = {
  deployment: {
    resource: Deployments,
    object: {
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata: metadata("web"),
      spec: {
        replicas: 3,
        selector: { matchLabels: { app: "web" } },
        strategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: 1, maxUnavailable: "25%" } },
        template: { metadata: { labels: { app: "web", tier: "gpu" } }, spec: podSpec },
      },
    },
  },
  pod: {
    resource: Pods,
    object: {
      apiVersion: "v1",
      kind: "Pod",
      metadata: metadata("web"),
      spec: { ...podSpec, activeDeadlineSeconds: 600 },
    },
  },
  configMap: {
    resource: ConfigMaps,
    object: {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: metadata("web"),
      data: { "a.conf": "1", "b.conf": "2", empty: "" },
      binaryData: { blob: "AAEC" },
    },
  },
  service: {
    resource: Services,
    object: {
      apiVersion: "v1",
      kind: "Service",
      metadata: metadata("web"),
      spec: {
        selector: { app: "web" },
        ports: [
          { name: "http", port: 80, targetPort: 8080 },
          { name: "metrics", port: 9090, targetPort: "metrics" },
        ],
        externalIPs: ["192.0.2.1", "192.0.2.2"],
      },
    },
  },
} as const satisfies Readonly<Record<string, Subject>>;

export type SubjectName = keyof typeof subjects;
