import { createHash } from "node:crypto";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, afterEach, describe, expect, it } from "vitest";
import { createCertificateAuthority, silentLogger, systemClock } from "@fleetwright/kube";
import type { CertificateAuthority, KeyPair } from "@fleetwright/kube";
import { createAgentClient } from "../cluster/agent-client.ts";
import type { AgentClient } from "../cluster/agent-client.ts";
import { smallArchive } from "./testdata/small-archive.ts";
import { agentGroups, startAgentService } from "./agent-service.ts";
import type { AgentService, AuditEntry } from "./agent-service.ts";
import { openStore } from "./store.ts";
import type { CheckpointStore } from "./store.ts";

const host = { architecture: "amd64", kernel: "6.12.0" };
const sha256 = (bytes: Uint8Array): string => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

let authority: CertificateAuthority;
let serving: KeyPair;
let stranger: CertificateAuthority;
beforeAll(async () => {
  authority = await createCertificateAuthority({ clock: systemClock, commonName: "agents" });
  stranger = await createCertificateAuthority({ clock: systemClock, commonName: "somebody else" });
  serving = await authority.issue({ usage: "server", commonName: "node-1", hosts: ["node-1", "node-2"] });
});

interface Place {
  readonly folder: string;
  readonly store: CheckpointStore;
  readonly service: AgentService;
  readonly audit: AuditEntry[];
}
const open: Place[] = [];
async function start(): Promise<Place> {
  const folder = await mkdtemp(join(tmpdir(), "fleetwright-agent-"));
  const store = await openStore(folder, { host: () => host });
  const audit: AuditEntry[] = [];
  const service = await startAgentService(
    {
      store,
      node: async () => ({ ...host, ...(await store.disk()), imagePort: 5780 }),
      clock: systemClock,
      logger: silentLogger,
      audit: (entry) => audit.push(entry),
      host: "127.0.0.1",
      port: 0,
    },
    serving,
    authority.certificate,
  );
  const place = { folder, store, service, audit };
  open.push(place);
  return place;
}
let first: Place;
beforeEach(async () => {
  first = await start();
});
afterEach(async () => {
  for (const { folder, service } of open.splice(0)) {
    await service.close();
    await rm(folder, { recursive: true, force: true });
  }
});
const pairs = new Map<string, KeyPair>();
async function client(
  place: Place,
  organizations: readonly string[] = Object.values(agentGroups),
  nodeName = "node-1",
  issuer = authority,
): Promise<AgentClient> {
  const key = [issuer === authority, ...organizations].join();
  const pair = pairs.get(key) ?? (await issuer.issue({ usage: "client", commonName: "manager", organizations }));
  pairs.set(key, pair);
  const address = { host: "127.0.0.1", port: place.service.port, nodeName };
  return createAgentClient(address, () => ({ pair, authority: authority.certificate }));
}
const bytes = smallArchive({ container: "app", pod: "web" });
const digest = sha256(bytes);
afterAll(() => pairs.clear());

