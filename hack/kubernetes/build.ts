/** `npm run kubernetes`: brings the control plane's programs, each from KUBEBUILDER_ASSETS, the cache, or a build. */
import { execFile, spawn } from "node:child_process";
import { mkdir, readFile, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import {
  binaryNames,
  binarySources,
  cacheDirectory,
  findBinary,
  kubernetesVersion,
  saysVersion,
} from "@fleetwright/lab";
import type { BinaryName } from "@fleetwright/lab";
import { withLock } from "./build-lock.ts";
import { goEnvironment, kubernetesLinkerFlags } from "./go-build.ts";
import { goProblem, goProgram, installedGo, requiredGo } from "./go-toolchain.ts";

const moduleDirectory = fileURLToPath(new URL("control-plane", import.meta.url));
const unfinished = /\.building$/;

const say = (text: string): void => console.log(`kubernetes ${kubernetesVersion}: ${text}`);
const seconds = (ms: number): string => `${Math.round(ms / 1000)} s`;

const interruption = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => interruption.abort(signal));

/** A sentence for the user, without a stack. */
class BuildProblem extends Error {}

interface Inventory {
  readonly missing: readonly BinaryName[];
  readonly fromAssets: readonly BinaryName[];
}

async function takeInventory(): Promise<Inventory> {
  const found = await Promise.all(binaryNames.map((name) => findBinary(name)));
  return {
    missing: binaryNames.filter((_, index) => found[index] === undefined),
    fromAssets: binaryNames.filter((_, index) => found[index]?.from === "KUBEBUILDER_ASSETS"),
  };
}

async function checkGo(): Promise<void> {
  const required = requiredGo(await readFile(join(moduleDirectory, "go.mod"), "utf8"));
  const problem = goProblem(await installedGo(goEnvironment), required);
  if (problem !== undefined)
    throw new BuildProblem(`${problem}, or set KUBEBUILDER_ASSETS to a folder that holds ${kubernetesVersion}`);
}

async function build(name: BinaryName, directory: string, place: string): Promise<void> {
  say(`building ${name} (${place})`);
  const target = join(directory, name);
  const half = `${target}.building`;
  const began = performance.now();
  const progress = setInterval(() => say(`building ${name}: ${seconds(performance.now() - began)} so far`), 30_000);
  try {
    await runGo(["build", "-trimpath", "-ldflags", kubernetesLinkerFlags(), "-o", half, binarySources[name]], name);
    const { stdout } = await promisify(execFile)(half, name === "kubectl" ? ["version", "--client"] : ["--version"]);
    if (!saysVersion(name, stdout))
      throw new BuildProblem(
        `${name} was built but calls itself ${JSON.stringify(stdout.trim())}: check ${moduleDirectory}/go.mod`,
      );
    await rename(half, target);
  } finally {
    clearInterval(progress);
    await rm(half, { force: true });
  }
  say(`built ${name} in ${seconds(performance.now() - began)}`);
}

function runGo(args: readonly string[], name: BinaryName): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(goProgram, args, {
      cwd: moduleDirectory,
      env: goEnvironment,
      stdio: ["ignore", "inherit", "inherit"],
    });
    const interrupt = (): void => {
      child.kill("SIGTERM");
    };
    interruption.signal.addEventListener("abort", interrupt, { once: true });
    const finished = (): void => interruption.signal.removeEventListener("abort", interrupt);
    child.once("error", (error) => {
      finished();
      reject(error);
    });
    child.once("close", (code, signal) => {
      finished();
      if (code === 0) resolve();
      else if (signal !== null || interruption.signal.aborted)
        reject(new BuildProblem(`stopped while building ${name}; run it again to go on`));
      else reject(new BuildProblem(`go build of ${name} failed with exit code ${code} (its messages are above)`));
    });
  });
}

async function main(): Promise<void> {
  const directory = cacheDirectory();
  const { missing, fromAssets } = await takeInventory();
  if (missing.length > 0) {
    await mkdir(directory, { recursive: true });
    const onWait = (): void => say("another run is building, waiting for it");
    await withLock(directory, { onWait, signal: interruption.signal }, async () => {
      // What an earlier run was killed over; nobody else builds while we hold the lock.
      for (const entry of await readdir(directory))
        if (unfinished.test(entry)) await rm(join(directory, entry), { force: true });
      const { missing: todo } = await takeInventory();
      if (todo.length > 0) await checkGo();
      for (const [index, name] of todo.entries())
        await build(name, directory, `${index + 1} of ${todo.length}, ${todo.length - index - 1} left after it`);
    });
  }
  const assets = fromAssets.length === 0 ? "" : ` (${fromAssets.join(", ")} from KUBEBUILDER_ASSETS)`;
  say(`ready in ${directory}${assets}`);
}

try {
  await main();
} catch (error) {
  const aborted = interruption.signal.aborted;
  if (!(error instanceof BuildProblem) && !aborted) throw error;
  console.error(`fleetwright: ${error instanceof BuildProblem ? error.message : "stopped; run it again to go on"}`);
  process.exitCode = interruption.signal.aborted ? 130 : 2;
}
