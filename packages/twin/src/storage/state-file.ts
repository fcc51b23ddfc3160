/** What says that a file is ours: "FwTw". */
export const applicationId = 0x46_77_54_77;

/** Grows when older programs can no longer read what is written. */
export const formatVersion = 1;

export const stateFileName = "twin.db";

/** One version of an object as a row: the newest of a key is its state, older ones are history. */
export interface StateRow {
  readonly revision: number;
  readonly collection: string;
  readonly key: string;
  readonly index: string;
  readonly deleted: boolean;
  /** Milliseconds since the epoch; 0 for never. */
  readonly expiresMs: number;
  readonly bytes: Uint8Array;
}

interface StateCommit {
  readonly kind: "commit";
  readonly rows: readonly StateRow[];
  /** Revisions whose rows are not needed any more. */
  readonly drops: readonly number[];
  readonly revision: number;
  readonly compacted: number;
}

export type StateCommand = StateCommit | { readonly kind: "close" };

export type StateProblem = "locked" | "foreign" | "newer" | "corrupt" | "unwritable";

export type StateReport =
  | { readonly kind: "rows"; readonly rows: readonly StateRow[] }
  | { readonly kind: "ready"; readonly revision: number; readonly compacted: number }
  | { readonly kind: "committed"; readonly revision: number }
  | { readonly kind: "failed"; readonly problem: StateProblem; readonly message: string }
  | { readonly kind: "closed" };

export interface StateFileSettings {
  readonly file: string;
  readonly applicationId: number;
  readonly formatVersion: number;
  /** 0 for no limit. */
  readonly maxFileBytes: number;
}

/**
 * Owns the SQLite file, in a thread of its own, because a synchronised commit blocks for as long as the disk takes. It runs from its
 * source text (the program ships as one file, which has no other file to start a thread from), so it names nothing outside of itself.
 *
 * WAL with synchronous=FULL: a commit has been handed to the disk when it returns. The exclusive lock is the kernel's and goes with the
 * process.
 */
