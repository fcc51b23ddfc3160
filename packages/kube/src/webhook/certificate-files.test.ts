import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { createCertificateAuthority, type KeyPair } from "../core/certificate-authority.ts";
import { systemClock } from "../core/clock.ts";
import { silentLogger } from "../core/logger.ts";
import { createCertificateFiles } from "./certificate-files.ts";

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "fleetwright-certificates-"));
});
afterEach(async () => {
  await rm(directory, { recursive: true });
});

const signal = new AbortController().signal;

async function issue(): Promise<KeyPair & { ca: string }> {
  const authority = await createCertificateAuthority({ clock: systemClock, commonName: "ca" });
  return { ...(await authority.issue({ usage: "server", commonName: "w", hosts: ["w"] })), ca: authority.certificate };
}
async function place(pair: KeyPair & { ca: string }): Promise<void> {
  await writeFile(join(directory, "tls.crt"), pair.certificate);
  await writeFile(join(directory, "tls.key"), pair.key);
  await writeFile(join(directory, "ca.crt"), pair.ca);
}

it("hands on a certificate once, and again when the files change", async () => {
  const pairs: KeyPair[] = [];
  const bundles: string[] = [];
  let now = Date.UTC(2030, 0, 1);
  const files = createCertificateFiles({
    directory,
    clock: { now: () => now, setTimer: systemClock.setTimer },
    logger: silentLogger,
    onCertificate: (pair) => {
      pairs.push(pair);
    },
    onBundle: async (bundle) => {
      bundles.push(bundle);
    },
  });
  await expect(files.sync(signal)).rejects.toThrow(`${join(directory, "tls.crt")}: cannot be read`);
  const first = await issue();
  await place(first);
  await files.sync(signal);
  await files.sync(signal);
  expect(pairs.map(({ certificate }) => certificate)).toEqual([first.certificate]);
  const second = await issue();
  await place(second);
  await files.sync(signal);
  expect(pairs.map(({ certificate }) => certificate)).toEqual([first.certificate, second.certificate]);
  // Both are trusted when the certificate changes; later the new one alone, which is given again and again.
  expect(bundles).toEqual([first.ca, first.ca + second.ca]);
  now += 300_000;
  await files.sync(signal);
  now += 300_000;
  await files.sync(signal);
  expect(bundles.slice(2)).toEqual([second.ca, second.ca]);
  await writeFile(join(directory, "tls.key"), first.key);
  await expect(files.sync(signal)).rejects.toThrow("no pair (the key is of another certificate)");
  await writeFile(join(directory, "tls.key"), "not a key");
  await expect(files.sync(signal)).rejects.toThrow("tls.crt and tls.key are no pair");
});
