import { createHash, generateKeyPairSync } from "node:crypto";
import { appendFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "@fleetwright/kube";
import { verifyEvidence } from "../core/evidence/evidence-chain.ts";
import { openEvidence } from "./evidence-file.ts";
import { openStore } from "./store.ts";
import { smallArchive } from "./testdata/small-archive.ts";

const { privateKey: key, publicKey } = generateKeyPairSync("ed25519");
let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "fleetwright-evidence-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));
const openBoth = async () => {
  const evidence = await openEvidence(folder, { key, clock: systemClock });
  return {
    evidence,
    store: await openStore(join(folder, "store"), { host: { architecture: "amd64" }, witness: evidence }),
  };
};
const bytes = smallArchive({ container: "app", pod: "web" });
const digest = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

describe("a node's evidence", () => {
  it("records what the store finds, once, and what it deletes, with the reason", async () => {
    const { store } = await openBoth();
    await writeFile(join(folder, "store", "a.tar"), bytes);
    await store.list();
    await store.list();
    const again = await openBoth();
    await again.store.list();
    await again.store.remove(digest, "over count");
    const { records, head } = await again.evidence.read();
    expect(records).toMatchObject([
      { event: "described", archive: digest, metadata: { pod: "web", container: "app" } },
      { event: "deleted", archive: digest, metadata: { reason: "over count" } },
    ]);
    expect(verifyEvidence(records, head, publicKey)).toEqual([]);
  });

  it("goes on after a crash in the middle of a line", async () => {
    const { store } = await openBoth();
    await writeFile(join(folder, "store", "a.tar"), bytes);
    await store.list();
    await appendFile(join(folder, "evidence.jsonl"), '{"index":1,"ti');
    const { evidence, store: next } = await openBoth();
    await next.remove(digest, "x");
    const { records, head } = await evidence.read();
    expect(records.length).toBe(2);
    expect(verifyEvidence(records, head, publicKey)).toEqual([]);
  });

  it("adds nothing to a chain that was changed by hand", async () => {
    await writeFile(join(folder, "evidence.jsonl"), "not a record\n");
    await expect(openBoth()).rejects.toThrow("line 1 is no record");
    expect(await readFile(join(folder, "evidence.jsonl"), "utf8")).toBe("not a record\n");
  });
});