export function runStateFile(): void {
  // Node calls its SQLite experimental on stderr, which belongs to the program's user.
  process.removeAllListeners("warning");
  const { parentPort, workerData } = process.getBuiltinModule("node:worker_threads");
  const { DatabaseSync } = process.getBuiltinModule("node:sqlite");
  const { crc32 } = process.getBuiltinModule("node:zlib");
  const settings = workerData as StateFileSettings;
  const report = (message: StateReport): void => parentPort?.postMessage(message);

  class Problem extends Error {
    readonly problem: StateProblem;
    constructor(problem: StateProblem, message: string) {
      super(message);
      this.problem = problem;
    }
  }

  /** SQLite's primary result codes (https://sqlite.org/rescode.html). */
  const problemOf = (error: unknown): StateProblem => {
    if (error instanceof Problem) return error.problem;
    const code = ((error as { errcode?: number }).errcode ?? 0) & 0xff;
    if (code === 5 || code === 6) return "locked";
    if (code === 26) return "foreign";
    return code === 11 ? "corrupt" : "unwritable";
  };

  const checksum = (row: StateRow): number =>
    crc32(
      row.bytes,
      crc32(`${row.revision}/${row.collection}/${row.key}/${row.index}/${row.deleted ? 1 : 0}/${row.expiresMs}`),
    );

  const numberOf = (value: unknown): number => Number(value ?? 0);

  const open = () => {
    const database = new DatabaseSync(settings.file, { timeout: 0 });
    const pragma = (text: string): unknown => Object.values(database.prepare(`PRAGMA ${text}`).get() ?? {})[0];
    pragma("locking_mode = EXCLUSIVE");
    // A power cut while it was being made leaves a database without tables.
    const fresh =
      numberOf(pragma("application_id")) === 0 &&
      numberOf(Object.values(database.prepare("SELECT count(*) FROM sqlite_schema").get() ?? {})[0]) === 0;
    if (!fresh && numberOf(pragma("application_id")) !== settings.applicationId) {
      throw new Problem("foreign", "another program's database");
    }
    const version = numberOf(pragma("user_version"));
    if (version > settings.formatVersion) {
      throw new Problem("newer", `format ${version}, this program knows ${settings.formatVersion}`);
    }
    if (!fresh && pragma("quick_check(1)") !== "ok") throw new Problem("corrupt", "its check fails");
    pragma("journal_mode = WAL");
    pragma("synchronous = FULL");
    database.exec("BEGIN EXCLUSIVE");
    if (fresh) {
      database.exec(`
        PRAGMA application_id = ${settings.applicationId};
        PRAGMA user_version = ${settings.formatVersion};
        CREATE TABLE versions (
          revision INTEGER PRIMARY KEY, collection TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,
          deleted INTEGER NOT NULL, expires INTEGER NOT NULL, checksum INTEGER NOT NULL, bytes BLOB NOT NULL
        ) STRICT;
        CREATE TABLE progress (id INTEGER PRIMARY KEY, revision INTEGER NOT NULL, compacted INTEGER NOT NULL) STRICT;
        INSERT INTO progress VALUES (1, 0, 0);
      `);
    }
    database.exec("COMMIT");
    if (settings.maxFileBytes > 0) {
      pragma(`max_page_count = ${Math.max(8, Math.floor(settings.maxFileBytes / numberOf(pragma("page_size"))))}`);
    }
    return database;
  };

  const load = (database: InstanceType<typeof DatabaseSync>): void => {
    let rows: StateRow[] = [];
    for (const stored of database.prepare("SELECT * FROM versions ORDER BY revision").iterate()) {
      const row: StateRow = {
        revision: Number(stored["revision"]),
        collection: String(stored["collection"]),
        key: String(stored["key"]),
        index: String(stored["value"]),
        deleted: stored["deleted"] === 1,
        expiresMs: Number(stored["expires"]),
        bytes: stored["bytes"] as Uint8Array,
      };
      if (checksum(row) !== stored["checksum"]) throw new Problem("corrupt", `revision ${row.revision} is damaged`);
      if (rows.push(row) < 500) continue;
      report({ kind: "rows", rows });
      rows = [];
    }
    report({ kind: "rows", rows });
    const progress = database.prepare("SELECT revision, compacted FROM progress WHERE id = 1").get();
    if (progress === undefined) throw new Problem("corrupt", "its progress is missing");
    report({ kind: "ready", revision: Number(progress["revision"]), compacted: Number(progress["compacted"]) });
  };

  try {
    const database = open();
    load(database);
    const insert = database.prepare("INSERT INTO versions VALUES (?, ?, ?, ?, ?, ?, ?, ?)");
    const drop = database.prepare("DELETE FROM versions WHERE revision = ?");
    const progress = database.prepare("UPDATE progress SET revision = ?, compacted = ? WHERE id = 1");
    parentPort?.on("message", (command: StateCommand) => {
      if (command.kind === "close") {
        database.close();
        report({ kind: "closed" });
        parentPort.close();
        return;
      }
      try {
        database.exec("BEGIN");
        for (const row of command.rows) {
          const { revision, collection, key, index, deleted, expiresMs, bytes } = row;
          insert.run(revision, collection, key, index, deleted ? 1 : 0, expiresMs, checksum(row), bytes);
        }
        for (const revision of command.drops) drop.run(revision);
        progress.run(command.revision, command.compacted);
        database.exec("COMMIT");
        report({ kind: "committed", revision: command.revision });
      } catch (error) {
        // SQLite has rolled back by itself after some errors.
        if (database.isTransaction) database.exec("ROLLBACK");
        report({ kind: "failed", problem: problemOf(error), message: (error as Error).message });
      }
    });
  } catch (error) {
    report({ kind: "failed", problem: problemOf(error), message: (error as Error).message });
  }
}
