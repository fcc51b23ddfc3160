import { execFile } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  bytesSource,
  descriptorOf,
  digestOf,
  dockerCredentials,
  fileSource,
  jsonDocument,
  mediaTypes,
  openRegistry,
  parseReference,
  pullImage,
  pushImage,
  readPrivateKey,
  readPublicKey,
  referrersTag,
  signImage,
  verifyImage,
} from "@fleetwright/checkpoint";
import type { BlobSource, Descriptor, ImageDocument, ImageSource, RegistryClient } from "@fleetwright/checkpoint";
import { nodeDirectory, registryPath, registryRefreshToken, registryUser, startRegistry } from "@fleetwright/lab";
import type { RealRegistry } from "@fleetwright/lab";
import { seededRandom } from "@fleetwright/kube";

/** What is skipped says why. */
const why = existsSync(registryPath()) ? "" : ` (no registry in ${nodeDirectory()}: run "make node")`;
const cosign = join(nodeDirectory(), "cosign");
const whyNoCosign = existsSync(cosign) ? "" : `no cosign in ${nodeDirectory()}: run "npm run node -- cosign"`;
const retries = { baseDelayMs: 1 };
const MiB = 1024 * 1024;

/** Bytes that do not repeat, always the same ones for a seed. */
function randomBytes(size: number, seed: number): Buffer {
  const random = seededRandom(seed);
  const words = Uint32Array.from({ length: Math.ceil(size / 4) }, () => random.next() * 2 ** 32);
  return Buffer.from(words.buffer, 0, size);
}

function image(
  layer: Uint8Array,
  more: Readonly<Record<string, unknown>> = {},
): ImageSource & { readonly layer: BlobSource } {
  const config = jsonDocument(mediaTypes.config, { architecture: "amd64", os: "linux" });
  const source = bytesSource(digestOf(layer), layer);
  const manifest = jsonDocument(mediaTypes.manifest, {
    schemaVersion: 2,
    mediaType: mediaTypes.manifest,
    config: descriptorOf(config),
    layers: [{ mediaType: mediaTypes.layer.none, digest: source.digest, size: source.size }],
    ...more,
  });
  return { manifest, layer: source, blobs: [bytesSource(config.digest, config.bytes), source] };
}

/** What a sink got, by digest. */
async function pulled(client: RegistryClient, reference: string): Promise<ReadonlyMap<string, Buffer>> {
  const blobs = new Map<string, Buffer>();
  await pullImage(client, parseReference(reference), {
    async write({ digest }, bytes) {
      const chunks: Uint8Array[] = [];
      for await (const chunk of bytes) chunks.push(chunk);
      blobs.set(digest, Buffer.concat(chunks));
    },
  });
  return blobs;
}

async function all<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const list: Item[] = [];
  for await (const item of items) list.push(item);
  return list;
}

