import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { binaryNames, cacheDirectory, kubernetesVersion } from "@fleetwright/lab";

const script = fileURLToPath(new URL("../../hack/kubernetes/build.ts", import.meta.url));

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "fleetwright-build-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const cache = (): string => cacheDirectory({ XDG_CACHE_HOME: join(folder, "cache") });
const calls = (): readonly string[] => {
  const log = join(folder, "calls");
  return existsSync(log) ? readFileSync(log, "utf8").trim().split("\n") : [];
};

/** A Go whose programs know their version and nothing else, and which writes down what it was asked to build. */
function installGo(version: string, programs: string = kubernetesVersion): void {
  mkdirSync(join(folder, "bin"), { recursive: true });
  const go = `#!/bin/sh
if [ "$1" = env ]; then echo ${version}; exit 0; fi
for last; do :; done
while [ "$1" != -o ]; do shift; done
echo "$last" >> ${folder}/calls
if [ -e ${folder}/hang ]; then echo half > "$2"; touch ${folder}/hanging; exec sleep 60; fi
printf '#!/bin/sh\\nprintf "etcd Version: 3.6.8\\\\nKubernetes ${programs}\\\\nClient Version: ${programs}\\\\n"\\n' > "$2"
chmod +x "$2"
`;
  writeFileSync(join(folder, "bin", "go"), go, { mode: 0o755 });
}

interface Run {
  readonly code: number | null;
  readonly output: string;
  readonly errors: string;
}

function start(environment: Record<string, string> = {}): { readonly pid: number; readonly done: Promise<Run> } {
  // Only what the test puts there: the machine's own Go must not be found.
  mkdirSync(join(folder, "bin"), { recursive: true });
  const shell = ["sh", "sleep", "touch", "chmod", "printf"];
  for (const tool of shell)
    if (!existsSync(join(folder, "bin", tool))) symlinkSync(join("/bin", tool), join(folder, "bin", tool));
  const child = spawn(process.execPath, [script], {
    env: {
      PATH: [join(folder, "bin"), dirname(process.execPath)].join(delimiter),
      HOME: folder,
      XDG_CACHE_HOME: join(folder, "cache"),
      ...environment,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const done = Promise.all([text(child.stdout), text(child.stderr), once(child, "exit")]).then(
    ([output, errors, [code]]) => ({ output, errors, code: code as number | null }),
  );
  return { pid: child.pid ?? 0, done };
}
const run = (environment: Record<string, string> = {}): Promise<Run> => start(environment).done;

describe("make kubernetes", () => {
  it("builds what is missing, says how far it is, and does nothing the second time", async () => {
    installGo("go1.26.8");
    const first = await run();
    expect(first).toMatchObject({ code: 0, errors: "" });
    expect(first.output).toContain("building etcd (1 of 5, 4 left after it)");
    expect(first.output).toContain("building kubectl (5 of 5, 0 left after it)");
    expect(readdirSync(cache()).toSorted()).toEqual(binaryNames.toSorted());
    expect(calls()).toHaveLength(5);

    const second = await run();
    expect(second.code).toBe(0);
    expect(second.output.trim().split("\n")).toHaveLength(1);
    expect(calls()).toHaveLength(5);
  });

  it("goes on after it was killed, without what was half done", async () => {
    installGo("go1.26.8");
    writeFileSync(join(folder, "hang"), "");
    const killed = start();
    await expect.poll(() => existsSync(join(folder, "hanging")), { timeout: 20_000 }).toBe(true);
    process.kill(killed.pid, "SIGKILL");
    await expect.poll(() => existsSync(`/proc/${killed.pid}/exe`), { timeout: 20_000 }).toBe(false);
    expect(readdirSync(cache())).toEqual(["etcd.building"]);
    rmSync(join(folder, "hang"));
    expect((await run()).code).toBe(0);
    expect(readdirSync(cache()).toSorted()).toEqual(binaryNames.toSorted());
  });

  it("builds each program once when two runs start together", async () => {
    installGo("go1.26.8");
    const both = await Promise.all([run(), run()]);
    expect(both.map(({ code }) => code)).toEqual([0, 0]);
    expect(calls()).toHaveLength(5);
  });

  it("stops on SIGTERM, leaves no half program and says that it can go on", async () => {
    installGo("go1.26.8");
    writeFileSync(join(folder, "hang"), "");
    const stopped = start();
    await expect.poll(() => existsSync(join(folder, "hanging")), { timeout: 20_000 }).toBe(true);
    process.kill(stopped.pid, "SIGTERM");
    expect(await stopped.done).toMatchObject({
      code: 130,
      errors: "fleetwright: stopped while building etcd; run it again to go on\n",
    });
    expect(readdirSync(cache())).toEqual([]);
  });

  it.each([
    ["no Go", undefined, /^fleetwright: go not found: install Go 1\.26\.0 or later .*\n$/],
    ["a Go that is too old", "go1.24.1", /^fleetwright: Go 1\.24\.1 is too old: install Go 1\.26\.0 or later .*\n$/],
  ])("with %s says in one line what to install, exit code 2", async (_, version, message) => {
    if (version !== undefined) installGo(version);
    expect(await run()).toEqual({ code: 2, output: "", errors: expect.stringMatching(message) });
  });

  it("takes from KUBEBUILDER_ASSETS only what is of exactly the pinned version", async () => {
    installGo("go1.26.8");
    const assets = join(folder, "assets");
    mkdirSync(assets);
    const program = (line: string): string => `#!/bin/sh\necho "${line}"\n`;
    writeFileSync(join(assets, "etcd"), program("etcd Version: 3.6.8"), { mode: 0o755 });
    writeFileSync(join(assets, "kube-apiserver"), program("Kubernetes v1.35.0"), { mode: 0o755 });
    writeFileSync(join(assets, "kubectl"), program(`Client Version: ${kubernetesVersion}`), { mode: 0o755 });
    expect((await run({ KUBEBUILDER_ASSETS: assets })).code).toBe(0);
    expect(readdirSync(cache()).toSorted()).toEqual(["kube-apiserver", "kube-controller-manager", "kube-scheduler"]);
  });

  it("never keeps a program that calls itself another version", async () => {
    installGo("go1.26.8", "v1.36.2");
    const result = await run();
    expect(result.code).toBe(2);
    expect(result.errors).toContain("kube-apiserver was built but calls itself");
    expect(readdirSync(cache())).toEqual(["etcd"]);
  });
});
