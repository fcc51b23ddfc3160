/**
 * The twin with a fleet's watches in its own process, as simulated nodes have them: `watched-twin.ts <nodes>`. Says in a line
 * of JSON how it can be reached, and for each line of input what its watchers have seen.
 */
import { createInterface } from "node:readline";
import { startTwin } from "@fleetwright/twin";
import { Latencies, lines, Watcher } from "./watch-events.ts";
import { benchmarkNode } from "./objects.ts";
import { benchmarkUser } from "./scene.ts";

const nodes = Number(process.argv[2]);
const twin = await startTwin();
const transport = twin.transport();

async function createNode(index: number): Promise<void> {
  const response = await transport({
    method: "POST",
    path: "/api/v1/nodes",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(benchmarkNode(index)),
  });
  for await (const _ of response.body);
  if (response.status !== 201) throw new Error(`node ${index}: ${response.status}`);
}
for (let index = 0; index < nodes; index++) await createNode(index);

const latencies = new Latencies();
const stopping = new AbortController();

async function watch(index: number): Promise<Watcher> {
  const watcher = new Watcher(latencies, `node-${index}`);
  const response = await twin.transport({ username: `system:node:node-${index}`, groups: ["system:nodes"] })(
    {
      method: "GET",
      path: `/api/v1/pods?watch=true&fieldSelector=${encodeURIComponent(`spec.nodeName=node-${index}`)}`,
      headers: { accept: "application/json" },
    },
    stopping.signal,
  );
  if (response.status !== 200) throw new Error(`watch of node ${index}: ${response.status}`);
  const take = lines((line) => watcher.see(line));
  void (async () => {
    for await (const chunk of response.body) take(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
  })().catch((error: unknown) => {
    if (!stopping.signal.aborted) throw error;
  });
  return watcher;
}
const watchers: Watcher[] = [];
for (let index = 0; index < nodes; index++) watchers.push(await watch(index));

const user = await twin.issueUser(benchmarkUser);
const { port, caCertificate: ca, admin } = twin;
const pair = ({ certificate, key }: { readonly certificate: string; readonly key: string }): object => ({
  certificate,
  key,
  port,
  ca,
});
console.log(JSON.stringify({ admin: pair(admin), user: pair(user) }));

for await (const _ of createInterface({ input: process.stdin })) {
  console.log(
    JSON.stringify({
      ...latencies.summary(),
      wrong: watchers.reduce((sum, { wrong }) => sum + wrong, 0),
      fewest: Math.min(...watchers.map(({ events }) => events)),
      most: Math.max(...watchers.map(({ events }) => events)),
    }),
  );
}
stopping.abort();
await twin.stop();
