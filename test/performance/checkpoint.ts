/**
 * `make bench-checkpoint [SIZES=64,1024,4096]`: on a real node, checkpoints of a server with so many MiB of memory are taken through the kubelet: how long it stood still (CRIU's own clock), and how long all took.
 * The largest archive is then read and packed, each in a process of its own, beside hashing alone and checkpointctl in the same run. Needs root and `make node`.
 *
 * Last line: `{"bench":"checkpoint","rows":[{"name":"take-64",…},…,{"name":"read","gib_per_s":…,"rss_mb":…,"limit_gib_per_s":…,"checkpointctl_gib_per_s":…},…]}`
 */
import { execFile } from "node:child_process";
import { statSync } from "node:fs";
import { rm } from "node:fs/promises";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { build } from "esbuild";
import { openArchiveFile, openImages, readStatistics } from "@fleetwright/checkpoint";
import { createClient, Pods, sleep, systemClock } from "@fleetwright/kube";
import { nodeCgroup, nodeProblem, runInNodeNamespace, startNodeCluster } from "@fleetwright/lab";

interface Row {
  readonly name: string;
  readonly [figure: string]: number | string;
}

const sizes = (process.env["SIZES"] || "64,1024,4096").split(",").map(Number);
const run = promisify(execFile);

/** As it ships: one file, so that nothing of the sources' loader is measured. */
const bundle = join(tmpdir(), `fleetwright-bench-${process.pid}.mjs`);

async function phase(name: string, path: string): Promise<{ readonly gib_per_s: number; readonly rss_mb: number }> {
  const { stdout } = await run(process.execPath, [bundle, name, path]);
  return JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as { gib_per_s: number; rss_mb: number };
}

async function main(): Promise<void> {
  await build({
    entryPoints: [fileURLToPath(new URL("./checkpoint/phase.ts", import.meta.url))],
    outfile: bundle,
    bundle: true,
    platform: "node",
    format: "esm",
    banner: { js: 'import{createRequire}from"node:module";const require=createRequire(import.meta.url);' },
    logLevel: "error",
  });
  try {
    await measure();
  } finally {
    await rm(bundle, { force: true });
  }
}

async function measure(): Promise<void> {
  await using cluster = await startNodeCluster();
  const [node] = cluster.nodes;
  if (node === undefined) throw new Error("no node");
  const { controlPlane } = cluster;
  const client = createClient({ kubeconfig: controlPlane.kubeconfigPath });
  // An administrator may do all.
  const user = await controlPlane.authority.issue({
    usage: "client",
    commonName: "bench",
    organizations: ["system:masters"],
  });
  const rows: Row[] = [];
  let largest = "";
  for (const size of sizes) {
    const name = `server-${size}`;
    const container = {
      name: "main",
      image: "localhost/counter-server:1",
      imagePullPolicy: "Never",
      args: [String(size)],
    };
    await client.create(Pods, {
      metadata: { namespace: "default", name },
      spec: { nodeName: node.name, terminationGracePeriodSeconds: 1, containers: [container] },
    });
    for (;;) {
      const { status } = await client.get(Pods, { namespace: "default", name });
      if (status?.phase === "Running") break;
      await sleep(systemClock, 200);
    }
    // Its memory is written page by page after its start.
    await sleep(systemClock, 2_000 + size * 2);
    const began = performance.now();
    const path = await new Promise<string>((resolve, reject) => {
      const call = request(
        `${node.kubeletUrl}/checkpoint/default/${name}/main?timeout=600`,
        { method: "POST", cert: user.certificate, key: user.key, ca: controlPlane.caCertificate, agent: false },
        (response) => {
          let text = "";
          response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
          response.on("end", () => {
            if (response.statusCode !== 200) reject(new Error(`${response.statusCode}: ${text}`));
            else resolve((JSON.parse(text) as { readonly items: readonly [string] }).items[0]);
          });
        },
      );
      call.on("error", reject).end();
    });
    const total = performance.now() - began;
    largest = join(node.checkpointDirectory, basename(path));
    await using archive = await openArchiveFile(largest);
    const statistics = await readStatistics(openImages(archive.images));
    rows.push({
      name: `take-${size}`,
      memory_mib: size,
      archive_mib: Math.round(statSync(largest).size / 2 ** 20),
      frozen_ms: Math.round((statistics?.frozenMicroseconds ?? 0) / 1000),
      total_ms: Math.round(total),
    });
    console.log(JSON.stringify(rows.at(-1)));
    await client.delete(Pods, { namespace: "default", name }, { gracePeriodSeconds: 0 });
  }
  // Once, so that all find it in the page cache alike.
  await phase("hash", largest);
  const hash = await phase("hash", largest);
  rows.push({ name: "hash", ...hash });
  const gib = statSync(largest).size / 2 ** 30;
  const began = performance.now();
  await run(cluster.programs.programs.checkpointctl, ["inspect", largest, "--all", "--format=json"], {
    maxBuffer: 2 ** 28,
  });
  const theirs = Number((gib / ((performance.now() - began) / 1000)).toFixed(3));
  for (const [name, limit] of [
    ["read", 1],
    ["pack", Number((hash.gib_per_s * 0.8).toFixed(3))],
    ["artifact", 0],
  ] as const) {
    const row = {
      name,
      ...(await phase(name, largest)),
      limit_gib_per_s: limit,
      checkpointctl_gib_per_s: theirs,
      limit_rss_mb: 150,
    };
    rows.push(row);
    console.log(JSON.stringify(row));
  }
  await client.close();
  console.log(JSON.stringify({ bench: "checkpoint", rows }));
}

if (nodeCgroup() !== undefined) await main();
else {
  const problem = nodeProblem();
  if (problem !== undefined) throw new Error(problem);
  process.exitCode = await runInNodeNamespace(process.execPath, [fileURLToPath(import.meta.url)]);
}
