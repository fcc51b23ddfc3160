import { kubeTypes } from "./kube-types.ts";
import { serverSchemas } from "./server-schemas.ts";

/** Writes down what a real API server says about its own kinds. */
export async function generateKubeTypes(): Promise<ReadonlyMap<string, string>> {
  const { discovery, schemas } = await serverSchemas();
  return kubeTypes(discovery, schemas);
}
