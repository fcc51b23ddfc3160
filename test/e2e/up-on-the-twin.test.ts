import { createServer } from "node:net";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { createClient, Deployments, Nodes, Pods } from "@fleetwright/kube";
import type { Client } from "@fleetwright/kube";
import { eventually } from "./eventually.ts";
import { runProgram, startProgram } from "./program.ts";
import type { RunningProgram } from "./program.ts";

const folder = mkdtempSync(join(tmpdir(), "fleetwright-up-twin-"));
const running: RunningProgram[] = [];
const clients: Client[] = [];

afterEach(async () => {
  for (const client of clients.splice(0)) await client.close();
  for (const up of running) up.signal("SIGINT");
  await Promise.all(running.splice(0).map((up) => up.ended));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function fleetFile(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

async function up(
  ...args: readonly string[]
): Promise<{ readonly client: Client; readonly program: RunningProgram; readonly server: string }> {
  const program = startProgram(["up", ...args]);
  running.push(program);
  const [, kubeconfig = "", server = ""] = await program.line(/^ready: kubeconfig=(\S+) server=(\S+)\n/m, 60_000);
  const client = createClient({ kubeconfig });
  clients.push(client);
  return { client, program, server };
}

const small = "nodes:\n  - { name: gpu, count: 2, model: A30 }\n";
const deployment = (replicas: number, gpus: number) => `
apiVersion: apps/v1
kind: Deployment
metadata: { name: work, namespace: default }
spec:
  replicas: ${replicas}
  selector: { matchLabels: { app: work } }
  template:
    metadata: { labels: { app: work } }
    spec: { containers: [{ name: main, image: "registry.example/work:1", resources: { limits: { nvidia.com/gpu: ${gpus} } } }] }
`;

describe("up on the twin", () => {
  it("makes the nodes and runs the manifests of a fleet file", async () => {
    fleetFile("work.yaml", deployment(2, 4));
    const { client } = await up("--fleet", fleetFile("small.yaml", `${small}apply: [work.yaml]\n`));
    const nodes = await client.list(Nodes);
    expect(nodes.items.map(({ metadata }) => metadata.name)).toEqual(["gpu-0", "gpu-1"]);
    const pods = await client.list(Pods, { namespace: "default" });
    expect(pods.items.map(({ status }) => status?.phase)).toEqual(["Running", "Running"]);
  });

  it("comes up with more pods than the nodes hold, and says which wait and why", async () => {
    fleetFile("much.yaml", deployment(3, 4));
    const { client, program } = await up("--fleet", fleetFile("full.yaml", `${small}apply: [much.yaml]\n`));
    const pods = await client.list(Pods, { namespace: "default" });
    const phases = pods.items.map(({ status }) => status?.phase ?? "");
    expect(phases.toSorted((left, right) => left.localeCompare(right))).toEqual(["Pending", "Running", "Running"]);
    running.splice(0);
    program.signal("SIGINT");
    const { stderr } = await program.ended;
    expect(stderr).toMatch(
      /2 pods run, 1 wait for room …\n {2}default\/work-\S+: 0\/2 nodes are available: 2 Insufficient nvidia\.com\/gpu\./,
    );
  });

  it("goes on from its state, and leaves alone what users changed", async () => {
    fleetFile("kept.yaml", deployment(1, 1));
    const args = [
      "--fleet",
      fleetFile("kept-fleet.yaml", `${small}apply: [kept.yaml]\n`),
      "--state",
      join(folder, "state"),
    ];
    const key = { namespace: "default", name: "work" };
    const first = await up(...args);
    await first.client.patch(Deployments, key, { type: "merge", patch: { spec: { replicas: 3 } } });
    await eventually(
      "three run",
      () => first.client.get(Deployments, key),
      ({ status }) => status?.readyReplicas === 3,
    );
    running.splice(0);
    first.program.signal("SIGINT");
    expect((await first.program.ended).code).toBe(0);
    const second = await up(...args);
    expect((await second.client.get(Deployments, key)).spec?.replicas).toBe(3);
    await eventually(
      "three run again",
      () => second.client.get(Deployments, key),
      ({ status }) => status?.readyReplicas === 3,
    );
  });

  it("says at once what is wrong, with place, and starts nothing", async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
    const { port } = taken.address() as { port: number };
    const cases: readonly (readonly [readonly string[], RegExp])[] = [
      [["--api-port", String(port)], /address 127\.0\.0\.1:\d+ is taken by another process/],
      [["--fleet", join(folder, "absent.yaml")], /absent\.yaml" cannot be read \(ENOENT\)/],
      [
        ["--fleet", fleetFile("model.yaml", "nodes:\n  - { name: a, model: H900 }\n")],
        /model\.yaml" line 2, column 23: nodes\[0\]\.model: unknown model "H900"/,
      ],
      [["--fleet", fleetFile("lost.yaml", `${small}apply: [nowhere.yaml]\n`)], /nowhere\.yaml: cannot be read/],
      [["--cluster", "real", "--state", folder], /--state and --api-port are the twin's/],
    ];
    for (const [args, message] of cases) {
      const { code, stdout, stderr } = await runProgram(["up", ...args]);
      expect({ args, code, stdout }).toEqual({ args, code: 2, stdout: "" });
      expect(stderr).toMatch(message);
    }
    await new Promise((resolve) => taken.close(resolve));
  });
});
