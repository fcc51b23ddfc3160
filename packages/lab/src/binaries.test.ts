import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { binaryNames, cacheDirectory, findBinaries, findBinary, kubernetesVersion, saysVersion } from "./binaries.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "fleetwright-binaries-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const fill = async (names: readonly string[]): Promise<void> => {
  const cache = cacheDirectory({ XDG_CACHE_HOME: folder });
  await mkdir(cache, { recursive: true });
  for (const name of names) await writeFile(join(cache, name), "", { mode: 0o755 });
};

describe("binaries of the control plane", () => {
  it.each([
    ["etcd", "etcd Version: 3.6.8\nGit SHA: x\n", true],
    ["etcd", "etcd Version: 3.6.80\n", false],
    ["kube-apiserver", `Kubernetes ${kubernetesVersion}\n`, true],
    ["kube-apiserver", `Kubernetes ${kubernetesVersion}-rc.0\n`, false],
    ["kube-scheduler", "Kubernetes v1.35.0\n", false],
    ["kubectl", `Client Version: ${kubernetesVersion}\nKustomize Version: v5.8.1\n`, true],
    ["kubectl", "Client Version: v1.32.4-dispatcher\n", false],
    ["kubectl", "", false],
  ] as const)("%s that says %j is the pinned version: %s", (name, output, expected) => {
    expect(saysVersion(name, output)).toBe(expected);
  });

  it("are cached below XDG_CACHE_HOME when that is an absolute path", () => {
    expect(cacheDirectory({ XDG_CACHE_HOME: "/x" })).toBe(`/x/fleetwright/kubernetes/${kubernetesVersion}`);
    expect(cacheDirectory({ XDG_CACHE_HOME: "relative" })).toBe(
      join(homedir(), ".cache/fleetwright/kubernetes", kubernetesVersion),
    );
  });

  it("are all found in the cache", async () => {
    await fill(binaryNames);
    const found = await findBinaries({ XDG_CACHE_HOME: folder });
    expect(found.kubectl).toBe(join(cacheDirectory({ XDG_CACHE_HOME: folder }), "kubectl"));
  });

  it("names those missing and what to run", async () => {
    await fill(["etcd", "kube-apiserver", "kubectl"]);
    await expect(findBinaries({ XDG_CACHE_HOME: folder })).rejects.toMatchObject({
      code: "FW_LAB_BINARIES",
      message: expect.stringMatching(
        /^kube-controller-manager, kube-scheduler of Kubernetes v1.*: run "make kubernetes"$/,
      ),
    });
  });

  it("are not taken from the cache when they cannot be executed", async () => {
    await fill(["etcd"]);
    await chmod(join(cacheDirectory({ XDG_CACHE_HOME: folder }), "etcd"), 0o644);
    expect(await findBinary("etcd", { XDG_CACHE_HOME: folder })).toBeUndefined();
  });
});
