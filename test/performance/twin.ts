/**
 * `make bench-twin [ARGS="--nodes 7500 --pods 50000"]`: a fleet created and running on the twin, with its controllers, scheduler and
 * nodes, then a day of it in virtual time with churn. Each phase is a process of its own. Beside it, a fiftieth of the fleet on the twin
 * and on the real control plane (kube-apiserver, etcd, controller-manager, scheduler), with the same simulated nodes, where its programs are built.
 *
 * Last line: `{"bench":"twin","nodes":…,"pods":…,"create_s":…,"rss_mb":…,"simulated_day_s":…}`
 */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { findBinaries } from "@fleetwright/lab";

const { values } = parseArgs({
  options: {
    nodes: { type: "string", default: "7500" },
    pods: { type: "string", default: "50000" },
    hours: { type: "string", default: "24" },
    churn: { type: "string", default: "2" },
    peer: { type: "boolean", default: true },
  },
  allowNegative: true,
});

interface Phase {
  readonly running: number;
  readonly create_s?: number;
  readonly simulated_day_s?: number;
  readonly rss_mb?: number;
}

/** Runs a program of this folder; its last line is its result. */
function phase(name: string, ...args: readonly string[]): Promise<Phase> {
  const program = fileURLToPath(new URL(`./twin/${name}.ts`, import.meta.url));
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [program, ...args], { stdio: ["ignore", "pipe", "inherit"] });
    let output = "";
    child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
    child.once("error", reject);
    child.once("close", (code) => {
      const last = output.trim().split("\n").at(-1) ?? "";
      if (code !== 0 || last === "") return reject(new Error(`${name} ended with ${code}`));
      console.error(`${name} ${args.join(" ")}: ${last}`);
      resolve(JSON.parse(last) as Phase);
    });
  });
}

const { nodes, pods, hours, churn } = values;
const created = await phase("create", nodes, pods);
const day = await phase("day", nodes, pods, hours, churn);

const small = [String(Math.max(1, Math.round(Number(nodes) / 50))), String(Math.round(Number(pods) / 50))];
const problem = values.peer
  ? await findBinaries().then(
      () => undefined,
      (error: Error) => error.message,
    )
  : "--no-peer";
let peer: object = { skipped: problem };
if (problem === undefined) {
  const [own, real] = [await phase("create", ...small), await phase("peer", ...small)];
  peer = { nodes: Number(small[0]), pods: Number(small[1]), twin_create_s: own.create_s, real_create_s: real.create_s };
}
if (created.running !== Number(pods) || day.running !== Number(pods)) {
  console.error(`not all pods run: ${created.running} after creation, ${day.running} after the day`);
  process.exitCode = 1;
}
console.log(
  JSON.stringify({
    bench: "twin",
    nodes: Number(nodes),
    pods: Number(pods),
    create_s: created.create_s,
    rss_mb: created.rss_mb,
    simulated_day_s: day.simulated_day_s,
    day_rss_mb: day.rss_mb,
    peer,
  }),
);
