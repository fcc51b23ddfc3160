/** What the server has acknowledged outlives the server, however it ends; and the twin says what is wrong with a state folder. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, describe, expect, it } from "vitest";
import {
  ConfigMaps,
  createClient,
  isExpired,
  Namespaces,
  seededRandom,
  sleep,
  systemClock,
  type Client,
  type ConfigMap,
  type WatchEvent,
} from "@fleetwright/kube";
import { runProgram, startProgram, type Ended } from "./program.ts";
import { serverName, startServer } from "./server.ts";

const seed = Number(process.env["FW_SEED"] ?? "1");
const long = process.env["FLEETWRIGHT_LONG"] === "1";
/** The real server takes seconds to start, and its durability is etcd's: it shows that the test asks for what is usual. */
const kills = serverName === "real" ? 2 : long ? 50 : 10;
const namespace = "state";
const writers = 6;

/** What a writer knows of an object: its last acknowledged version, and what became of it if an unanswered write took effect. */
interface Known {
  /** `undefined`: it is gone, or was never there. */
  value: string | undefined;
  version: string | undefined;
  unanswered: { readonly value: string | undefined } | undefined;
}

const valueOf = (object: ConfigMap | undefined): string | undefined => object?.data?.["value"];

/** Creates, changes and deletes objects of its own until the server breaks off. Returns how many writes were acknowledged. */
async function write(client: Client, writer: number, round: number, known: Map<string, Known>): Promise<number> {
  const random = seededRandom(seed * 1000 + round * writers + writer);
  const mine: string[] = [];
  for (let count = 0; ; count++) {
    const dice = random.next();
    const old = mine[Math.floor(random.next() * mine.length)];
    const name = old === undefined || dice < 0.4 ? `r${round}-w${writer}-${count}` : old;
    const entry = known.get(name) ?? { value: undefined, version: undefined, unanswered: undefined };
    known.set(name, entry);
    const gone = old === name && dice > 0.8;
    const value = gone ? undefined : `${round}-${count}`;
    try {
      let stored: ConfigMap | undefined;
      if (gone) await client.delete(ConfigMaps, { namespace, name });
      else if (entry.value === undefined) {
        stored = await client.create(ConfigMaps, { metadata: { name, namespace }, data: { value: value ?? "" } });
      } else {
        stored = await client.update(ConfigMaps, {
          metadata: { name, namespace, ...(entry.version ? { resourceVersion: entry.version } : {}) },
          data: { value: value ?? "" },
        });
      }
      entry.value = value;
      entry.version = stored?.metadata.resourceVersion;
      if (gone) mine.splice(mine.indexOf(name), 1);
      else if (old !== name) mine.push(name);
    } catch (error) {
      // A refusal would be a mistake of this test or of the server.
      if (!(error instanceof Error) || error.name !== "TransportError") throw error;
      entry.unanswered = { value };
      return count;
    }
  }
}

const said = ({ type, object }: WatchEvent<ConfigMap>): string =>
  `${type} ${object.metadata.name} ${object.metadata.resourceVersion}`;

/** What a watch shows until the server breaks it off. */
async function follow(client: Client, resourceVersion: string): Promise<readonly string[]> {
  const seen: string[] = [];
  try {
    const options = { namespace, resourceVersion, allowWatchBookmarks: false };
    for await (const event of client.watch(ConfigMaps, options)) seen.push(said(event));
  } catch (error) {
    if (!(error instanceof Error) || error.name !== "TransportError") throw error;
  }
  return seen;
}

/** Every event after a version, up to the one of an object with this name; `undefined` when the server has forgotten them. */
async function replay(
  client: Client,
  since: string,
  last: string,
): Promise<readonly WatchEvent<ConfigMap>[] | undefined> {
  const events: WatchEvent<ConfigMap>[] = [];
  try {
    const options = { namespace, resourceVersion: since, allowWatchBookmarks: false };
    for await (const event of client.watch(ConfigMaps, options)) {
      events.push(event);
      if (event.object.metadata.name === last) return events;
    }
  } catch (error) {
    if (isExpired(error)) return undefined;
    throw error;
  }
  throw new Error(`the watch ended before ${last}`);
}

