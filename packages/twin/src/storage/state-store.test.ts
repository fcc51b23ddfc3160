import { spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { systemClock, VirtualClock } from "@fleetwright/kube";
import { afterAll, describe, expect, it } from "vitest";
import type { DraftValue } from "../machinery/draft.ts";
import { openStateStore, type StateStoreOptions } from "./state-store.ts";
import { Compacted, type Store } from "./store.ts";

const endlessWriter = fileURLToPath(new URL("./testdata/endless-writer.ts", import.meta.url));
const root = mkdtempSync(join(tmpdir(), "twin-state-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let directories = 0;
const newDirectory = () => join(root, String(directories++));

const open = (directory: string, options: Partial<StateStoreOptions> = {}) =>
  openStateStore({ directory, clock: new VirtualClock(), ...options });

function put(store: Store, key: string, value: DraftValue = "", index = ""): number {
  const expected = store.get("pods", key)?.revision ?? 0;
  const make = (revision: number) => ({ object: { revision, value }, index });
  return store.write({ collection: "pods", key, expected, make }).revision;
}

function remove(store: Store, key: string): number {
  const expected = store.get("pods", key)?.revision ?? 0;
  const make = () => ({ object: {} });
  return store.write({ collection: "pods", key, expected, delete: true, make }).revision;
}

const contents = (store: Store, collection = "pods") =>
  store
    .list(collection)
    .items.map(({ key, revision, index, bytes }) => `${key} ${revision} ${index} ${bytes.toString()}`);

const code = { code: "FW_TWIN_STATE" };

describe("the state directory", () => {
  it("brings back objects, revisions and history, so that watches go on", async () => {
    const directory = newDirectory();
    const first = await open(directory);
    put(first, "a/one", "old", "node-1");
    put(first, "a/two");
    put(first, "a/one", "new", "node-2");
    await first.durable(remove(first, "a/two"));
    const before = contents(first);
    await first.close();
    const second = await open(directory);
    expect(contents(second)).toEqual(before);
    expect([second.revision, second.revisionOf("pods"), second.oldestRevision]).toEqual([5, 5, 1]);
    expect(contents({ ...second, list: () => second.list("pods", { atRevision: 3 }) } as Store)).toHaveLength(2);
    const events = await second.watch("pods", 2, { index: "node-1" }).next();
    expect(events.map(({ type, revision }) => `${type} ${revision}`)).toEqual(["MODIFIED 4"]);
    expect(put(second, "a/three")).toBe(6);
    second.compact(5);
    await second.close();
    const third = await open(directory);
    expect([third.revision, third.oldestRevision]).toEqual([6, 5]);
    expect(() => third.watch("pods", 4)).toThrow(Compacted);
    expect(third.stats().historyBytes).toBe(0);
    await third.close();
  });

  it("does not reuse the revision of a deletion that was compacted", async () => {
    const directory = newDirectory();
    const first = await open(directory);
    put(first, "a/one");
    await first.durable(remove(first, "a/one"));
    first.compact(first.revision);
    await first.close();
    const second = await open(directory);
    expect(second.revision).toBe(3);
    await second.close();
  });

  it("lets objects expire that were written before", async () => {
    const directory = newDirectory();
    const clock = new VirtualClock();
    const first = await open(directory, { clock });
    const make = () => ({ object: { metadata: {} } });
    first.write({ collection: "events", key: "a/e", expected: 0, make, ttlSeconds: 60 });
    await first.durable(first.revision);
    await first.close();
    await clock.advance(30_000);
    const second = await open(directory, { clock });
    expect(second.stats().objects).toBe(1);
    await clock.advance(31_000);
    expect(second.stats().objects).toBe(0);
    await second.close();
  });

  it("tells nobody of a write before it is durable", async () => {
    const store = await open(newDirectory());
    const watch = store.watch("pods", 1);
    put(store, "a/one");
    put(store, "a/two");
    watch.wake();
    expect(await watch.next()).toEqual([]);
    expect(watch.position).toBe(1);
    const durable = store.durable(store.revision);
    expect(durable).toBeInstanceOf(Promise);
    await durable;
    expect(store.durable(store.revision)).toBeUndefined();
    expect((await watch.next()).map(({ revision }) => revision)).toEqual([2, 3]);
    await store.close();
  });

  it("takes 2,000 writes of a turn in one commit", async () => {
    const store = await open(newDirectory());
    const started = systemClock.now();
    for (let number = 0; number < 2000; number++) put(store, `a/${number}`);
    await store.durable(store.revision);
    // A commit for each would take a second on the fastest of disks.
    expect(systemClock.now() - started).toBeLessThan(900);
    await store.close();
  });
});

describe("a directory that can't be used", () => {
  it("is refused while another store has it, in this process or in another", async () => {
    const directory = newDirectory();
    const holder = spawn(process.execPath, [endlessWriter, directory], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    await once(holder.stdout, "data");
    await expect(open(directory)).rejects.toMatchObject({
      ...code,
      message: expect.stringContaining("in use") as string,
    });
    holder.kill("SIGKILL");
    await once(holder, "exit");
    const store = await open(directory);
    await expect(open(directory)).rejects.toMatchObject({
      ...code,
      message: expect.stringContaining("in use") as string,
    });
    await store.durable(put(store, "a/one"));
    await store.close();
  });

  it("is refused when it is not ours, newer, damaged or not writable, and left as it is", async () => {
    const foreign = newDirectory();
    mkdirSync(foreign);
    writeFileSync(
      join(foreign, "twin.db"),
      "a letter to a friend, long enough to be no database header at all".repeat(20),
    );
    const other = newDirectory();
    mkdirSync(other);
    const { DatabaseSync } = await import("node:sqlite");
    const database = new DatabaseSync(join(other, "twin.db"));
    database.exec("CREATE TABLE theirs (id INTEGER)");
    database.close();
    const newer = newDirectory();
    await (await open(newer)).close();
    const upgraded = new DatabaseSync(join(newer, "twin.db"));
    upgraded.exec("PRAGMA user_version = 99");
    upgraded.close();
    const damaged = newDirectory();
    const store = await open(damaged);
    put(store, "a/one", "find me");
    await store.durable(store.revision);
    await store.close();
    const bytes = readFileSync(join(damaged, "twin.db"));
    bytes.write("lost me", bytes.indexOf("find me"));
    writeFileSync(join(damaged, "twin.db"), bytes);
    const file = join(root, "file");
    writeFileSync(file, "");
    for (const [directory, word] of [
      [foreign, "not this program's"],
      [other, "not this program's"],
      [newer, "newer version"],
      [damaged, "damaged"],
      [file, "can't be written"],
      [join(file, "below"), "can't be written"],
    ] as const) {
      await expect(open(directory)).rejects.toMatchObject({
        ...code,
        message: expect.stringMatching(new RegExp(`^state ${directory}/twin.db .*${word}`)) as string,
      });
    }
    expect(readFileSync(join(foreign, "twin.db"), "utf8")).toContain("a letter");
  });
});

describe("a disk that is full", () => {
  it("fails who waits, takes the lost writes back, and leaves what was safe to be read", async () => {
    const directory = newDirectory();
    const store = await open(directory, { maxFileBytes: 256 * 1024 });
    await store.durable(put(store, "a/safe"));
    const watch = store.watch("pods", store.revision);
    put(store, "a/lost", "x".repeat(400_000));
    const lost = store.durable(store.revision);
    await expect(lost).rejects.toMatchObject({ ...code, message: expect.stringContaining("full") as string });
    expect([store.revision, contents(store).length]).toEqual([2, 1]);
    expect(store.durable(store.revision)).toBeUndefined();
    expect(() => put(store, "a/more")).toThrow("can't be written");
    watch.wake();
    expect(await watch.next()).toEqual([]);
    await store.close();
    const again = await open(directory);
    expect(contents(again)).toHaveLength(1);
    await again.close();
  });
});

/** The state that the acknowledged lines say, as far as they go, and the last revision of each key. */
function lastRevisions(lines: readonly string[]): Map<string, number> {
  const last = new Map<string, number>();
  for (const line of lines) {
    const [revision, key] = line.split(" ");
    if (key !== undefined) last.set(key, Math.max(last.get(key) ?? 0, Number(revision)));
  }
  return last;
}

const rounds = process.env["FLEETWRIGHT_LONG"] === "1" ? 50 : 5;

describe("a process that is killed", () => {
  it(`loses nothing that was acknowledged (${rounds} times)`, { timeout: 120_000 }, async () => {
    const directory = newDirectory();
    const acknowledged: string[] = [];
    for (let round = 0; round < rounds; round++) {
      const writer = spawn(process.execPath, [endlessWriter, directory], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      const wanted = acknowledged.length + 50 + round * 37;
      const lines = createInterface({ input: writer.stdout });
      lines.on("line", (line) => {
        acknowledged.push(line);
        if (acknowledged.length === wanted) writer.kill("SIGKILL");
      });
      // What was in the pipe counts too: it had been acknowledged.
      await Promise.all([once(writer, "exit"), once(lines, "close")]);
      const store = await open(directory);
      const { revision } = store;
      const problems: string[] = [];
      for (const [key, acknowledgedRevision] of lastRevisions(acknowledged)) {
        if (acknowledgedRevision > revision) problems.push(`${key} ${acknowledgedRevision} is lost: ${revision}`);
        const current = store.get("things", key);
        // Deleted by the last acknowledged write, or by a later one that was not acknowledged any more.
        if (current === undefined || current.revision >= acknowledgedRevision) continue;
        problems.push(`${key} is at ${current.revision}, ${acknowledgedRevision} was acknowledged`);
      }
      for (const version of store.list("things").items) {
        if (!version.bytes.toString().startsWith(`{"revision":${version.revision},`))
          problems.push(`${version.key} differs`);
      }
      await store.close();
      expect(problems).toEqual([]);
    }
  });

  it("loses nothing that was acknowledged when the end of the log is cut off", async () => {
    const directory = newDirectory();
    const log = join(directory, "twin.db-wal");
    const store = await open(directory);
    const states: { readonly revision: number; readonly contents: readonly string[] }[] = [];
    const acknowledged: { readonly logBytes: number; readonly revision: number }[] = [];
    for (let commit = 0; commit < 30; commit++) {
      for (let write = 0; write < 3; write++) {
        if (commit % 4 === 3 && write === 0) remove(store, `a/${(commit * 3 - 9) % 25}`);
        else put(store, `a/${(commit * 3 + write) % 25}`, "x".repeat((commit * 531) % 5000));
      }
      states.push({ revision: store.revision, contents: contents(store) });
      await store.durable(store.revision);
      acknowledged.push({ logBytes: statSync(log).size, revision: store.revision });
    }
    const end = statSync(log).size;
    const copies = newDirectory();
    for (let cut = 0; cut < 25; cut++) {
      const copy = join(copies, String(cut));
      cpSync(directory, copy, { recursive: true });
      const at = Math.floor((end * (cut + 0.37)) / 25);
      truncateSync(join(copy, "twin.db-wal"), at);
      const reopened = await open(copy);
      const safe = acknowledged.findLast(({ logBytes }) => logBytes <= at)?.revision ?? 0;
      expect(reopened.revision).toBeGreaterThanOrEqual(safe);
      // Never half of a commit.
      const state = states.find(({ revision }) => revision === reopened.revision);
      expect(contents(reopened)).toEqual(state?.contents ?? []);
      await reopened.close();
    }
    await store.close();
  });
});
