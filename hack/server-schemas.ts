import { createClient, discover, type Discovery } from "@fleetwright/kube";
import { startControlPlane } from "@fleetwright/lab";
import type { Schema } from "./kube-types.ts";

/** What an API server says about its own kinds. */
export interface ServerSchemas {
  readonly discovery: Discovery;
  /** By their full name (`io.k8s.api.apps.v1.Deployment`). */
  readonly schemas: ReadonlyMap<string, Schema>;
  /** Plain discovery (`APIResourceList`), in the order of the groups; `apps/v1` or `v1`. */
  readonly resourceLists: readonly ResourceList[];
}

/** `meta.k8s.io/v1` APIResourceList. */
export interface ResourceList {
  readonly groupVersion: string;
  readonly resources: readonly {
    readonly name: string;
    readonly singularName: string;
    readonly namespaced: boolean;
    readonly group?: string;
    readonly version?: string;
    readonly kind: string;
    readonly verbs: readonly string[];
    readonly shortNames?: readonly string[];
    readonly categories?: readonly string[];
    readonly storageVersionHash?: string;
  }[];
}

let read: Promise<ServerSchemas> | undefined;

/** Starts a real API server and asks it; generators of one run share the answer. */
export function serverSchemas(): Promise<ServerSchemas> {
  read ??= readSchemas();
  return read;
}

async function readSchemas(): Promise<ServerSchemas> {
  const controlPlane = await startControlPlane();
  const client = createClient({ kubeconfig: controlPlane.kubeconfigPath });
  try {
    const discovery = await discover(client);
    const schemas = new Map<string, Schema>();
    const resourceLists: ResourceList[] = [];
    for (const { name, versions } of discovery.groups) {
      for (const { version } of versions) {
        const path = name === "" ? `/openapi/v3/api/${version}` : `/openapi/v3/apis/${name}/${version}`;
        const document = (await client.raw("GET", path)) as {
          readonly components?: { readonly schemas?: Readonly<Record<string, Schema>> };
        };
        for (const [id, schema] of Object.entries(document.components?.schemas ?? {})) schemas.set(id, schema);
        resourceLists.push(
          (await client.raw("GET", name === "" ? `/api/${version}` : `/apis/${name}/${version}`)) as ResourceList,
        );
      }
    }
    return { discovery, schemas, resourceLists };
  } finally {
    await client.close();
    await controlPlane.stop();
  }
}
