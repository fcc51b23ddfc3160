import { openConnection, requestHead } from "./connection.ts";
import type { Target } from "./connection.ts";
import { benchmarkNode, benchmarkPod, sentAnnotation } from "./objects.ts";

export const namespaces = 20;
/** Who creates and reads: rights by a ClusterRole, no more of them than are needed. */
export const benchmarkUser = "bench";

const rbac = "rbac.authorization.k8s.io";
const rbacVersion = `${rbac}/v1`;

const setting: readonly { readonly path: string; readonly object: object }[] = [
  {
    path: `/apis/${rbacVersion}/clusterroles`,
    object: {
      apiVersion: rbacVersion,
      kind: "ClusterRole",
      metadata: { name: benchmarkUser },
      rules: [{ apiGroups: [""], resources: ["pods", "nodes"], verbs: ["create", "list", "watch"] }],
    },
  },
  {
    path: `/apis/${rbacVersion}/clusterrolebindings`,
    object: {
      apiVersion: rbacVersion,
      kind: "ClusterRoleBinding",
      metadata: { name: benchmarkUser },
      roleRef: { apiGroup: rbac, kind: "ClusterRole", name: benchmarkUser },
      subjects: [{ kind: "User", name: benchmarkUser, apiGroup: rbac }],
    },
  },
  ...Array.from({ length: namespaces }, (_, index) => [
    {
      path: "/api/v1/namespaces",
      object: { apiVersion: "v1", kind: "Namespace", metadata: { name: `team-${index}` } },
    },
    {
      // No controllers run that would make it, and pods are refused without it.
      path: `/api/v1/namespaces/team-${index}/serviceaccounts`,
      object: { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "trainer" } },
    },
  ]).flat(),
];

/** The user's rights, the namespaces and the service accounts that pods need. */
export async function prepare(admin: Target): Promise<void> {
  const connection = await openConnection(admin);
  for (const { path, object } of setting) {
    const { status, body } = await connection.call(requestHead("POST", path), Buffer.from(JSON.stringify(object)));
    if (status !== 201) throw new Error(`POST ${path}: ${status} ${body}`);
  }
  connection.close();
}

export const nodeRequest = (index: number): { readonly path: string; readonly body: Buffer } => ({
  path: "/api/v1/nodes",
  body: Buffer.from(JSON.stringify(benchmarkNode(index))),
});

/** A pod's request with the time of its sending in it. */
export function podRequest(index: number, nodes: number): { readonly path: string; readonly body: Buffer } {
  const namespace = `team-${index % namespaces}`;
  const pod = benchmarkPod(index, namespace, nodes);
  const sent = (performance.timeOrigin + performance.now()).toFixed(3);
  const object = { ...pod, metadata: { ...pod.metadata, annotations: { [sentAnnotation]: sent } } };
  return { path: `/api/v1/namespaces/${namespace}/pods`, body: Buffer.from(JSON.stringify(object)) };
}
