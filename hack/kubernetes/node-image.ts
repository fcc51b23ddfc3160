import { createHash } from "node:crypto";
import { chmod, copyFile, mkdir, mkdtemp, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { command } from "./command.ts";

const architectures: Readonly<Record<string, string>> = { x64: "amd64", arm64: "arm64" };

/** An image of a few files. */
export interface ImageContent {
  /** `localhost/<name>:1`. */
  readonly name: string;
  /** Where each file of this machine goes in the image, executable. */
  readonly files: Readonly<Record<string, string>>;
  /** Links, by the path that they are at. */
  readonly links?: Readonly<Record<string, string>>;
  readonly entrypoint: readonly string[];
}

interface Blob {
  readonly digest: string;
  readonly size: number;
}

async function addBlob(layout: string, bytes: Uint8Array): Promise<Blob> {
  const hash = createHash("sha256").update(bytes).digest("hex");
  await writeFile(join(layout, "blobs", "sha256", hash), bytes);
  return { digest: `sha256:${hash}`, size: bytes.length };
}

/** Makes the image as an archive of an OCI layout, which `ctr images import` takes. */
export async function makeImage({ name, files, links = {}, entrypoint }: ImageContent, target: string): Promise<void> {
  const work = await mkdtemp(join(tmpdir(), "fleetwright-image-"));
  try {
    const [root, layout] = [join(work, "root"), join(work, "layout")];
    await mkdir(join(layout, "blobs", "sha256"), { recursive: true });
    for (const folder of ["tmp", "proc", "sys", "dev", "etc"]) await mkdir(join(root, folder), { recursive: true });
    for (const [path, source] of Object.entries(files)) {
      await mkdir(dirname(join(root, path)), { recursive: true });
      await copyFile(source, join(root, path));
      await chmod(join(root, path), 0o755);
    }
    for (const [path, to] of Object.entries(links)) await symlink(to, join(root, path));
    const reproducible = ["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mtime=@0"];
    await command("tar", [...reproducible, "-cf", join(work, "layer.tar"), "-C", root, "."]);
    const layer = await addBlob(layout, await readFile(join(work, "layer.tar")));
    const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
    const config = await addBlob(
      layout,
      json({
        architecture: architectures[process.arch] ?? process.arch,
        os: "linux",
        config: { Entrypoint: entrypoint, Env: ["PATH=/bin"] },
        rootfs: { type: "layers", diff_ids: [layer.digest] },
      }),
    );
    const manifest = await addBlob(
      layout,
      json({
        schemaVersion: 2,
        mediaType: "application/vnd.oci.image.manifest.v1+json",
        config: { mediaType: "application/vnd.oci.image.config.v1+json", ...config },
        layers: [{ mediaType: "application/vnd.oci.image.layer.v1.tar", ...layer }],
      }),
    );
    const reference = `localhost/${name}:1`;
    const annotations = { "io.containerd.image.name": reference, "org.opencontainers.image.ref.name": "1" };
    const mediaType = "application/vnd.oci.image.manifest.v1+json";
    await writeFile(
      join(layout, "index.json"),
      json({ schemaVersion: 2, manifests: [{ mediaType, ...manifest, annotations }] }),
    );
    await writeFile(join(layout, "oci-layout"), json({ imageLayoutVersion: "1.0.0" }));
    await command("tar", [...reproducible, "-cf", `${target}.half`, "-C", layout, "."]);
    await rename(`${target}.half`, target);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
