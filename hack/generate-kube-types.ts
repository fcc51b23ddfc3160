import { createClient, discover } from "@fleetwright/kube";
import { startControlPlane } from "@fleetwright/lab";
import { kubeTypes, type Schema } from "./kube-types.ts";

/** Starts a real API server and writes down what it says about its own kinds. */
export async function generateKubeTypes(): Promise<ReadonlyMap<string, string>> {
  const controlPlane = await startControlPlane();
  const client = createClient({ kubeconfig: controlPlane.kubeconfigPath });
  try {
    const discovery = await discover(client);
    const schemas = new Map<string, Schema>();
    for (const { name, versions } of discovery.groups) {
      for (const { version } of versions) {
        const path = name === "" ? `/openapi/v3/api/${version}` : `/openapi/v3/apis/${name}/${version}`;
        const document = (await client.raw("GET", path)) as {
          readonly components?: { readonly schemas?: Readonly<Record<string, Schema>> };
        };
        for (const [id, schema] of Object.entries(document.components?.schemas ?? {})) schemas.set(id, schema);
      }
    }
    return kubeTypes(discovery, schemas);
  } finally {
    await client.close();
    await controlPlane.stop();
  }
}
