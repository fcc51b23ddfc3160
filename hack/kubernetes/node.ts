/** `npm run node [-- cosign]`: brings what a real node is made of (and cosign, which takes two minutes more), each part built or fetched once and then cached. */
import { constants } from "node:fs";
import { access, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { cniPath, criuPath, imagePath, kubernetesVersion, nodeDirectory } from "@fleetwright/lab";
import { withLock } from "./build-lock.ts";
import { command } from "./command.ts";
import { goEnvironment, kubernetesLinkerFlags } from "./go-build.ts";
import { goProblem, goProgram, installedGo, requiredGo } from "./go-toolchain.ts";
import { machineSuite, unpackPackages } from "./node-debian.ts";
import { makeImage } from "./node-image.ts";

/** Debian's suite that has CRIU 4.2: older ones do not work on kernels from 6.13 on. nftables comes from it as well: its packages have one place for libraries. */
const criuSuite = "forky";
const sources = fileURLToPath(new URL("node", import.meta.url));
const folder = nodeDirectory();
const debian = join(folder, "debian");

const say = (text: string): void => console.log(`node: ${text}`);
const isThere = (path: string): Promise<boolean> =>
  access(path, constants.F_OK).then(
    () => true,
    () => false,
  );

interface Part {
  readonly what: string;
  readonly path: string;
  /** Makes `path`, whole or not at all. */
  make(): Promise<void>;
}

interface GoProgram {
  readonly module: string;
  readonly source: string;
  readonly linkerFlags?: string;
  readonly tags?: string;
  readonly cgo?: boolean;
}

/** runc alone needs C: libseccomp, from Debian's package, without installing it. */
const seccompEnvironment: NodeJS.ProcessEnv = {
  CGO_ENABLED: "1",
  PKG_CONFIG_SYSROOT_DIR: debian,
  PKG_CONFIG_LIBDIR: ["usr/lib/x86_64-linux-gnu/pkgconfig", "usr/lib/aarch64-linux-gnu/pkgconfig"]
    .map((path) => join(debian, path))
    .join(":"),
};

function goPart(name: string, { module, source, linkerFlags = "-s -w", tags, cgo = false }: GoProgram): Part {
  const path = join(folder, name);
  return {
    what: `${name} (Go)`,
    path,
    make: async () => {
      const half = `${path}.building`;
      const flags = ["build", "-trimpath", "-ldflags", linkerFlags, ...(tags === undefined ? [] : ["-tags", tags])];
      const env = { ...goEnvironment, ...(cgo ? seccompEnvironment : {}) };
      const cwd = fileURLToPath(new URL(module, import.meta.url));
      await command("nice", ["-n", "10", goProgram, ...flags, "-o", half, source], { cwd, env });
      await rename(half, path);
    },
  };
}

function cPart(name: string, flags: readonly string[] = []): Part {
  const path = join(folder, name);
  return {
    what: `${name} (C)`,
    path,
    make: async () => {
      const half = `${path}.building`;
      await command("gcc", ["-O2", "-static", ...flags, "-o", half, join(sources, `${name}.c`)]);
      await rename(half, path);
    },
  };
}

/** Packages of Debian, unpacked into a folder; `finish` is what makes them usable there. */
function debianPart(
  name: string,
  packages: readonly string[],
  options: {
    readonly suite: () => Promise<string>;
    readonly dependencies: boolean;
    finish?(root: string): Promise<void>;
  },
): Part {
  const path = join(folder, name);
  return {
    what: `${packages.join(", ")} (Debian)`,
    path,
    make: async () => {
      const half = `${path}.building`;
      await rm(half, { recursive: true, force: true });
      await unpackPackages(half, await options.suite(), packages, options);
      await options.finish?.(half);
      await rename(half, path);
    },
  };
}

/** Binds a program of unpacked packages to their own loader and libraries: nothing of the machine's is mixed in. */
async function bindToFolder(program: string, libraries: string): Promise<void> {
  const loader = join(libraries, "ld-linux-x86-64.so.2");
  const patchelf = join(debian, "usr", "bin", "patchelf");
  await command(patchelf, ["--set-interpreter", loader, "--force-rpath", "--set-rpath", libraries, program]);
}

const image = (name: "pause" | "counter-server" | "busybox"): Part => ({
  what: `image localhost/${name}:1`,
  path: imagePath(folder, name),
  make: () =>
    makeImage(
      name === "busybox"
        ? {
            name,
            files: { "/bin/busybox": join(debian, "bin", "busybox") },
            links: Object.fromEntries(
              ["sh", "cat", "sleep", "echo", "wget", "nc", "ps"].map((tool) => [`/bin/${tool}`, "busybox"]),
            ),
            entrypoint: ["/bin/sh"],
          }
        : { name, files: { [`/bin/${name}`]: join(folder, name) }, entrypoint: [`/bin/${name}`] },
      imagePath(folder, name),
    ),
});

const containerd = (name: string): Part =>
  goPart(name, { module: "node/containerd", source: `github.com/containerd/containerd/v2/cmd/${name}` });

const parts: readonly Part[] = [
  debianPart("debian", ["busybox-static", "containernetworking-plugins", "libseccomp-dev", "libseccomp2", "patchelf"], {
    suite: machineSuite,
    dependencies: false,
  }),
  debianPart("criu", ["criu"], {
    suite: () => Promise.resolve(criuSuite),
    dependencies: true,
    finish: (root) =>
      bindToFolder(join(root, "usr", "sbin", "criu"), join(folder, "criu", "usr", "lib", "x86_64-linux-gnu")),
  }),
  debianPart("nftables", ["nftables"], {
    suite: () => Promise.resolve(criuSuite),
    dependencies: true,
    finish: (root) =>
      bindToFolder(join(root, "usr", "sbin", "nft"), join(folder, "nftables", "usr", "lib", "x86_64-linux-gnu")),
  }),
  goPart("runc", {
    module: "node/runc",
    source: "github.com/opencontainers/runc",
    linkerFlags: "-s -w -extldflags -static",
    tags: "seccomp osusergo netgo",
    cgo: true,
  }),
  ...["containerd", "containerd-shim-runc-v2", "ctr"].map(containerd),
  ...[
    ["kubelet", "control-plane"],
    ["kube-proxy", "node/kube-proxy"],
  ].map(([name = "", module = ""]) =>
    goPart(name, { module, source: `k8s.io/kubernetes/cmd/${name}`, linkerFlags: kubernetesLinkerFlags() }),
  ),
  goPart("registry", { module: "node/registry", source: "github.com/distribution/distribution/v3/cmd/registry" }),
  goPart("checkpointctl", { module: "node/checkpointctl", source: "github.com/checkpoint-restore/checkpointctl" }),
  ...(process.argv.includes("cosign")
    ? [goPart("cosign", { module: "node/cosign", source: "github.com/sigstore/cosign/v3/cmd/cosign" })]
    : []),
  debianPart("podman", ["podman", "crun", "libcriu2", "conmon", "iproute2", "tar", "gzip", "bash", "python3-pycriu"], {
    suite: () => Promise.resolve(criuSuite),
    dependencies: true,
  }),
  cPart("pause"),
  cPart("counter-server", ["-pthread"]),
  image("pause"),
  image("counter-server"),
  image("busybox"),
];

async function machineProblem(): Promise<string | undefined> {
  if (process.platform !== "linux" || process.arch !== "x64") return "a real node needs Linux on x86-64";
  for (const [tool, probe, brings] of [
    ["apt-get", "--version", "a Debian machine"],
    ["dpkg", "--version", "a Debian machine"],
    ["gcc", "--version", "apt-get install gcc libc6-dev"],
    ["pkg-config", "--version", "apt-get install pkg-config"],
  ] as const)
    if (
      await command(tool, [probe]).then(
        () => false,
        () => true,
      )
    )
      return `${tool} is not on this machine; it takes ${brings}`;
  const required = requiredGo(await readFile(join(sources, "containerd", "go.mod"), "utf8"));
  return goProblem(await installedGo(goEnvironment), required);
}

try {
  await mkdir(folder, { recursive: true });
  await withLock(
    folder,
    { onWait: () => say("another run is building, waiting for it"), signal: new AbortController().signal },
    async () => {
      const missing: Part[] = [];
      for (const part of parts) if (!(await isThere(part.path))) missing.push(part);
      const problem = missing.length > 0 ? await machineProblem() : undefined;
      if (problem !== undefined) throw new Error(problem);
      for (const [index, part] of missing.entries()) {
        say(`${part.what} (${index + 1} of ${missing.length})`);
        const began = performance.now();
        await part.make();
        say(`${part.what}: ${Math.round((performance.now() - began) / 1000)} s`);
      }
      await writeFile(join(folder, "criu-version"), await command(criuPath(folder), ["--version"]));
      await access(join(cniPath(folder), "bridge"));
    },
  );
  say(`ready in ${folder}, for Kubernetes ${kubernetesVersion}`);
} catch (error) {
  console.error(`fleetwright: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 2;
}
