import { patchKeysText } from "./patch-keys.ts";
import { serverSchemas } from "./server-schemas.ts";

/** How a real API server says that lists and objects of its own kinds are merged. */
export async function generatePatchKeys(): Promise<ReadonlyMap<string, string>> {
  const { schemas } = await serverSchemas();
  return new Map([["packages/kube/src/patch/patch-keys.generated.ts", patchKeysText(schemas)]]);
}
