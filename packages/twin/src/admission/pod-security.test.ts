import { Namespaces, Pods, type KubeObject, type Resource } from "@fleetwright/kube";
import { describe, expect, it } from "vitest";
import type { AdmissionAttributes } from "../machinery/admission.ts";
import type { Draft } from "../machinery/draft.ts";
import type { ServerAccess } from "../machinery/request.ts";
import { StatusError } from "../machinery/status-error.ts";
import { podSecurity } from "./pod-security.ts";

const good: Draft = {
  allowPrivilegeEscalation: false,
  runAsNonRoot: true,
  seccompProfile: { type: "RuntimeDefault" },
  capabilities: { drop: ["ALL"] },
};
const container = (name: string, securityContext: Draft = {}, more: Draft = {}): Draft => ({
  name,
  image: "i",
  securityContext,
  ...more,
});

function serverWith(labels: Record<string, string>, pods: readonly Draft[] = []): ServerAccess {
  const namespace = { metadata: { name: "n", labels } };
  return {
    objects: {
      get: (resource: Resource) => (resource.plural === Namespaces.plural ? (namespace as KubeObject) : undefined),
      list: (resource: Resource) => (resource.plural === Pods.plural ? pods : []),
    },
  } as unknown as ServerAccess;
}

const labelled = (labels: Record<string, string>): Record<string, string> =>
  Object.fromEntries(Object.entries(labels).map(([key, value]) => [`pod-security.kubernetes.io/${key}`, value]));

interface Outcome {
  readonly refusal: string;
  readonly warnings: readonly string[];
}

async function outcomeOf(server: ServerAccess, of: Partial<AdmissionAttributes>): Promise<Outcome> {
  const warnings: string[] = [];
  const attributes = {
    operation: "CREATE",
    resource: { group: "", version: "v1", resource: "pods" },
    subresource: "",
    namespace: "n",
    name: "p",
    context: { warn: (text: string) => void warnings.push(text) },
    ...of,
  } as AdmissionAttributes;
  try {
    await podSecurity(server).validate?.(attributes);
    return { refusal: "", warnings };
  } catch (error) {
    if (!(error instanceof StatusError)) throw error;
    return { refusal: error.message, warnings };
  }
}

const restricted = labelled({ enforce: "restricted" });
const baseline = labelled({ enforce: "baseline" });
const pod = (spec: Draft): Draft => ({ metadata: { name: "p" }, spec });

// What kube-apiserver 1.36.3 answered.
const answers: readonly (readonly [string, Record<string, string>, Draft, string])[] = [
  ["a good pod", restricted, { containers: [container("a", good)] }, ""],
  [
    "silence",
    restricted,
    { containers: [container("a"), container("b")] },
    'restricted:latest": allowPrivilegeEscalation != false (containers "a", "b" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (containers "a", "b" must set securityContext.capabilities.drop=["ALL"]), runAsNonRoot != true (pod or containers "a", "b" must set securityContext.runAsNonRoot=true), seccompProfile (pod or containers "a", "b" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")',
  ],
  [
    "the host's namespaces and ports",
    restricted,
    {
      hostNetwork: true,
      hostPID: true,
      hostIPC: true,
      containers: [
        container("a", good, { ports: [{ hostPort: 80 }, { hostPort: 90 }] }),
        container("b", good, { ports: [{ hostPort: 100 }] }),
      ],
    },
    'restricted:latest": host namespaces (hostNetwork=true, hostPID=true, hostIPC=true), hostPort (containers "a", "b" use hostPorts 100, 80, 90)',
  ],
  [
    "privilege and capabilities",
    baseline,
    {
      containers: [
        container("a", { privileged: true, capabilities: { add: ["SYS_ADMIN", "NET_RAW", "CHOWN"] } }),
        container("b", { capabilities: { add: ["SYS_TIME"], drop: ["ALL"] } }),
      ],
    },
    'baseline:latest": non-default capabilities (containers "a", "b" must not include "NET_RAW", "SYS_ADMIN", "SYS_TIME" in securityContext.capabilities.add), privileged (container "a" must not set securityContext.privileged=true)',
  ],
  [
    "an older version's annotations",
    labelled({ enforce: "baseline", "enforce-version": "v1.18" }),
    { containers: [container("a")], volumes: [{ name: "h", hostPath: { path: "/" } }] },
    'baseline:v1.18": hostPath volumes (volume "h")',
  ],
];

describe("PodSecurity", () => {
  it.each(answers)("judges %s", async (_, labels, spec, violations) => {
    const { refusal, warnings } = await outcomeOf(serverWith(labels), { object: pod(spec) });
    expect(refusal).toBe(violations === "" ? "" : `pods "p" is forbidden: violates PodSecurity "${violations}`);
    expect(warnings).toEqual([]);
  });

  it("only warns of templates, at the enforced level if nothing else is said", async () => {
    const object = { spec: { template: pod({ hostNetwork: true, containers: [] }) } };
    const resource = { group: "apps", version: "v1", resource: "deployments" };
    expect(await outcomeOf(serverWith(baseline), { object, resource })).toEqual({
      refusal: "",
      warnings: ['would violate PodSecurity "baseline:latest": host namespaces (hostNetwork=true)'],
    });
    expect(
      await outcomeOf(serverWith(labelled({ enforce: "baseline", warn: "privileged" })), { object, resource }),
    ).toEqual({ refusal: "", warnings: [] });
  });

  it("looks again at a pod only when an image changes", async () => {
    const old = pod({ hostNetwork: true, containers: [container("a")] });
    const update = (object: Draft) => outcomeOf(serverWith(baseline), { operation: "UPDATE", object, oldObject: old });
    expect((await update(pod({ hostNetwork: true, containers: [container("a")] }))).refusal).toBe("");
    expect(
      (await update(pod({ hostNetwork: true, containers: [{ ...container("a"), image: "j" }] }))).refusal,
    ).toContain("host namespaces");
  });

  it("refuses labels that say nothing", async () => {
    const resource = { group: "", version: "v1", resource: "namespaces" };
    const object = { metadata: { name: "n", labels: labelled({ enforce: "strict", "warn-version": "1" }) } };
    expect((await outcomeOf(serverWith({}), { object, resource, name: "n" })).refusal).toBe(
      'Namespace "n" is invalid: [metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: "strict": must be one of privileged, baseline, restricted, metadata.labels[pod-security.kubernetes.io/warn-version]: Invalid value: "1": must be "latest" or "v1.x"]',
    );
  });

  it("warns of pods that a stricter level would refuse", async () => {
    const resource = { group: "", version: "v1", resource: "namespaces" };
    const owner = (uid: string): Draft => ({ ownerReferences: [{ uid, controller: true }] });
    const bad = { hostNetwork: true, containers: [] };
    const pods = ["q", "p", "r"].map((name) => ({ metadata: { name, ...owner("u") }, spec: bad }));
    const { warnings } = await outcomeOf(serverWith({}, pods), {
      operation: "UPDATE",
      resource,
      name: "n",
      object: { metadata: { name: "n", labels: baseline } },
      oldObject: { metadata: { name: "n" } },
    });
    expect(warnings).toEqual([
      'existing pods in namespace "n" violate the new PodSecurity enforce level "baseline:latest"',
      "p (and 2 other pods): host namespaces",
    ]);
  });
});
