import { describe, expect, it } from "vitest";
import type { Pod } from "@fleetwright/kube";
import { neededObjects, restoredPod, savedTemplate } from "./pod-template.ts";

const pod: Pod = {
  metadata: {
    name: "web-6d4b75cb6d-hx7z9",
    namespace: "team",
    uid: "u1",
    labels: { app: "web", "pod-template-hash": "6d4b75cb6d" },
    annotations: {
      team: "a",
      "kubectl.kubernetes.io/last-applied-configuration": "{}",
      "fleetwright.dev/checkpoint": "now",
    },
  },
  spec: {
    nodeName: "node-1",
    serviceAccountName: "web",
    serviceAccount: "web",
    containers: [
      {
        name: "main",
        image: "web:1",
        imagePullPolicy: "Always",
        volumeMounts: [
          { name: "data", mountPath: "/data" },
          { name: "kube-api-access-x", mountPath: "/var/run/secrets/kubernetes.io/serviceaccount" },
        ],
      },
      { name: "side", image: "side:1" },
    ],
    volumes: [
      { name: "data", persistentVolumeClaim: { claimName: "data" } },
      { name: "conf", configMap: { name: "conf" } },
      { name: "maybe", secret: { secretName: "maybe", optional: true } },
      { name: "kube-api-access-x", projected: { sources: [] } },
    ],
    affinity: {
      nodeAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: {
          nodeSelectorTerms: [{ matchExpressions: [{ key: "gpu", operator: "Exists" }] }],
        },
      },
    },
  },
  status: { phase: "Running" },
};
const image = `localhost:5780/checkpoint@sha256:${"a".repeat(64)}`;
const restored = (more = {}) =>
  restoredPod(savedTemplate(pod), {
    name: "web-b",
    namespace: "team",
    nodeName: "node-2",
    images: new Map([["main", image]]),
    ...more,
  });

describe("a restored pod", () => {
  it("has the checkpoint's image where there is one, and everything else as it was", () => {
    const { containers, serviceAccountName, nodeName } = restored().spec ?? {};
    expect(containers).toEqual([
      { name: "main", image, imagePullPolicy: "IfNotPresent", volumeMounts: [{ name: "data", mountPath: "/data" }] },
      { name: "side", image: "side:1" },
    ]);
    expect([serviceAccountName, nodeName]).toEqual(["web", undefined]);
  });

  it("is found by Services, but no controller adopts it", () => {
    expect(restored({ labels: { copy: "yes" } }).metadata).toEqual({
      name: "web-b",
      namespace: "team",
      labels: { app: "web", copy: "yes" },
      annotations: { team: "a" },
    });
    expect(restored({ isolated: true }).metadata.labels).toEqual({});
  });

  it("goes to its node by the scheduler, beside what the pod demanded of nodes", () => {
    expect(
      restored().spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms,
    ).toEqual([
      {
        matchExpressions: [{ key: "gpu", operator: "Exists" }],
        matchFields: [{ key: "metadata.name", operator: "In", values: ["node-2"] }],
      },
    ]);
  });

  it("gets its own token, and empty folders for what is not there", () => {
    const { volumes } = restored({ emptyVolumes: new Set(["data"]) }).spec ?? {};
    expect(volumes?.map(({ name, emptyDir }) => [name, emptyDir !== undefined])).toEqual([
      ["data", true],
      ["conf", false],
      ["maybe", false],
    ]);
  });

  it("needs the objects behind its volumes, but not optional ones", () => {
    expect(neededObjects(savedTemplate(pod).spec)).toEqual([
      { volume: "data", kind: "PersistentVolumeClaim", name: "data" },
      { volume: "conf", kind: "ConfigMap", name: "conf" },
    ]);
  });
});
