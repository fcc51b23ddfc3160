import {
  APIServices,
  apiVersionOf,
  ClusterRoleBindings,
  ClusterRoles,
  createClient,
  FlowSchemas,
  Namespaces,
  PriorityClasses,
  PriorityLevelConfigurations,
  RoleBindings,
  Roles,
  type KubeObject,
  type Resource,
} from "@fleetwright/kube";
import { startControlPlane } from "@fleetwright/lab";

const recorded: readonly Resource[] = [
  Namespaces,
  PriorityClasses,
  ClusterRoles,
  ClusterRoleBindings,
  Roles,
  RoleBindings,
  PriorityLevelConfigurations,
  FlowSchemas,
  APIServices,
];

/** What differs from server to server, or is made by the server that creates it again. */
function bare(object: KubeObject): object {
  const {
    uid: _uid,
    resourceVersion: _version,
    creationTimestamp: _created,
    managedFields: _managers,
    ...metadata
  } = object.metadata;
  const { status: _status, ...rest } = object as KubeObject & { readonly status?: unknown };
  return { ...rest, metadata };
}

/** The objects that a real API server creates when it starts on empty storage, without controllers. */
export async function generateTwinBootstrap(): Promise<ReadonlyMap<string, string>> {
  const controlPlane = await startControlPlane();
  const client = createClient({ kubeconfig: controlPlane.kubeconfigPath });
  try {
    const objects: object[] = [];
    for (const resource of recorded) {
      const { items } = await client.list(resource);
      for (const item of items) {
        objects.push({ ...bare(item), apiVersion: apiVersionOf(resource), kind: resource.kind });
      }
    }
    return new Map([
      [
        "packages/twin/src/auth/generated/bootstrap-objects.json",
        `[\n${objects.map((object) => JSON.stringify(object)).join(",\n")}\n]\n`,
      ],
    ]);
  } finally {
    await client.close();
    await controlPlane.stop();
  }
}
