import { createHash, generateKeyPairSync } from "node:crypto";
import { appendFile, mkdtemp, open, readFile, rename, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "@fleetwright/kube";
import { parseRecord } from "../core/evidence/evidence-chain.ts";
import { verifyEvidence } from "../core/evidence/verify-evidence.ts";
import { evidenceLines, openEvidence } from "./evidence-file.ts";
import type { EvidenceFile } from "./evidence-file.ts";
import { openStore } from "./store.ts";
import type { StoreWitness } from "./store.ts";
import { smallArchive } from "./testdata/small-archive.ts";

const { privateKey: key, publicKey } = generateKeyPairSync("ed25519");
let folder = "";
let chain = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "fleetwright-evidence-"));
  chain = join(folder, "evidence.jsonl");
});
afterEach(() => rm(folder, { recursive: true, force: true }));
const openChain = () => openEvidence(folder, { key, clock: systemClock });
const archives = () => join(folder, "store");
const openArchives = (witness?: StoreWitness) =>
  openStore(archives(), { host: () => ({ architecture: "amd64" }), witness });
const openBoth = async () => {
  const evidence = await openChain();
  return { evidence, store: await openArchives(evidence) };
};
/** The records, which must be whole. */
async function recordsOf(evidence: EvidenceFile) {
  const { records, head } = await evidence.read();
  const lines: string[] = [];
  for await (const line of evidenceLines(chain, records)) lines.push(line);
  expect(await verifyEvidence(lines, head, publicKey)).toEqual({ records: lines.length, problems: [] });
  expect(head.count).toBe(lines.length);
  return lines.map(parseRecord);
}
const [bytes, others] = ["app", "other"].map((container) => smallArchive({ container, pod: "web" }));
const digestOf = (of: Uint8Array = Buffer.alloc(0)) => `sha256:${createHash("sha256").update(of).digest("hex")}`;
const digest = digestOf(bytes);
const put = (name: string, of: Uint8Array | undefined = bytes) => writeFile(join(archives(), name), of ?? "");

describe("a node's evidence", () => {
  it("records what the store finds, once, and what it deletes, with the reason; again when it comes again", async () => {
    const { evidence: first, store: before } = await openBoth();
    expect(await recordsOf(first)).toEqual([]);
    await put("a.tar");
    await before.list();
    await before.list();
    const { evidence, store } = await openBoth();
    await store.list();
    await store.remove(digest, "over count");
    await put("b.tar");
    await store.list();
    const metadata = { file: "a.tar", pod: "web", container: "app" };
    expect(await recordsOf(evidence)).toMatchObject([
      { event: "described", archive: digest, metadata },
      { event: "deleted", archive: digest, metadata: { reason: "over count" } },
      { event: "described", archive: digest, metadata: { file: "b.tar" } },
    ]);
  });

  it("records archives that were there before it, and those that somebody else removed or wrote over", async () => {
    const unseen = await openArchives();
    await put("a.tar");
    await put("b.tar", others);
    await unseen.list();
    const { evidence, store } = await openBoth();
    await store.list();
    await rm(join(archives(), "b.tar"));
    await put("a.tar", smallArchive({ container: "third", pod: "web" }));
    await store.list();
    await store.list();
    expect((await recordsOf(evidence)).map((record) => `${record?.event} ${record?.metadata["file"]}`)).toEqual([
      "described a.tar",
      "described b.tar",
      "deleted a.tar",
      "described a.tar",
      "deleted b.tar",
    ]);
  });

  it("records a deletion that a crash interrupted", async () => {
    const { evidence, store } = await openBoth();
    await put("a.tar");
    await store.list();
    let isDown = true;
    const crashing: StoreWitness = {
      described: (checkpoint) => evidence.described(checkpoint),
      deleted: (tombstone) => (isDown ? Promise.reject(new Error("crash")) : evidence.deleted(tombstone)),
    };
    const next = await openArchives(crashing);
    await expect(next.remove(digest, "x")).rejects.toThrow("crash");
    // Nothing was recorded, so nothing is gone.
    expect(await next.list()).toMatchObject({ unreadable: [{ file: "a.tar", problem: "crash" }] });
    expect(await readFile(join(archives(), "a.tar"))).toEqual(bytes);
    isDown = false;
    expect((await next.list()).checkpoints).toEqual([]);
    expect((await recordsOf(evidence)).map((record) => record?.event)).toEqual(["described", "deleted"]);
  });

  it.each([
    ["in the middle of a line", () => appendFile(chain, '{"index":1,"ti')],
    ["before a line's end", async () => truncate(chain, (await readFile(chain)).length - 1)],
    ["between a record and its head", () => rename(join(folder, "head"), join(folder, "evidence-head.json"))],
  ])("goes on after a crash %s", async (_, crash) => {
    const { store } = await openBoth();
    await writeFile(join(folder, "head"), await readFile(join(folder, "evidence-head.json")));
    await put("a.tar");
    await store.list();
    await crash();
    const { evidence, store: next } = await openBoth();
    await next.remove(digest, "x");
    expect((await recordsOf(evidence)).map((record) => record?.event)).toEqual(["described", "deleted"]);
    await openChain();
  });

  it("writes over what a failed write left", async () => {
    const { evidence, store } = await openBoth();
    await put("a.tar");
    await store.list();
    await appendFile(chain, "half of a rec");
    await store.remove(digest, "x");
    expect((await recordsOf(evidence)).map((record) => record?.event)).toEqual(["described", "deleted"]);
  });

  it.each([
    ["a line that is no record", () => writeFile(chain, "not a record\n{}\n"), "line 1 is no record"],
    ["records that were cut off", () => truncate(chain, 0), "its head counts 2 records, 0 are here"],
    [
      "a line that was changed",
      async () => writeFile(chain, (await readFile(chain, "utf8")).replace("a.tar", "c.tar")),
      "line 1 does not follow the one before it",
    ],
    ["no head", () => rm(join(folder, "evidence-head.json")), "is missing"],
    ["a head that is none", () => writeFile(join(folder, "evidence-head.json"), "{}"), "is no head of a chain"],
    ["a line without end", () => writeFile(chain, Buffer.alloc(1_000_000, 97)), "a line has more than 65536 bytes"],
  ])("adds nothing to a chain with %s", async (_, change, message) => {
    const { store } = await openBoth();
    await put("a.tar");
    await put("b.tar", others);
    await store.list();
    await change();
    const before = await readFile(chain);
    await expect(openChain()).rejects.toThrow(message);
    expect(await readFile(chain)).toEqual(before);
  });

  it("adds nothing to a chain of another key", async () => {
    await openChain();
    const other = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
    await expect(openEvidence(folder, { key: other, clock: systemClock })).rejects.toThrow("signed by another key");
  });

  it("keeps its file for its owner alone", async () => {
    const { store } = await openBoth();
    await put("a.tar");
    await store.list();
    for (const path of [chain, join(folder, "evidence-head.json")]) {
      await using file = await open(path);
      expect((await file.stat()).mode & 0o777).toBe(0o600);
    }
  });
});
