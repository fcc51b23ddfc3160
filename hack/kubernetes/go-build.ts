import { spawn } from "node:child_process";
import { constants } from "node:fs";
import { access, mkdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { cacheDirectory, kubernetesVersion } from "@fleetwright/lab";
import { withLock } from "./build-lock.ts";
import { goProblem, goProgram, installedGo, requiredGo } from "./go-toolchain.ts";

/** A program that tests use beside the control plane. */
export interface TestProgram {
  /** Its name in the cache folder. */
  readonly name: string;
  /** The module below `hack/kubernetes` that pins it. */
  readonly module: "e2e" | "foreign-clients";
  /** The package that is built. */
  readonly source: string;
  /** A package of tests becomes a program that runs them. */
  readonly tests?: boolean;
}

/** Upstream's end-to-end suite and its runner. */
export const upstreamPrograms = {
  ginkgo: { name: "ginkgo", module: "e2e", source: "github.com/onsi/ginkgo/v2/ginkgo" },
  suite: { name: "e2e.test", module: "e2e", source: "k8s.io/kubernetes/test/e2e", tests: true },
} as const satisfies Readonly<Record<string, TestProgram>>;

/** Clients that others wrote. */
export const foreignClients = {
  informer: { name: "client-go-informer", module: "foreign-clients", source: "./client-go-informer" },
  helm: { name: "helm", module: "foreign-clients", source: "helm.sh/helm/v4/cmd/helm" },
} as const satisfies Readonly<Record<string, TestProgram>>;

/** The suite asks the server for its version and compares. */
export function kubernetesLinkerFlags(): string {
  const [major, minor] = kubernetesVersion.slice(1).split(".");
  const packages = ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"];
  const variables = packages.flatMap((path) => [
    `-X ${path}.gitVersion=${kubernetesVersion}`,
    `-X ${path}.gitMajor=${major}`,
    `-X ${path}.gitMinor=${minor}`,
  ]);
  return ["-s", "-w", ...variables].join(" ");
}

/** Never another Go, never other versions. */
export const goEnvironment: NodeJS.ProcessEnv = {
  ...process.env,
  GOTOOLCHAIN: "local",
  GOFLAGS: "-mod=readonly",
  GOWORK: "off",
  CGO_ENABLED: "0",
};

/** Where the program lies; `undefined`: it was not built yet. */
export async function findTestProgram({ name }: TestProgram): Promise<string | undefined> {
  const path = join(cacheDirectory(), name);
  return access(path, constants.X_OK).then(
    () => path,
    () => undefined,
  );
}

/** Why the program cannot be built on this machine; `undefined`: it can. */
export async function buildProblem({ module }: TestProgram): Promise<string | undefined> {
  const goMod = await readFile(join(moduleDirectory(module), "go.mod"), "utf8");
  return goProblem(await installedGo(goEnvironment), requiredGo(goMod));
}

const moduleDirectory = (module: string): string => fileURLToPath(new URL(module, import.meta.url));

/**
 * The program's path, from the cache or built now at low priority (the suite takes 6 minutes without Go's own cache).
 *
 * @throws Error when Go is missing or the build fails
 */
export async function bringTestProgram(program: TestProgram, say: (text: string) => void): Promise<string> {
  const found = await findTestProgram(program);
  if (found !== undefined) return found;
  const problem = await buildProblem(program);
  if (problem !== undefined) throw new Error(problem);
  const directory = cacheDirectory();
  await mkdir(directory, { recursive: true });
  const lock = { onWait: () => say("another run is building, waiting for it"), signal: new AbortController().signal };
  return withLock(directory, lock, async () => {
    const built = await findTestProgram(program);
    if (built !== undefined) return built;
    say(`building ${program.name}`);
    const target = join(directory, program.name);
    const half = `${target}.building`;
    try {
      await runGo(program, half);
      await rename(half, target);
    } finally {
      await rm(half, { force: true });
    }
    return target;
  });
}

function runGo({ name, module, source, tests }: TestProgram, output: string): Promise<void> {
  const command = tests === true ? ["test", "-c"] : ["build"];
  const args = [goProgram, ...command, "-trimpath", "-ldflags", kubernetesLinkerFlags(), "-o", output, source];
  return new Promise((resolve, reject) => {
    const child = spawn("nice", ["-n", "19", ...args], {
      cwd: moduleDirectory(module),
      env: goEnvironment,
      stdio: ["ignore", "inherit", "inherit"],
    });
    child.once("error", reject);
    child.once("close", (code) => {
      if (code === 0) resolve();
      else reject(new Error(`go could not build ${name} (exit code ${code}; its messages are above)`));
    });
  });
}
