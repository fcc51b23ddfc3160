import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, it } from "vitest";
import { decodeImage, encodeImage } from "@fleetwright/checkpoint";
import type { CriuImage } from "@fleetwright/checkpoint";

const archive = fileURLToPath(
  new URL("../../../shared/fixtures/checkpoint-archives/containerd-2.3.7-busybox-counter.tar.gz", import.meta.url),
);
const missing = "no fixtures beside the checkout";
const there = existsSync(archive);
const folder = there ? mkdtempSync(join(tmpdir(), "fleetwright-images-")) : "";
if (there) execFileSync("tar", ["-xzf", archive, "-C", folder]);
afterAll(() => {
  if (there) rmSync(folder, { recursive: true, force: true });
});

const images = (): readonly { readonly name: string; readonly bytes: Buffer }[] =>
  readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".img") || name.endsWith("stats-dump"))
    .map((name) => ({ name, bytes: readFileSync(join(folder, name)) }));

const image = (ending: string): { readonly name: string; readonly bytes: Buffer } => {
  const found = images().find(({ name }) => name.endsWith(ending));
  if (found === undefined) throw new Error(`no ${ending} in the archive`);
  return found;
};

it("gives every image of a real checkpoint back to the byte", (context) => {
  if (!there) return context.skip(missing);
  const all = images();
  expect(all.length).toBeGreaterThan(20);
  const changed = all.filter(({ name, bytes }) => {
    const json = JSON.stringify(decodeImage(bytes, { name }));
    return !Buffer.from(encodeImage(JSON.parse(json) as CriuImage, { name })).equals(bytes);
  });
  expect(changed.map(({ name }) => name)).toEqual([]);
});

it("needs no raw bytes to do so: CRIU writes as we do", (context) => {
  if (!there) return context.skip(missing);
  const raw = images().filter(({ name, bytes }) =>
    JSON.stringify(decodeImage(bytes, { name }).entries ?? []).includes('"$raw"'),
  );
  expect(raw.map(({ name }) => name)).toEqual([]);
});

it("finds the processes of the counter", (context) => {
  if (!there) return context.skip(missing);
  const { name, bytes } = image("pstree.img");
  expect(decodeImage(bytes, { name }).entries?.map(({ pid, ppid }) => [pid, ppid])).toEqual([
    [1, 0],
    [38, 1],
  ]);
});

it("changes one field and nothing else", (context) => {
  if (!there) return context.skip(missing);
  const { name, bytes } = image("pstree.img");
  const before = decodeImage(bytes, { name });
  const entries = (before.entries ?? []).map((entry, index) => (index === 1 ? { ...entry, sid: 99 } : entry));
  expect(decodeImage(encodeImage({ ...before, entries }), { name })).toEqual({ ...before, entries });
});
