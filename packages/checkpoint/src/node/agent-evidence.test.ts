import { generateKeyPairSync } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { systemClock } from "@fleetwright/kube";
import { parseHead } from "../core/evidence/evidence-chain.ts";
import { verifyEvidence } from "../core/evidence/verify-evidence.ts";
import { evidenceRoutes } from "./agent-evidence.ts";
import type { AgentCall } from "./agent-service.ts";
import { openEvidence } from "./evidence-file.ts";
import type { EvidenceFile } from "./evidence-file.ts";
import { openStore } from "./store.ts";
import { smallArchive } from "./testdata/small-archive.ts";

const { privateKey: key, publicKey } = generateKeyPairSync("ed25519");
let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "fleetwright-evidence-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** What the route answers over HTTP, or why it refuses. */
async function answerOf(evidence: EvidenceFile | undefined): Promise<string> {
  const [route] = evidenceRoutes(evidence);
  let refusal = "";
  const server = createServer((_, response) => {
    route?.handle({ response } as AgentCall).catch((error: Error) => {
      refusal = error.message;
      response.end();
    });
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  try {
    const answer = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/evidence`);
    return (await answer.text()) || refusal;
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
}

it("gives the chain with its head as the last line, to be checked elsewhere", async () => {
  const evidence = await openEvidence(folder, { key, clock: systemClock });
  const store = await openStore(join(folder, "store"), { host: () => ({ architecture: "amd64" }), witness: evidence });
  const check = async (count: number) => {
    const lines = (await answerOf(evidence)).split("\n");
    expect(lines.pop()).toBe("");
    const head = parseHead(lines.pop() ?? "", "the last line");
    expect(await verifyEvidence(lines, head, publicKey)).toEqual({ records: count, problems: [] });
  };
  await check(0);
  for (const pod of ["a", "b"])
    await writeFile(join(folder, "store", `${pod}.tar`), smallArchive({ container: "app", pod }));
  await store.list();
  await check(2);
});

it("says that there is none without a key", async () => {
  expect(await answerOf(undefined)).toContain("start its agent with --evidence-key");
});
