import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { readTar } from "../archive/tar-reader.ts";
import { engineImage } from "./engine-image.ts";
import { imageLayout, layoutTar } from "./image-layout.ts";

const archive = Buffer.from("the archive's bytes");
const digest = `sha256:${createHash("sha256").update(archive).digest("hex")}`;
const image = engineImage({
  metadata: { engine: "containerd", container: "app", pod: "web", mounts: [] } as never,
  layer: { compression: "none", digest, diffId: digest, size: archive.length },
  host: { architecture: "amd64" },
});
const layout = () =>
  imageLayout(image, async function* () {
    yield archive;
  });

async function contents(): Promise<Map<string, Buffer | undefined>> {
  const found = new Map<string, Buffer | undefined>();
  for await (const { member, data } of readTar(layoutTar(layout()))) {
    const parts: Uint8Array[] = [];
    for await (const part of data) parts.push(part);
    found.set(member.name, member.kind === "directory" ? undefined : Buffer.concat(parts));
  }
  return found;
}

describe("an image layout", () => {
  it("leads from its index to every blob, each under its own digest", async () => {
    const files = await contents();
    expect([...files.keys()].slice(0, 4)).toEqual(["oci-layout", "index.json", "blobs/", "blobs/sha256/"]);
    const blobs = [...files].filter(([name]) => /^blobs\/sha256\/./.test(name));
    for (const [name, bytes] of blobs)
      expect(name).toBe(
        `blobs/sha256/${createHash("sha256")
          .update(bytes ?? "")
          .digest("hex")}`,
      );
    const named = (of: string) => files.get(`blobs/${of.replace(":", "/")}`)?.toString() ?? "";
    const index = JSON.parse(files.get("index.json")?.toString() ?? "") as {
      readonly manifests: readonly { readonly digest: string; readonly size: number }[];
      readonly annotations: Readonly<Record<string, string>>;
    };
    const [entry = { digest: "", size: 0 }] = index.manifests;
    const manifest = JSON.parse(named(entry.digest)) as typeof index & {
      readonly layers: readonly { readonly digest: string }[];
    };
    expect(named(entry.digest).length).toBe(entry.size);
    expect(named(manifest.layers[0]?.digest ?? "")).toBe(archive.toString());
    expect(index.annotations).toEqual(manifest.annotations);
    expect(index.annotations["org.criu.checkpoint.container.name"]).toBe("app");
  });

  it("is the same bytes every time", async () => {
    const bytes = async (): Promise<string> => {
      const hash = createHash("sha256");
      for await (const part of layoutTar(layout())) hash.update(part);
      return hash.digest("hex");
    };
    expect(await bytes()).toBe(await bytes());
  });
});
