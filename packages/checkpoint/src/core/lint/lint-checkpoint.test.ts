import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { checkpointAnnotations } from "../image/annotations.ts";
import type { CheckpointArchive } from "../archive/checkpoint-archive.ts";
import { file, madeCheckpoint } from "../inspect/testdata/made-checkpoint.ts";
import type { MadeCheckpoint } from "../inspect/testdata/made-checkpoint.ts";
import { lintCheckpoint, lintImageAlone, lintUnreadable } from "./lint-checkpoint.ts";
import type { LintOptions } from "./lint-checkpoint.ts";
import { lintCodes } from "./lint-codes.ts";

const digest = `sha256:${"a".repeat(64)}`;

/** What containerd writes for an ordinary container of a pod: nothing is found in it. */
const ordinary = {
  process: {
    args: ["app"],
    env: ["PATH=/bin", "KUBERNETES_PORT=tcp://10.0.0.1:443"],
    capabilities: { bounding: ["CAP_CHOWN", "CAP_KILL"], effective: ["CAP_CHOWN"] },
  },
  annotations: {
    "io.kubernetes.cri.container-name": "app",
    "io.kubernetes.cri.sandbox-name": "web",
    "io.kubernetes.cri.sandbox-namespace": "shop",
  },
  mounts: [
    { destination: "/proc", type: "proc", source: "proc" },
    { destination: "/etc/hosts", type: "bind", source: "/var/lib/kubelet/pods/1/etc-hosts", options: ["rbind"] },
    {
      destination: "/data",
      type: "bind",
      source: "/var/lib/kubelet/pods/1/volumes/kubernetes.io~empty-dir/data",
      options: ["rbind"],
    },
  ],
  linux: {
    seccomp: {},
    maskedPaths: ["/proc/kcore"],
    resources: { devices: [{ allow: false, access: "rwm" }] },
    namespaces: [
      { type: "pid" },
      { type: "ipc", path: "/proc/22107/ns/ipc" },
      { type: "uts", path: "/proc/22107/ns/uts" },
      { type: "mount" },
      { type: "network", path: "/proc/22107/ns/net" },
    ],
  },
};
const config = { rootfsImageName: "registry.example.com/app:1", rootfsImageRef: `registry.example.com/app@${digest}` };

const made = (of: MadeCheckpoint = {}): Promise<CheckpointArchive> => madeCheckpoint({ spec: ordinary, config, ...of });
const codes = async (of: MadeCheckpoint, options: LintOptions = {}): Promise<readonly string[]> =>
  (await lintCheckpoint(await made(of), options)).map(({ code }) => code);
const spec = (change: Readonly<Record<string, unknown>>): MadeCheckpoint => ({ spec: { ...ordinary, ...change } });
const linux = (change: Readonly<Record<string, unknown>>): MadeCheckpoint =>
  spec({ linux: { ...ordinary.linux, ...change } });
const bind = (source: string, destination = "/x", ...more: readonly string[]): MadeCheckpoint =>
  spec({ mounts: [...ordinary.mounts, { destination, type: "bind", source, options: ["rbind", ...more] }] });
/** Of NVIDIA's driver, as CDI mounts it. */
const driver = "/usr/lib/x86_64-linux-gnu/libcuda.so.580.159.04";
const binds = (...list: readonly unknown[]): MadeCheckpoint => ({ more: { "bind.mounts": JSON.stringify(list) } });

