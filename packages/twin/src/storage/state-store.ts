import { closeSync, mkdirSync, openSync } from "node:fs";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { type Clock, FleetwrightError } from "@fleetwright/kube";
import { type Journal, RevisionStore } from "./revision-store.ts";
import {
  applicationId,
  formatVersion,
  runStateFile,
  type StateCommand,
  stateFileName,
  type StateFileSettings,
  type StateProblem,
  type StateReport,
  type StateRow,
} from "./state-file.ts";
import type { Store } from "./store.ts";
import { Version } from "./version.ts";

export interface StateStoreOptions {
  /** Made, readable by its owner only, if it is not there. Objects hold secrets. */
  readonly directory: string;
  readonly clock: Clock;
  /** As of `createMemoryStore`. @default 300_000 */
  readonly windowMs?: number;
  /** As of `createMemoryStore`. @default 512 MiB */
  readonly historyLimitBytes?: number;
  /** Of a new directory. @default 2 */
  readonly firstRevision?: number;
  /** @default "bytes" */
  readonly keeps?: "bytes" | "objects";
  /** The file may grow so far; then writes are refused. @default no limit but the disk */
  readonly maxFileBytes?: number;
}

const advice: Readonly<Record<StateProblem, string>> = {
  locked: "is in use by another process; stop that one, or choose another directory",
  foreign: "is not this program's; choose another directory",
  newer: "was written by a newer version of this program; use that one, or choose another directory",
  corrupt: "is damaged; restore a copy, or choose another directory",
  unwritable: "can't be written; make room and give this user the right to write, or choose another directory",
};

function stateError(directory: string, problem: StateProblem, cause: unknown): FleetwrightError {
  const message = cause instanceof Error ? cause.message : String(cause);
  const file = join(directory, stateFileName);
  return new FleetwrightError("FW_TWIN_STATE", `state ${file} ${advice[problem]} (${message})`, { cause });
}

/** What goes into one commit, and who waits for it. */
interface Group {
  rows: StateRow[];
  drops: number[];
  revision: number;
  readonly done: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

function newGroup(): Group {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  // Nobody has to wait for a commit.
  promise.catch(() => {});
  return { rows: [], drops: [], revision: 0, done: promise, resolve, reject };
}

/**
 * A store that outlives the process, a power cut included: what `durable` has resolved for is on the disk (SQLite, WAL,
 * synchronous=FULL). All writes of a turn go into one commit, and while one is under way the next gathers. History is
 * kept with the objects, so watches go on over a restart. When a commit fails (the disk is full), everybody who waits is told, writes that
 * nobody has been told of are taken back, and from then on the store can only be read.
 *
 * @throws FleetwrightError `FW_TWIN_STATE` when the directory is in use, not ours, newer, damaged or not writable
 */
export async function openStateStore(options: StateStoreOptions): Promise<Store> {
  const {
    directory,
    clock,
    windowMs = 300_000,
    historyLimitBytes = 512 * 2 ** 20,
    firstRevision = 2,
    keeps = "bytes",
  } = options;
  prepareDirectory(directory);
  const settings: StateFileSettings = {
    file: join(directory, stateFileName),
    applicationId,
    formatVersion,
    maxFileBytes: options.maxFileBytes ?? 0,
  };
  const worker = new Worker(`(${runStateFile.toString()})()`, { eval: true, workerData: settings });
  let pending = newGroup();
  let inFlight: Group | undefined;
  let scheduled = false;
  let committed = 0;
  let compacted = 0;
  let failure: FleetwrightError | undefined;
  const closed = Promise.withResolvers<void>();
  const send = (command: StateCommand): void => worker.postMessage(command);

  function flush(): void {
    scheduled = false;
    if (inFlight !== undefined || failure !== undefined) return;
    inFlight = pending;
    pending = newGroup();
    const { rows, drops } = inFlight;
    const revision = Math.max(inFlight.revision, committed);
    send({ kind: "commit", rows, drops, revision, compacted });
  }

  function schedule(): void {
    if (scheduled || inFlight !== undefined) return;
    scheduled = true;
    setImmediate(flush);
  }

  function fail(problem: StateProblem, cause: unknown): void {
    if (failure !== undefined) return;
    failure = stateError(directory, problem, cause);
    store.rollBack(committed);
    inFlight?.reject(failure);
    pending.reject(failure);
    closed.resolve();
  }

  const journal: Journal = {
    check() {
      if (failure !== undefined) throw failure;
    },
    append({ collection, version, deleted, expiresMs }) {
      const { revision, key, index, bytes } = version;
      pending.rows.push({ revision, collection, key, index, deleted, expiresMs, bytes });
      pending.revision = revision;
      schedule();
    },
    drop(revision) {
      pending.drops.push(revision);
      schedule();
    },
    compacted(oldest) {
      compacted = oldest;
      schedule();
    },
    durable(revision) {
      if (revision <= committed) return undefined;
      if (failure !== undefined) return Promise.reject(failure);
      return inFlight !== undefined && revision <= inFlight.revision ? inFlight.done : pending.done;
    },
    async close() {
      while (failure === undefined && (inFlight !== undefined || pending.rows.length > 0)) {
        if (inFlight === undefined) flush();
        await inFlight?.done.catch(() => {});
      }
      if (failure === undefined) send({ kind: "close" });
      await closed.promise;
      await worker.terminate();
    },
  };
  const store = new RevisionStore({ clock, windowMs, historyLimitBytes, firstRevision, keeps, journal });

  function onCommitted(revision: number): void {
    const group = inFlight;
    inFlight = undefined;
    committed = Math.max(committed, revision);
    store.publish(revision);
    group?.resolve();
    if (pending.rows.length > 0 || pending.drops.length > 0) flush();
  }

  const opened = Promise.withResolvers<void>();
  worker.on("message", (report: StateReport) => {
    switch (report.kind) {
      case "rows":
        for (const { collection, deleted, expiresMs, bytes, revision, key, index } of report.rows) {
          const kept = { bytes: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength) };
          const version = new Version({ key, index, revision }, kept);
          store.restore({ collection, version, deleted, expiresMs });
        }
        return;
      case "ready":
        committed = Math.max(report.revision, firstRevision - 1);
        compacted = report.revision === 0 ? committed : report.compacted;
        store.restored(committed, compacted);
        opened.resolve();
        return;
      case "committed":
        onCommitted(report.revision);
        return;
      case "failed":
        fail(report.problem, report.message);
        opened.reject(failure);
        return;
      case "closed":
        closed.resolve();
    }
  });
  const onEnd = (cause: unknown): void => {
    fail("unwritable", cause);
    opened.reject(failure);
  };
  worker.once("error", onEnd);
  worker.once("exit", () => onEnd(new Error("its thread has ended")));
  try {
    await opened.promise;
  } catch (error) {
    await worker.terminate();
    throw error;
  }
  return store;
}

function prepareDirectory(directory: string): void {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    // SQLite gives its log the rights of the file.
    closeSync(openSync(join(directory, stateFileName), "wx", 0o600));
  } catch (error) {
    // It is there: opening and closing it here would drop the locks that another store of this process has.
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return;
    throw stateError(directory, "unwritable", error);
  }
}
