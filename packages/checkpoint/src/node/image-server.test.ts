import { mkdtemp, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createHash } from "node:crypto";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { silentLogger } from "@fleetwright/kube";
import { enginesOf } from "../core/image/annotations.ts";
import { startImageServer } from "./image-server.ts";
import type { ImageServer } from "./image-server.ts";
import { smallArchive } from "./testdata/small-archive.ts";
import { imageOf, openStore } from "./store.ts";
import type { CheckpointStore } from "./store.ts";

const host = { architecture: "amd64", kernel: "6.12.0" };
const archive = (container: string): Buffer => smallArchive({ container, pod: "web" });

const sha256 = (bytes: Uint8Array): string => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

let folder = "";
let store: CheckpointStore;
let server: ImageServer;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "fleetwright-store-"));
  store = await openStore(folder, { host: () => host });
  server = await startImageServer({ store, port: 0, logger: silentLogger });
});
afterEach(async () => {
  await server.close();
  await rm(folder, { recursive: true, force: true });
});

const fetched = (path: string, init: RequestInit = {}): Promise<Response> =>
  fetch(`http://127.0.0.1:${server.port}/v2/${path}`, init);

describe("a node's store", () => {
  it("describes archives once, and anew when they change", async () => {
    await writeFile(join(folder, "a.tar"), archive("app"));
    const [first] = (await store.list()).checkpoints;
    expect(first).toMatchObject({ file: "a.tar", metadata: { container: "app", pod: "web" }, host });
    expect((await (await openStore(folder, { host: () => ({ architecture: "arm64" }) })).list()).checkpoints).toEqual([
      first,
    ]);
    await writeFile(join(folder, "a.tar"), archive("other"));
    await utimes(join(folder, "a.tar"), 1, 1);
    expect((await store.list()).checkpoints).toMatchObject([{ metadata: { container: "other" } }]);
  });

  it("records each with what the host is when it comes", async () => {
    let kernel = "6.12.0";
    const upgraded = await openStore(folder, { host: () => ({ ...host, kernel }) });
    await writeFile(join(folder, "a.tar"), archive("app"));
    await upgraded.list();
    kernel = "6.13.0";
    await writeFile(join(folder, "b.tar"), archive("other"));
    const { checkpoints } = await upgraded.list();
    expect(Object.fromEntries(checkpoints.map((each) => [each.file, each.host.kernel]))).toEqual({
      "a.tar": "6.12.0",
      "b.tar": "6.13.0",
    });
  });

  it("forgets archives that are gone, and names files that are none, or not whole yet", async () => {
    await writeFile(join(folder, "a.tar"), archive("app"));
    await store.list();
    await rm(join(folder, "a.tar"));
    await writeFile(join(folder, "half.tar"), archive("app").subarray(0, 1500));
    const { checkpoints, unreadable } = await store.list();
    expect(checkpoints).toEqual([]);
    expect(unreadable).toEqual([{ file: "half.tar", problem: expect.stringContaining("truncated") as string }]);
    await writeFile(join(folder, "half.tar"), archive("app"));
    expect((await store.list()).checkpoints.length).toBe(1);
  });

  it("makes a record anew that was not written whole", async () => {
    await writeFile(join(folder, "a.tar"), archive("app"));
    const before = (await store.list()).checkpoints;
    await writeFile(join(folder, ".fleetwright", "a.tar.json"), '{"file":');
    expect((await store.list()).checkpoints).toEqual(before);
  });

  it("finds bytes that changed behind its back", async () => {
    const path = join(folder, "a.tar");
    await writeFile(path, archive("app"));
    const digest = (await store.list()).checkpoints[0]?.layer.digest ?? "";
    await store.verify("a.tar", digest);
    const bytes = await readFile(path);
    bytes[700] = (bytes[700] ?? 0) ^ 1;
    await writeFile(path, bytes);
    await expect(store.verify("a.tar", digest)).rejects.toThrow("its bytes have changed");
  });
});

describe("the node's own registry", () => {
  it("gives an engine the image of an archive, whole and by ranges, and each part has its digest", async () => {
    const bytes = archive("app");
    await writeFile(join(folder, "a.tar"), bytes);
    const [checkpoint] = (await store.list()).checkpoints;
    const digest = checkpoint ? imageOf(checkpoint).manifest.digest : "";
    expect(server.reference(digest)).toBe(`localhost:${server.port}/checkpoint@${digest}`);
    expect((await fetched("")).status).toBe(200);
    const manifest = await fetched(`checkpoint/manifests/${digest}`);
    expect(manifest.headers.get("content-type")).toBe("application/vnd.oci.image.manifest.v1+json");
    const text = Buffer.from(await manifest.arrayBuffer());
    expect(sha256(text)).toBe(digest);
    const { annotations, layers, config } = JSON.parse(text.toString()) as {
      readonly annotations: Readonly<Record<string, string>>;
      readonly layers: readonly { readonly digest: string; readonly size: number }[];
      readonly config: { readonly digest: string };
    };
    expect(enginesOf(annotations)).toEqual(["containerd", "cri-o", "podman"]);
    expect(annotations).toMatchObject({
      "org.criu.checkpoint.container.name": "app",
      "org.criu.checkpoint.host.kernel": "6.12.0",
      "io.kubernetes.cri-o.annotations.checkpoint.name": "app",
    });
    const layer = `checkpoint/blobs/${layers[0]?.digest}`;
    expect(Buffer.from(await (await fetched(layer)).arrayBuffer()).equals(bytes)).toBe(true);
    const head = await fetched(layer, { method: "HEAD" });
    expect([head.headers.get("content-length"), await head.text()]).toEqual([String(bytes.length), ""]);
    const rest = await fetched(layer, { headers: { range: "bytes=1000-" } });
    expect([rest.status, rest.headers.get("content-range")]).toEqual([
      206,
      `bytes 1000-${bytes.length - 1}/${bytes.length}`,
    ]);
    expect(Buffer.from(await rest.arrayBuffer()).equals(bytes.subarray(1000))).toBe(true);
    const document = await (await fetched(`checkpoint/blobs/${config.digest}`)).json();
    expect(document).toMatchObject({ architecture: "amd64", os: "linux", rootfs: { diff_ids: [sha256(bytes)] } });
  });

  it("gives nothing else, and takes nothing", async () => {
    await writeFile(join(folder, "a.tar"), archive("app"));
    const unknown = `sha256:${"0".repeat(64)}`;
    const statuses = await Promise.all(
      [
        fetched(`checkpoint/manifests/${unknown}`),
        fetched("checkpoint/manifests/latest"),
        fetched(`checkpoint/blobs/${unknown}`),
        fetched(`other/blobs/${unknown}`),
        fetched("checkpoint/blobs/../../a.tar"),
        fetched("checkpoint/blobs/uploads/", { method: "POST" }),
      ].map(async (answer) => (await answer).status),
    );
    expect(statuses).toEqual([404, 404, 404, 404, 404, 405]);
  });
});