describe("lint of a checkpoint", () => {
  it("finds nothing in an ordinary one, restored where it belongs", async () => {
    const expected = {
      namespace: "shop",
      pod: "web",
      container: "app",
      image: "registry.example.com/app:1",
      mounts: ["/data/"],
      engine: "containerd",
    } as const;
    const archive = await made();
    const image = { annotations: checkpointAnnotations(archive.metadata, { architecture: "amd64" }), layers: 1 };
    expect(await lintCheckpoint(archive, { expected, image })).toEqual([]);
  });

  it.each<readonly [string, MadeCheckpoint, readonly string[]]>([
    ["a link", { members: [{ ...file("container.log"), kind: "symlink", target: "/etc/shadow" }] }, ["ArchiveLink"]],
    ["a hard link", { members: [{ ...file("status"), kind: "hardlink", target: "spec.dump" }] }, ["ArchiveLink"]],
    ["a device", { members: [{ ...file("checkpoint/x.img"), kind: "character" }] }, ["ArchiveDevice"]],
    ["a program with setuid", { members: [file("volumes/x", 0o4755)] }, ["ArchiveDevice"]],
    ["a stranger", { members: [file("install.sh")] }, ["UnknownMember"]],
    [
      "a parent dump",
      { members: [{ ...file("checkpoint/parent"), kind: "symlink", target: "../pre" }] },
      ["IncrementalDump"],
    ],
    ["a changed file that leads out", { rootfs: [[file("a/../../etc/x"), ""]] }, ["RootfsEscape"]],
    [
      "a changed hard link that leads out",
      { rootfs: [[{ ...file("a"), kind: "hardlink", target: "../../etc/x" }, ""]] },
      ["RootfsEscape"],
    ],
    ["a link within the container", { rootfs: [[{ ...file("a"), kind: "symlink", target: "/../etc" }, ""]] }, []],
    [
      "a changed file below a changed link",
      {
        rootfs: [
          [{ ...file("a"), kind: "symlink", target: "/etc" }, ""],
          [file("./a/cron.d/x"), ""],
        ],
      },
      ["RootfsEscape"],
    ],
    [
      "a hard link through a changed link",
      {
        rootfs: [
          [{ ...file("a"), kind: "symlink", target: "/etc" }, ""],
          [{ ...file("b"), kind: "hardlink", target: "/a/shadow" }, ""],
        ],
      },
      ["RootfsEscape"],
    ],
    [
      "a link that a folder took the place of",
      {
        rootfs: [
          [{ ...file("a"), kind: "symlink", target: "/etc" }, ""],
          [file("a"), ""],
          [file("a/x"), ""],
        ],
      },
      [],
    ],
    ["a whiteout of the folder above", { rootfs: [[file("a/.wh..."), ""]] }, ["RootfsEscape"]],
    [
      "an ordinary whiteout",
      {
        rootfs: [
          [file("a/.wh.b"), ""],
          [file("a/.wh..wh..opq"), ""],
        ],
      },
      [],
    ],
    ["a volume that is no archive", { more: { "volumes/data.tar": "none" } }, ["RootfsUnreadable"]],
    ["a deleted file of the host", { more: { "deleted.files": '["/tmp/x","../../etc/shadow"]' } }, ["DeletedEscape"]],
    ["deleted files of its own", { more: { "deleted.files": '["/tmp/x","tmp/y"]' } }, []],
    ["deleted files that are no list", { more: { "deleted.files": '{"0":"x"}' } }, ["DeletedEscape"]],
    ["a changed device", { rootfs: [[{ ...file("dev/x"), kind: "block" }, ""]] }, ["RootfsDevice"]],
    ["a changed program with setgid", { rootfs: [[file("bin/x", 0o2755), ""]] }, ["RootfsSetuid"]],
    ["changes that are no archive", { more: { "rootfs-diff.tar": Buffer.alloc(600, 1) } }, ["RootfsUnreadable"]],
    [
      "changes that are a link",
      { members: [{ ...file("rootfs-diff.tar"), kind: "symlink", target: "/etc/shadow" }] },
      ["ArchiveLink", "RootfsUnreadable"],
    ],
  ])("finds in the archive %s", async (_, of, expected) => {
    expect(await codes(of)).toEqual(expected);
  });

  it.each<readonly [string, MadeCheckpoint, readonly string[]]>([
    ["a folder of the host", bind("/srv/data"), ["HostMount"]],
    ["the host's root", bind("/"), ["SensitiveHostMount"]],
    ["system folders", bind("/etc/cron.d"), ["SensitiveHostMount"]],
    ["a driver's library", bind(driver, driver, "ro"), ["DriverMount"]],
    ["a driver's library that can be written", bind(driver, driver), ["SensitiveHostMount"]],
    ["a library of that name that is another one", bind("/etc/shadow", driver, "ro"), ["SensitiveHostMount"]],
    ["a driver's library under another name", bind(driver, "/bin/sh", "ro"), ["SensitiveHostMount"]],
    ["an engine's socket", bind("/run/containerd/containerd.sock"), ["SensitiveHostMount"]],
    ["a sandbox's own files", bind("/run/containerd/io.containerd.grpc.v1.cri/sandboxes/1/shm", "/dev/shm"), []],
    ["all devices", linux({ resources: { devices: [{ allow: true, access: "rwm" }] } }), ["Privileged"]],
    ["a device", linux({ devices: [{ path: "/dev/nvidia0" }] }), ["HostDevice"]],
    ["the host's network", linux({ namespaces: ordinary.linux.namespaces.slice(0, 4) }), ["HostNamespace"]],
    [
      "a namespace of the host's first process",
      linux({ namespaces: [{ type: "pid", path: "/proc/1/ns/pid" }, ...ordinary.linux.namespaces.slice(1)] }),
      ["HostNamespace"],
    ],
    ["nothing masked", linux({ maskedPaths: [] }), ["Unmasked"]],
    ["no seccomp", linux({ seccomp: undefined }), ["NoSeccomp"]],
    ["hooks", spec({ hooks: { prestart: [{ path: "/tmp/x" }] } }), ["RuntimeHook"]],
    [
      "capabilities, whatever their spelling",
      spec({ process: { capabilities: { ambient: ["sys_admin", "CAP_IPC_LOCK"] } } }),
      ["DangerousCapability", "AddedCapability"],
    ],
  ])("finds in the settings %s", async (_, of, expected) => {
    expect(await codes(of)).toEqual(expected);
  });

  it.each<readonly [string, Readonly<Record<string, string>>]>([
    ["in the specification", { "cdi.k8s.io/x": "nvidia.com/gpu=all" }],
    ["in CRI-O's own", { "io.kubernetes.cri-o.Annotations": JSON.stringify({ "cdi.k8s.io": "a" }) }],
  ])("finds devices that annotations ask for %s (CVE-2026-53492)", async (_, more) => {
    expect(await codes(spec({ annotations: { ...ordinary.annotations, ...more } }))).toEqual(["CdiAnnotation"]);
  });

  it("finds them in containerd's status and in the image's annotations", async () => {
    const status = JSON.stringify({ annotations: { "cdi.k8s.io/x": "a" } });
    expect(await codes({ more: { "status.dump": status } })).toEqual(["CdiAnnotation"]);
    const archive = await made();
    const annotations = { ...checkpointAnnotations(archive.metadata, { architecture: "amd64" }), "cdi.k8s.io/x": "a" };
    expect((await lintCheckpoint(archive, { image: { annotations, layers: 1 } })).map(({ place }) => place)).toEqual([
      "image: annotations",
    ]);
  });

  it.each<readonly [string, string, string, readonly string[]]>([
    ["pinned by digest", "nginx", `docker.io/library/nginx@${digest}`, []],
    ["an image's id", "docker.io/nginx:1", digest, []],
    ["without a digest", "nginx:1", "docker.io/library/nginx:1", ["BaseImageUnpinned"]],
    ["from elsewhere", "docker.io/library/nginx:1", `evil.example/nginx@${digest}`, ["BaseImageForeign"]],
    ["of another repository", "registry:5000/a/app:1", `registry:5000/b/app@${digest}`, ["BaseImageForeign"]],
    ["of the node itself", "localhost/app:1", digest, ["BaseImageLocal"]],
    ["of a registry on the node", "127.0.0.1:5000/app:1", digest, ["BaseImageLocal"]],
  ])("looks at a base image that is %s (CVE-2026-50195)", async (_, rootfsImageName, rootfsImageRef, expected) => {
    expect(await codes({ config: { rootfsImageName, rootfsImageRef } })).toEqual(expected);
  });

  it("finds mounts that the new pod does not declare (CVE-2024-8676)", async () => {
    expect(await codes({}, { expected: { mounts: [] } })).toEqual(["UndeclaredMount"]);
    expect(await codes(bind("/srv/data", "/srv"), { expected: { mounts: ["/data", "/srv"] } })).toEqual(["HostMount"]);
    // It comes with the device that the pod asks for.
    expect(await codes(bind(driver, driver, "ro"), { expected: { mounts: ["/data"] } })).toEqual(["DriverMount"]);
  });

  it.each<readonly [string, MadeCheckpoint, readonly string[]]>([
    ["a path that is not mounted", binds({ source: "/etc/cron.d/x", destination: "/y" }), ["UndeclaredBind"]],
    ["another source", binds({ source: "/etc/cron.d/x", destination: "/data" }), ["UndeclaredBind"]],
    ["what is mounted", binds({ source: "/var/lib/kubelet/pods/1/etc-hosts", destination: "/etc/hosts" }), []],
    ["no text", binds({ source: 1 }, null), ["BrokenBinds", "BrokenBinds"]],
    ["no JSON", { more: { "bind.mounts": "{" } }, ["BrokenBinds"]],
    ["no list", { more: { "bind.mounts": "{}" } }, ["BrokenBinds"]],
  ])("holds bind.mounts with %s against the specification", async (_, of, expected) => {
    expect(await codes(of)).toEqual(expected);
  });

  it("counts secrets of the environment by name, and never shows a value", async () => {
    const env = ["DB_PASSWORD=hunter2", "API_KEY=k3y", "github_token=t", "TOKENIZER=x", "EMPTY_SECRET=", "AUTHOR=me"];
    const findings = await lintCheckpoint(await made(spec({ process: { env } })));
    expect(findings).toMatchObject([
      { code: "SecretsInEnvironment", message: '3: "DB_PASSWORD", "API_KEY", "github_token"' },
    ]);
    expect(JSON.stringify(findings)).not.toMatch(/hunter2|k3y/);
  });

  it("says whose checkpoint it is instead of the expected one", async () => {
    const expected = { namespace: "prod", pod: "db", container: "main", image: "docker.io/library/other" };
    expect(await codes({}, { expected })).toEqual([
      "BaseImageUnexpected",
      "NamespaceMismatch",
      "IdentityMismatch",
      "IdentityMismatch",
    ]);
    expect(await codes(spec({ annotations: { "io.container.manager": "other" } }))).toEqual(["UnknownEngine"]);
  });

  it("holds an image against the archive in it", async () => {
    const archive = await made();
    const annotations = checkpointAnnotations(archive.metadata, { architecture: "amd64" });
    const found = async (image: LintOptions["image"], engine?: "cri-o") =>
      (await lintCheckpoint(archive, { ...(image && { image }), ...(engine && { expected: { engine } }) })).map(
        ({ code, place }) => `${code} ${place}`,
      );
    expect(await found({ annotations: { ...annotations, "org.criu.checkpoint.pod.name": "db" }, layers: 1 })).toEqual([
      'AnnotationsDisagree image: annotations["org.criu.checkpoint.pod.name"]',
    ]);
    expect(await found({ annotations: {}, layers: 2 })).toEqual([
      "ImageShape image: layers",
      "NoMarker image: annotations",
    ]);
    expect(await found({ annotations: { "org.criu.checkpoint.container.name": "app" }, layers: 1 }, "cri-o")).toEqual([
      "NoMarker image: annotations",
    ]);
    const mine = { annotations: { "org.criu.checkpoint.pod.name": "db" }, layers: 7, form: "Artifact" } as const;
    expect(await found(mine, "cri-o")).toEqual([
      'AnnotationsDisagree image: annotations["org.criu.checkpoint.pod.name"]',
    ]);
    const labels = { "containerd.io/restart.loguri": "binary:///bin/sh", "io.buildah.version": "1" };
    expect(await found({ annotations, layers: 1, labels })).toEqual(["ImageLabel image: config.Labels"]);
  });

  it("says of an image without an archive what it can", () => {
    expect(lintImageAlone({ annotations: {}, layers: 2 }).map(({ code }) => code)).toEqual(["ImageShape", "NoMarker"]);
  });

  it("shows a few of many, and what it quotes is short and visible", async () => {
    const rootfs = Array.from({ length: 2000 }, (_, at) => [file(`${at}\u001b[2J`, 0o4755), ""] as const);
    const [finding] = await lintCheckpoint(await made({ rootfs }));
    expect(finding?.message).toMatch(/ and 1990 more$/);
    expect(finding?.message.length).toBeLessThan(400);
    expect(finding?.message).not.toContain("\u001b");
  });

  it("says that an archive cannot be read, and leaves other errors alone", async () => {
    const hostile = madeCheckpoint({ members: [file("../../etc/cron.d/x")] });
    const error: unknown = await hostile.catch((problem: unknown) => problem);
    expect(lintUnreadable(error)).toMatchObject([{ code: "ArchiveUnreadable", severity: "error" }]);
    expect(() => lintUnreadable(new TypeError("a fault of ours"))).toThrow("a fault of ours");
  });

  it("has the errors first", async () => {
    const findings = await lintCheckpoint(
      await made({ ...linux({ seccomp: undefined, maskedPaths: [], namespaces: [] }), rootfs: [[file("../x"), ""]] }),
    );
    expect(findings.map(({ severity }) => severity)).toEqual(["error", "error", "warning", "info"]);
  });
});

it("docs/checkpoint-lint.md lists every code as it is", () => {
  const rows = readFileSync(new URL("../../../../../docs/checkpoint-lint.md", import.meta.url), "utf8")
    .split("\n")
    .filter((line) => line.startsWith("| `"));
  expect(rows).toEqual(
    Object.entries(lintCodes).map(
      ([code, { severity, cause, action }]) => `| \`${code}\` | ${severity} | ${cause} | ${action} |`,
    ),
  );
});