/** Carries connections to a port, and resets those that carry more than what they are given, one gift after the other. */
async function cuttingProxy(
  target: number,
  gifts: number[],
): Promise<{ readonly address: string; readonly rangesAskedFor: readonly number[]; close(): void }> {
  const sockets = new Set<Socket>();
  const rangesAskedFor: number[] = [];
  const server = createServer((outside) => {
    const inside = connect(target, "127.0.0.1");
    let left = gifts[0] ?? Infinity;
    const count = (chunk: Buffer): void => {
      left -= chunk.length;
      if (left > 0) return;
      left = Infinity;
      gifts.shift();
      outside.resetAndDestroy();
      inside.resetAndDestroy();
    };
    for (const socket of [outside, inside]) {
      sockets.add(socket);
      socket.on("error", () => undefined);
      socket.on("data", count);
    }
    outside.on("data", (chunk: Buffer) => {
      const range = /^range: bytes=(\d+)-/im.exec(chunk.toString("latin1"))?.[1];
      if (range !== undefined) rangesAskedFor.push(Number(range));
    });
    outside.pipe(inside).pipe(outside);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    rangesAskedFor,
    close() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

describe.skipIf(why)(`an open registry${why}`, () => {
  let registry: RealRegistry;
  let client: RegistryClient;
  beforeAll(async () => {
    registry = await startRegistry();
    client = openRegistry({ registry: registry.address, retries });
  });
  afterAll(async () => {
    await client?.close();
    await registry?.stop();
  });

  it("takes an image in parts, once, and gives the same bytes back", async () => {
    const source = image(randomBytes(10 * MiB + 1, 1));
    const reference = parseReference(`${registry.address}/team/web:1`);
    const first = await pushImage(client, source, reference, { chunkBytes: 3 * MiB });
    const configBytes = source.blobs[0]?.size ?? 0;
    expect(first).toEqual({
      reference: { ...reference, digest: source.manifest.digest },
      sentBytes: source.layer.size + configBytes,
      keptBytes: 0,
    });
    expect(await pushImage(client, source, reference)).toMatchObject({ sentBytes: 0, keptBytes: first.sentBytes });
    const blobs = await pulled(client, `${registry.address}/team/web:1`);
    expect([...blobs.keys()]).toEqual(source.blobs.map(({ digest }) => digest));
    for (const [digest, bytes] of blobs) expect(digestOf(bytes)).toBe(digest);
    expect(await all(client.listTags("team/web"))).toEqual(["1"]);
    expect(await client.findManifest("team/web", "1")).toBe(source.manifest.digest);
    expect(await client.findManifest("team/web", "2")).toBeUndefined();
  });

  it("takes a blob from a file", async () => {
    const bytes = randomBytes(3 * MiB, 4);
    const folder = await mkdtemp(join(tmpdir(), "fleetwright-blob-"));
    try {
      const path = join(folder, "archive.tar");
      await writeFile(path, bytes);
      const source = fileSource(path, { digest: digestOf(bytes), size: bytes.length });
      expect(await client.putBlob("file", source, { chunkBytes: MiB })).toBe("sent");
      expect(Buffer.concat(await all(client.getBlob("file", source))).equals(bytes)).toBe(true);
      const gone = fileSource(join(folder, "gone.tar"), { digest: digestOf(Buffer.from("x")), size: 1 });
      await expect(client.putBlob("file", gone)).rejects.toMatchObject({ code: "ENOENT" });
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  it("mounts what another repository has", async () => {
    const source = image(randomBytes(MiB, 2));
    await pushImage(client, source, parseReference(`${registry.address}/mount/from:1`));
    const outcomes: string[] = [];
    const onBlob = (_: BlobSource, outcome: string): void => void outcomes.push(outcome);
    await pushImage(client, source, parseReference(`${registry.address}/mount/to:1`), {
      mountFrom: "mount/from",
      onBlob,
    });
    expect(outcomes).toEqual(["mounted", "mounted"]);
    const other = image(randomBytes(MiB, 3));
    await pushImage(client, other, parseReference(`${registry.address}/mount/to:2`), {
      mountFrom: "mount/from",
      onBlob,
    });
    expect(outcomes.slice(2).toSorted()).toEqual(["sent", "there"]);
  });

  it.each([
    ["in one piece", 8 * MiB, 64 * MiB],
    ["in parts", 8 * MiB, 3 * MiB],
  ])("goes on with an upload %s where a cut connection left it", async (name, size, chunkBytes) => {
    const bytes = randomBytes(size, chunkBytes);
    const opened: number[] = [];
    const source: BlobSource = {
      digest: digestOf(bytes),
      size,
      async *open(offset) {
        opened.push(offset);
        for (let at = offset; at < size; at += 65_536) yield bytes.subarray(at, Math.min(size, at + 65_536));
      },
    };
    const repository = `cut/${name.replaceAll(" ", "-")}`;
    const proxy = await cuttingProxy(registry.port, [2 * MiB, 5 * MiB]);
    const through = openRegistry({ registry: proxy.address, retries });
    try {
      expect(await through.putBlob(repository, source, { chunkBytes })).toBe("sent");
    } finally {
      await through.close();
      proxy.close();
    }
    expect(opened[0]).toBe(0);
    expect(opened.length).toBeGreaterThan(1);
    expect(opened.slice(1).every((offset) => offset > 0)).toBe(true);
    const chunks = await all(client.getBlob(repository, source));
    expect(Buffer.concat(chunks).equals(bytes)).toBe(true);
  });

  it("goes on with a download where a cut connection left it", async () => {
    const bytes = randomBytes(8 * MiB, 5);
    const blob = bytesSource(digestOf(bytes), bytes);
    await client.putBlob("cut/download", blob);
    const proxy = await cuttingProxy(registry.port, [2 * MiB, 3 * MiB]);
    const through = openRegistry({ registry: proxy.address, retries });
    try {
      expect(Buffer.concat(await all(through.getBlob("cut/download", blob))).equals(bytes)).toBe(true);
    } finally {
      await through.close();
      proxy.close();
    }
    // The rest of it, not all of it again.
    const [first = 0, second = 0, ...more] = proxy.rangesAskedFor;
    expect([first > 0, second > first, more]).toEqual([true, true, []]);
  });

  it("refuses bytes that are not what they were described as, and keeps nothing of them", async () => {
    const bytes = randomBytes(MiB, 6);
    const described = bytesSource(digestOf(bytes), bytes);
    const changed = Buffer.from(bytes).fill(0, 0, 1);
    for (const [open, problem] of [
      [bytesSource("", changed).open, "other bytes"],
      [bytesSource("", bytes.subarray(1000)).open, "can be read"],
    ] as const)
      await expect(client.putBlob("changed", { ...described, open })).rejects.toMatchObject({
        code: "FW_CHECKPOINT_DIGEST",
        message: expect.stringContaining(problem) as string,
      });
    expect(await client.hasBlob("changed", described.digest)).toBe(false);
  });

  it("keeps what refers to an image, also without an API for it", async () => {
    const source = image(randomBytes(1000, 7));
    await pushImage(client, source, parseReference(`${registry.address}/referred:1`));
    const subject: Descriptor = descriptorOf(source.manifest);
    const artifact = async (artifactType: string): Promise<ImageDocument> => {
      const referrer = image(Buffer.from(artifactType), { artifactType, subject, annotations: { about: "a test" } });
      const digest = referrer.manifest.digest;
      await pushImage(client, referrer, { registry: registry.address, repository: "referred", digest });
      await pushImage(client, referrer, { registry: registry.address, repository: "referred", digest });
      return referrer.manifest;
    };
    const [analysis, stored] = [await artifact("test/analysis"), await artifact("test/stored")];
    const digests = async (artifactType?: string): Promise<readonly string[]> =>
      (await all(client.listReferrers("referred", subject.digest, artifactType ? { artifactType } : {}))).map(
        ({ digest }) => digest,
      );
    expect(await digests()).toEqual([analysis.digest, stored.digest]);
    expect(await digests("test/stored")).toEqual([stored.digest]);
    expect(await all(client.listReferrers("referred", digestOf(Buffer.from("nobody"))))).toEqual([]);
    await client.deleteManifest("referred", analysis.digest);
    expect(await digests()).toEqual([stored.digest]);
    // This registry has none: the list is an index that others find, too.
    expect(await client.findManifest("referred", referrersTag(subject.digest))).toBeDefined();
  });

  it("deletes tags and manifests, and says when something is not there", async () => {
    const source = image(randomBytes(1000, 8));
    const reference = parseReference(`${registry.address}/deleted:1`);
    await pushImage(client, source, reference);
    await client.deleteManifest("deleted", source.manifest.digest);
    const absent = { code: "FW_CHECKPOINT_REGISTRY_NOT_FOUND", status: 404 };
    await expect(client.getManifest("deleted", "1")).rejects.toMatchObject(absent);
    await expect(client.deleteManifest("deleted", source.manifest.digest)).rejects.toMatchObject(absent);
    await expect(all(client.listTags("nowhere"))).rejects.toMatchObject(absent);
    await client.deleteBlob("deleted", source.layer.digest);
    await expect(all(client.getBlob("deleted", source.layer))).rejects.toMatchObject(absent);
  });

  describe("signatures", () => {
    const keys = (): { readonly privatePem: string; readonly publicPem: string } => {
      const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
      return {
        privatePem: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
        publicPem: publicKey.export({ type: "spki", format: "pem" }).toString(),
      };
    };

    it("hold by their key, for their image, beside those of others", async () => {
      const [signed, unsigned] = [image(randomBytes(100, 9)), image(randomBytes(100, 10))];
      const name = parseReference(`${registry.address}/signed:1`);
      const { reference } = await pushImage(client, signed, name);
      const { reference: another } = await pushImage(client, unsigned, name);
      const [ours, other] = [keys(), keys()];
      const [our, their] = [readPublicKey(ours.publicPem), readPublicKey(other.publicPem)];
      await signImage(client, reference, await readPrivateKey(ours.privatePem));
      expect(await verifyImage(client, reference, our)).toEqual([
        { signedName: `${registry.address}/signed`, optional: {} },
      ]);
      const invalid = (problem: string): object => ({
        code: "FW_CHECKPOINT_SIGNATURE",
        message: expect.stringContaining(problem) as string,
      });
      await expect(verifyImage(client, reference, their)).rejects.toMatchObject(invalid("1 is by another key"));
      await signImage(client, reference, await readPrivateKey(other.privatePem));
      expect(await verifyImage(client, reference, our)).toHaveLength(1);
      expect(await verifyImage(client, reference, their)).toHaveLength(1);
      await expect(verifyImage(client, another, our)).rejects.toMatchObject(invalid("is not signed"));
      // Somebody who may push puts a signature that holds at another image.
      const signatures = await client.getManifest("signed", `${reference.digest.replace(":", "-")}.sig`);
      await client.putManifest("signed", `${another.digest.replace(":", "-")}.sig`, signatures);
      await expect(verifyImage(client, another, our)).rejects.toMatchObject(
        invalid(`1 is for ${JSON.stringify(reference.digest)}, 1 is by another key`),
      );
    });

    it("are cosign's: it accepts ours, and we accept its own", async (context) => {
      if (whyNoCosign !== "") return context.skip(whyNoCosign);
      const folder = await mkdtemp(join(tmpdir(), "fleetwright-cosign-"));
      const run = (...args: readonly string[]): Promise<{ readonly stdout: string; readonly stderr: string }> =>
        promisify(execFile)(cosign, args, {
          cwd: folder,
          env: { ...process.env, COSIGN_PASSWORD: "a password", HOME: folder },
        });
      try {
        await run("generate-key-pair");
        const [privateText, publicText] = await Promise.all(
          ["cosign.key", "cosign.pub"].map((file) => readFile(join(folder, file), "utf8")),
        );
        const privateKey = await readPrivateKey(privateText ?? "", { password: "a password" });
        const publicKey = readPublicKey(publicText ?? "");
        const push = async (seed: number) =>
          (await pushImage(client, image(randomBytes(100, seed)), parseReference(`${registry.address}/cosigned:1`)))
            .reference;
        const nameOf = ({ digest }: { readonly digest: string }): string => `${registry.address}/cosigned@${digest}`;
        const verify = (name: string) =>
          run("verify", "--key", "cosign.pub", "--insecure-ignore-tlog", "--allow-http-registry", name);

        const byUs = await push(11);
        await expect(verify(nameOf(byUs))).rejects.toThrow("no signatures found");
        await signImage(client, byUs, privateKey);
        const [claim] = JSON.parse((await verify(nameOf(byUs))).stdout) as readonly unknown[];
        expect(claim).toMatchObject({ critical: { image: { "docker-manifest-digest": byUs.digest } } });

        const byCosign = await push(12);
        const options = [
          "--tlog-upload=false",
          "--use-signing-config=false",
          "--new-bundle-format=false",
          "--allow-http-registry",
          "--yes",
        ];
        await run("sign", "--key", "cosign.key", ...options, "-a", "reason=test", nameOf(byCosign));
        expect(await verifyImage(client, byCosign, publicKey)).toMatchObject([{ optional: { reason: "test" } }]);
        // Ours joins it, and cosign still finds its own.
        await signImage(client, byCosign, privateKey);
        expect(JSON.parse((await verify(nameOf(byCosign))).stdout)).toHaveLength(2);
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    });
  });
});

describe.skipIf(why)(`a registry that asks who comes${why}`, () => {
  const push = (client: RegistryClient, name: string) =>
    pushImage(client, image(randomBytes(MiB, 20)), parseReference(`${client.registry}/${name}`));
  const refused = { code: "FW_CHECKPOINT_REGISTRY_REFUSED" };

  it("by password: as docker keeps it", async () => {
    await using registry = await startRegistry({ auth: "basic" });
    const folder = await mkdtemp(join(tmpdir(), "fleetwright-docker-"));
    const path = join(folder, "config.json");
    const client = openRegistry({ registry: registry.address, retries, credentials: dockerCredentials({ path }) });
    try {
      const login = async (password: string): Promise<void> => {
        const auth = Buffer.from(`${registryUser.username}:${password}`).toString("base64");
        await writeFile(path, JSON.stringify({ auths: { [`https://${registry.address}/v2/`]: { auth } } }));
      };
      await writeFile(path, "{}");
      await expect(push(client, "team/web:1")).rejects.toMatchObject({ ...refused, status: 401 });
      await login("wrong");
      await expect(push(client, "team/web:1")).rejects.toMatchObject({ ...refused, status: 401 });
      await login(registryUser.password);
      await push(client, "team/web:1");
      expect((await pulled(client, `${registry.address}/team/web:1`)).size).toBe(2);
    } finally {
      await client.close();
      await rm(folder, { recursive: true, force: true });
    }
  });

  it("by token: for a password, for an identity token, and for nobody to pull alone", async () => {
    await using registry = await startRegistry({ auth: "token" });
    const opened: RegistryClient[] = [];
    const as = (credential?: Awaited<ReturnType<ReturnType<typeof dockerCredentials>>>): RegistryClient => {
      const client = openRegistry({
        registry: registry.address,
        retries,
        credentials: () => Promise.resolve(credential),
      });
      opened.push(client);
      return client;
    };
    try {
      const user = as({ kind: "password", ...registryUser });
      await push(user, "team/web:1");
      // One token for all blobs and the manifest.
      expect(registry.tokenRequests).toEqual(["GET repository:team/web:pull,push"]);
      await push(as({ kind: "identity-token", token: registryRefreshToken }), "team/other:1");
      expect(registry.tokenRequests.slice(1)).toEqual(["POST repository:team/other:pull,push"]);
      await user.deleteManifest("team/web", await push(user, "team/web:2").then(({ reference }) => reference.digest));
      expect(registry.tokenRequests.slice(2)).toEqual([
        "GET repository:team/web:pull",
        "GET repository:team/web:delete,pull,push",
      ]);

      await expect(
        push(as({ kind: "password", ...registryUser, password: "wrong" }), "team/x:1"),
      ).rejects.toMatchObject(refused);
      await expect(push(as({ kind: "identity-token", token: "wrong" }), "team/x:1")).rejects.toMatchObject(refused);
      expect((await pulled(as(), `${registry.address}/team/other:1`)).size).toBe(2);
      await expect(push(as(), "team/x:1")).rejects.toMatchObject(refused);
    } finally {
      for (const client of opened) await client.close();
    }
  });
});

it.skipIf(why)(`speaks TLS with a registry whose authority is given, and says so when it is not${why}`, async () => {
  await using registry = await startRegistry({ tls: true });
  const trusting = openRegistry({ registry: registry.address, retries, ca: registry.caCertificate });
  const careful = openRegistry({ registry: registry.address, retries, plainHttp: false });
  expect(await trusting.findManifest("team/web", "1")).toBeUndefined();
  await expect(careful.findManifest("team/web", "1")).rejects.toThrow("signed by an unknown authority");
  await Promise.all([trusting.close(), careful.close()]);
});
