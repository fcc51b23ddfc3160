/**
 * `npm run upstream [-- --specs FILE] [--kubeconfig FILE] [--server twin|twin-api|real] [--procs N]`: runs specs of upstream's own
 * end-to-end suite by their exact names against the twin with its own controllers and scheduler (or with the real ones,
 * or against the real server) and four simulated nodes. The last line is `{"upstream":{"passed":…,"failed":…}}`.
 */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { startUpstreamCluster } from "./upstream-cluster.ts";
import type { UpstreamServer } from "./upstream-cluster.ts";
import { bringTestProgram, buildProblem, findTestProgram, upstreamPrograms } from "./kubernetes/go-build.ts";
import { focusOf, outcomeOf, parseSpecNames } from "./upstream-specs.ts";
import type { SpecOutcome, SpecReport } from "./upstream-specs.ts";

const { values } = parseArgs({
  options: {
    specs: { type: "string" },
    kubeconfig: { type: "string" },
    server: { type: "string", default: "twin" },
    procs: { type: "string", default: "4" },
  },
});
const say = (text: string): void => console.log(`upstream: ${text}`);
const beside = fileURLToPath(new URL("../../shared/fixtures/kubernetes-1.36/upstream-specs.txt", import.meta.url));
const specsPath = values.specs ?? process.env["FLEETWRIGHT_UPSTREAM_SPECS"] ?? beside;

function serverOf(name: string): UpstreamServer {
  if (name === "twin" || name === "twin-api" || name === "real") return name;
  throw new Error(`--server ${JSON.stringify(name)}: write twin, twin-api or real`);
}

/** Says that nothing was run and why: not a failure, but never silent. */
function skip(reason: string): void {
  say(`SKIPPED: ${reason}`);
  console.log(JSON.stringify({ upstream: { passed: 0, failed: 0, skipped: true } }));
}

async function run(kubeconfig: string, names: readonly string[]): Promise<SpecOutcome> {
  const ginkgo = await bringTestProgram(upstreamPrograms.ginkgo, say);
  const suite = await bringTestProgram(upstreamPrograms.suite, say);
  const folder = await mkdtemp(join(tmpdir(), "upstream-"));
  try {
    const report = join(folder, "report.json");
    await runGinkgo(ginkgo, folder, [
      `-procs=${values.procs}`,
      "-timeout=30m",
      "--keep-going",
      "--no-color",
      "--succinct",
      `--output-dir=${folder}`,
      "--json-report=report.json",
      `-focus=${focusOf(names)}`,
      suite,
      "--",
      `--kubeconfig=${kubeconfig}`,
      "--kube-api-content-type=application/json",
      "--provider=skeleton",
      "--num-nodes=0",
      "--allowed-not-ready-nodes=-1",
      "--minStartupPods=0",
      "--disable-log-dump",
    ]);
    if (!existsSync(report)) throw new Error("ginkgo wrote no report (its messages are above)");
    const suites = JSON.parse(await readFile(report, "utf8")) as readonly {
      readonly SpecReports: readonly SpecReport[];
    }[];
    return outcomeOf(
      names,
      suites.flatMap(({ SpecReports }) => SpecReports ?? []),
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Its exit code says whether specs failed: the report does so by name. */
function runGinkgo(program: string, directory: string, args: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd: directory, stdio: ["ignore", "inherit", "inherit"] });
    child.once("error", reject);
    child.once("close", () => resolve());
  });
}

async function main(): Promise<void> {
  if (!existsSync(specsPath)) return skip(`no list of specs at ${specsPath} (--specs or FLEETWRIGHT_UPSTREAM_SPECS)`);
  const names = parseSpecNames(await readFile(specsPath, "utf8"));
  for (const program of Object.values(upstreamPrograms)) {
    if ((await findTestProgram(program)) !== undefined) continue;
    const problem = await buildProblem(program);
    if (problem !== undefined) return skip(problem);
  }
  const cluster = values.kubeconfig === undefined ? await startUpstreamCluster(serverOf(values.server)) : undefined;
  try {
    say(`${names.length} specs of ${specsPath}`);
    const { passed, failed, missing } = await run(values.kubeconfig ?? cluster?.kubeconfigPath ?? "", names);
    for (const { name, message } of failed) say(`FAILED ${name}\n  ${message.split("\n").slice(0, 6).join("\n  ")}`);
    for (const name of missing) say(`NOT RUN ${name}`);
    if (failed.length + missing.length > 0) process.exitCode = 1;
    console.log(JSON.stringify({ upstream: { passed: passed.length, failed: failed.length + missing.length } }));
  } finally {
    await cluster?.stop();
  }
}

await main();