const byName = (items: readonly ConfigMap[]): ReadonlyMap<string, string> =>
  new Map(items.map(({ metadata }) => [metadata.name ?? "", metadata.resourceVersion ?? ""]));

describe(`a ${serverName} server that is killed while clients write (seed ${seed})`, () => {
  it(
    `keeps every acknowledged write over ${kills} kills, counts on, and watches go on`,
    { timeout: 600_000 },
    async () => {
      await using server = await startServer();
      const { kubeconfigPath } = server;
      const kubeconfig = readFileSync(kubeconfigPath, "utf8");
      const random = seededRandom(seed);
      const known = new Map<string, Known>();
      const counts = { acknowledged: 0, watched: 0, resumed: 0, expired: 0 };
      let client = createClient({ kubeconfig: kubeconfigPath, maxRetries: 0 });
      await client.create(Namespaces, { metadata: { name: namespace } });
      let highest = 0;
      for (let round = 0; round < kills; round++) {
        const start = await client.list(ConfigMaps, { namespace });
        const since = start.metadata.resourceVersion ?? "";
        expect(Number(since)).toBeGreaterThanOrEqual(highest);
        const watching = follow(client, since);
        const clients = Array.from({ length: writers }, () =>
          createClient({ kubeconfig: kubeconfigPath, maxRetries: 0 }),
        );
        const writing = Promise.all(clients.map((each, writer) => write(each, writer, round, known)));
        await sleep(systemClock, 100 + random.next() * 300);
        await server.stopApiServer("kill");
        const done = await writing;
        counts.acknowledged += done.reduce((sum, count) => sum + count, 0);
        const seen = await watching;
        await Promise.all([...clients, client].map((each) => each.close()));

        await server.startApiServer();
        expect(readFileSync(kubeconfigPath, "utf8")).toBe(kubeconfig);
        client = createClient({ kubeconfig: kubeconfigPath, maxRetries: 0 });
        const { items, metadata } = await client.list(ConfigMaps, { namespace });
        const stored = new Map(items.map((item) => [item.metadata.name ?? "", item]));
        for (const [name, entry] of known) {
          const object = stored.get(name);
          const value = valueOf(object);
          const version = object?.metadata.resourceVersion;
          // An unanswered write may have taken effect, as a version that nobody knows.
          const settled = entry.unanswered === undefined || value === entry.value;
          const wanted = settled ? entry : { value: entry.unanswered?.value, version };
          expect({ name, value, version }).toEqual({ name, value: wanted.value, version: wanted.version });
          known.set(name, { value, version, unanswered: undefined });
          highest = Math.max(highest, Number(version ?? 0));
        }
        expect([...stored.keys()].filter((name) => !known.has(name) && name !== `marker-${round - 1}`)).toEqual([]);
        for (const line of seen) highest = Math.max(highest, Number(line.split(" ").at(-1)));
        expect(Number(metadata.resourceVersion)).toBeGreaterThanOrEqual(highest);

        // The next version is a new one, and what happened before the kill is told once more.
        if (round > 0) await client.delete(ConfigMaps, { namespace, name: `marker-${round - 1}` });
        const marker = `marker-${round}`;
        const made = await client.create(ConfigMaps, { metadata: { name: marker, namespace } });
        expect(Number(made.metadata.resourceVersion)).toBeGreaterThan(highest);
        counts.watched += seen.length;
        const events = await replay(client, since, marker);
        if (events === undefined) {
          counts.expired++;
          continue;
        }
        counts.resumed++;
        expect(events.slice(0, seen.length).map(said)).toEqual(seen);
        const versions = events.map(({ object }) => Number(object.metadata.resourceVersion));
        expect(versions).toEqual(versions.toSorted((a, b) => a - b));
        const state = new Map(byName(start.items));
        for (const { type, object } of events) {
          if (type === "DELETED") state.delete(object.metadata.name ?? "");
          else state.set(object.metadata.name ?? "", object.metadata.resourceVersion ?? "");
        }
        const now = byName((await client.list(ConfigMaps, { namespace })).items);
        expect(Object.fromEntries(state)).toEqual(Object.fromEntries(now));
      }
      await client.close();
      // Else nothing was in flight, and the test says nothing.
      expect(counts.acknowledged).toBeGreaterThan(kills * writers);
      expect(counts.watched).toBeGreaterThan(0);
      expect(counts.resumed).toBeGreaterThanOrEqual(serverName === "twin" && !long ? kills : 0);
      console.info(JSON.stringify({ server: serverName, kills, ...counts }));
    },
  );
});