describe("the agent's service", () => {
  it("tells what is in its store, and deletes it, leaving a tombstone with the reason", async () => {
    await writeFile(join(first.folder, "a.tar"), bytes);
    const agent = await client(first);
    expect((await agent.list()).checkpoints).toMatchObject([{ layer: { digest }, metadata: { container: "app" } }]);
    expect(await agent.get(digest)).toMatchObject({ image: expect.stringMatching(/^sha256:/) as string });
    await agent.verify(digest);
    expect(await agent.remove(digest, "over count")).toBe(true);
    expect(await agent.remove(digest, "again")).toBe(false);
    expect(await agent.list()).toMatchObject({
      checkpoints: [],
      tombstones: [{ digest, reason: "manager: over count" }],
    });
    expect(await agent.get(digest)).toBeUndefined();
    expect((await readdir(first.folder)).filter((name) => name.endsWith(".tar"))).toEqual([]);
  });

  it("hands an archive over to another agent, for whom the same image has the same digest", async () => {
    await writeFile(join(first.folder, "a.tar"), bytes);
    const second = await start();
    const [from, to] = [await client(first), await client(second, undefined, "node-2")];
    const copied = await from.copyTo(digest, to);
    expect(copied).toMatchObject({ layer: { digest }, host, image: (await from.get(digest))?.image });
    expect(first.audit.find(({ path }) => path.endsWith("/archive"))).toMatchObject({
      user: "manager",
      status: 200,
      contentBytes: bytes.length,
    });
  });

  it("keeps nothing of an archive that is another than announced", async () => {
    await writeFile(join(first.folder, "a.tar"), bytes);
    const second = await start();
    const to = await client(second, undefined, "node-2");
    const wrong = `sha256:${"0".repeat(64)}`;
    const source = await client(first);
    const lying: AgentClient = { ...to, put: (_, ...rest) => to.put(wrong, ...rest) };
    await expect(source.copyTo(digest, lying)).rejects.toMatchObject({
      reason: "FW_CHECKPOINT_DIGEST",
      message: expect.stringContaining(`what came is ${digest}`) as string,
    });
    expect((await readdir(join(second.folder, ".fleetwright"))).concat(await readdir(second.folder))).toEqual([
      ".fleetwright",
    ]);
  });

  it("gives contents only to who has that right, and tells the audit log of refusals", async () => {
    await writeFile(join(first.folder, "a.tar"), bytes);
    const second = await start();
    const manager = await client(first, [agentGroups.manage]);
    const to = await client(second, undefined, "node-2");
    await expect(manager.copyTo(digest, to)).rejects.toMatchObject({ status: 403, reason: "Forbidden" });
    const nobody = await client(first, ["somebody"]);
    await expect(nobody.list()).rejects.toMatchObject({ status: 403 });
    expect(first.audit.map(({ status }) => status)).toEqual([403, 403]);
  });

  it("does not speak with certificates of another authority, nor take another node for its own", async () => {
    await expect((await client(first, undefined, "node-1", stranger)).list()).rejects.toThrow("agent of node");
    await expect((await client(first, undefined, "node-9")).list()).rejects.toThrow(/node-9/);
    expect(first.audit).toEqual([]);
  });

  it("finishes a deletion that a crash cut short", async () => {
    await writeFile(join(first.folder, "a.tar"), bytes);
    const [checkpoint] = (await first.store.list()).checkpoints;
    const tombstone = {
      file: "a.tar",
      digest,
      modifiedMs: checkpoint?.modifiedMs,
      deletedMs: systemClock.now(),
      reason: "x",
    };
    await writeFile(join(first.folder, ".fleetwright", "a.tar.deleted"), JSON.stringify(tombstone));
    expect((await (await client(first)).list()).checkpoints).toEqual([]);
    // A later archive of the same name is another one.
    await writeFile(join(first.folder, "a.tar"), smallArchive({ container: "later", pod: "web" }));
    expect((await first.store.list()).checkpoints).toMatchObject([{ metadata: { container: "later" } }]);
  });

  it("says what runs of a container, and nothing of one that does not run", async () => {
    const agent = await client(first);
    expect(await agent.container("f".repeat(64))).toMatchObject({
      processes: [],
      residentBytes: 0,
      checkpointing: false,
      tcp: [],
    });
  });
});

it("is as full as its limit says, however large the disk", async () => {
  const folder = await mkdtemp(join(tmpdir(), "fleetwright-limit-"));
  try {
    const bytes = smallArchive({ container: "app", pod: "a" });
    await writeFile(join(folder, "a.tar"), bytes);
    const limitBytes = bytes.length * 2;
    const store = await openStore(folder, { host: () => host, limitBytes });
    expect(await store.disk()).toEqual({ freeBytes: bytes.length, totalBytes: limitBytes });
    const next = smallArchive({ container: "app", pod: "b" });
    const arrival = { digest: sha256(next), size: next.length, host };
    // A twentieth stays free.
    await expect(
      store.receive(
        arrival,
        (async function* () {
          yield next;
        })(),
      ),
    ).rejects.toMatchObject({ code: "FW_CHECKPOINT_DISK" });
    expect((await store.list()).checkpoints.length).toBe(1);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
