/**
 * Records what a real API server sends to an informer, for packages/kube/src/cache/recorded-streams.test.ts.
 * Needs the binaries of "make kubernetes"; takes about two minutes (a bookmark comes once a minute).
 */
import { writeFileSync } from "node:fs";
import { setTimeout as wait } from "node:timers/promises";
import { connect, createClient, loadKubeconfig, type Resource } from "@fleetwright/kube";
import { startControlPlane } from "@fleetwright/lab";

const configMaps: Resource = { group: "", version: "v1", kind: "ConfigMap", plural: "configmaps", namespaced: true };
const base = "/api/v1/namespaces/default/configmaps";
const target = "packages/kube/src/cache/testdata/recorded-streams.json";

await using controlPlane = await startControlPlane();
const transport = connect(loadKubeconfig({ kubeconfig: controlPlane.kubeconfigPath }));
const client = createClient({ kubeconfig: controlPlane.kubeconfigPath });

interface Recording {
  readonly path: string;
  readonly status: number;
  readonly body: string;
}

async function record(path: string): Promise<Recording> {
  const response = await transport({ method: "GET", path, kind: path.includes("watch=") ? "watch" : "call" });
  const chunks: Uint8Array[] = [];
  for await (const chunk of response.body) chunks.push(chunk);
  return { path, status: response.status, body: Buffer.concat(chunks).toString("utf8") };
}

const create = (name: string) =>
  client.create(configMaps, { metadata: { namespace: "default", name, annotations: { note: "größer" } } });
const touch = (name: string, value: string) =>
  client.patch(configMaps, { namespace: "default", name }, { type: "merge", patch: { data: { value } } });
const remove = (name: string) => client.delete(configMaps, { namespace: "default", name });

for (const name of ["a", "b", "c", "d", "e"]) await create(name);
const firstPage = await record(`${base}?limit=3`);
const { resourceVersion, continue: token } = JSON.parse(firstPage.body).metadata as Record<string, string>;
const secondPage = await record(`${base}?limit=3&continue=${encodeURIComponent(token ?? "")}`);

const watchOptions = "watch=true&allowWatchBookmarks=true";
const watching = record(`${base}?${watchOptions}&resourceVersion=${resourceVersion}&timeoutSeconds=90`);
const streaming = record(
  `${base}?${watchOptions}&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&timeoutSeconds=90`,
);
await wait(2000);
await touch("a", "1");
await remove("b");
await create("f");
await touch("f", "2");
await remove("c");
await create("c");

const [watched, streamed] = await Promise.all([watching, streaming]);
// A restarted server knows nothing older than its start.
await controlPlane.stopApiServer("kill");
await controlPlane.startApiServer();

const recordings = {
  firstPage,
  secondPage,
  watch: watched,
  stream: streamed,
  expiredWatch: await record(`${base}?${watchOptions}&resourceVersion=1&timeoutSeconds=5`),
  invalidStream: await record(`${base}?${watchOptions}&sendInitialEvents=true&timeoutSeconds=5`),
  final: await record(base),
};
writeFileSync(target, `${JSON.stringify(recordings, undefined, 2)}\n`);
process.stdout.write(`wrote ${target}\n`);
await client.close();
await transport.close();