describe.runIf(serverName === "twin")("fleetwright twin", () => {
  const folder = mkdtempSync(join(tmpdir(), "fleetwright-twin-state-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  /** A line on standard error and nothing else, exit code 2. Returns the line. */
  async function complaint(...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr }: Ended = await runProgram(["twin", ...args]);
    expect({ code, stdout, lines: stderr.trimEnd().split("\n").length, stderr }).toMatchObject({
      code: 2,
      stdout: "",
      lines: 1,
    });
    return stderr.trimEnd();
  }

  it("keeps its own authority in its state folder: a kubeconfig outlives the process", async () => {
    const state = join(folder, "kept");
    const kubeconfig = join(folder, "kept.kubeconfig");
    const first = startProgram(["twin", "--state", state, "--kubeconfig", kubeconfig]);
    const [, url = ""] = await first.line(/^ready: server=(\S+) kubeconfig=/);
    const before = createClient({ kubeconfig });
    await before.create(Namespaces, { metadata: { name: "kept" } });
    await before.close();
    await first.kill();
    const port = new URL(url).port;
    const second = startProgram(["twin", "--state", state, "--port", port]);
    await second.line(/^ready: /);
    const after = createClient({ kubeconfig });
    expect((await after.get(Namespaces, { name: "kept" })).metadata.name).toBe("kept");
    await after.close();

    expect(await complaint("--state", state)).toMatch(
      /^fleetwright: state \S+ is in use by another process; stop that one, or choose another directory/,
    );
    expect(await complaint("--port", port)).toBe(
      `fleetwright: the API server's address 127.0.0.1:${port} is taken by another process; choose another port`,
    );
    second.signal("SIGTERM");
    expect((await second.ended).code).toBe(0);
  });

  it("names a taken port", async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
    const { port } = taken.address() as AddressInfo;
    expect(await complaint("--port", String(port))).toBe(
      `fleetwright: the API server's address 127.0.0.1:${port} is taken by another process; choose another port`,
    );
    await new Promise((resolve) => taken.close(resolve));
  });

  it("says what to do about a state folder that it cannot use", async () => {
    const file = join(folder, "file");
    writeFileSync(file, "");
    expect(await complaint("--state", join(file, "state"))).toMatch(
      /^fleetwright: state \S+ can't be written; make room and give this user the right to write, or choose another/,
    );
    const database = (name: string, statements: string): string => {
      const path = join(folder, name);
      mkdirSync(path);
      const opened = new DatabaseSync(join(path, "twin.db"));
      opened.exec(statements);
      opened.close();
      return path;
    };
    const foreign = database("foreign", "CREATE TABLE songs (title TEXT)");
    expect(await complaint("--state", foreign)).toMatch(
      /^fleetwright: state \S+ is not this program's; choose another directory/,
    );
    const newer = database("newer", `PRAGMA application_id = ${0x46_77_54_77}; PRAGMA user_version = 99`);
    expect(await complaint("--state", newer)).toMatch(
      /^fleetwright: state \S+ was written by a newer version of this program; use that one, or choose another/,
    );
    const text = join(folder, "text");
    mkdirSync(text);
    writeFileSync(join(text, "twin.db"), "dear diary\n".repeat(100));
    expect(await complaint("--state", text)).toMatch(
      /^fleetwright: state \S+ is not this program's; choose another directory/,
    );
  });

  it("says what to do about an audit log that it cannot write", async () => {
    expect(await complaint("--audit-log", join(folder, "no", "such", "folder"))).toMatch(
      /^fleetwright: audit log \S+ can't be written; choose another file$/,
    );
  });
});
