import { open, readFile, rename, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { KeyObject } from "node:crypto";
import type { Clock } from "@fleetwright/kube";
import { checkpointError } from "../errors.ts";
import { headOf, nextRecord } from "../core/evidence/evidence-chain.ts";
import type { EvidenceEntry, EvidenceHead, EvidenceRecord } from "../core/evidence/evidence-chain.ts";
import type { StoreWitness } from "./store.ts";

/** A node's chain of evidence in a folder: `evidence.jsonl`, a record a line, and `evidence-head.json`. */
export interface EvidenceFile extends StoreWitness {
  read(): Promise<{ readonly records: readonly EvidenceRecord[]; readonly head: EvidenceHead | undefined }>;
}

async function textOf(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
    throw error;
  }
}

/**
 * Opens the chain of a folder and goes on with it. A last line that a crash left half-written was never signed for: it is cut off, and what it was about is recorded again.
 *
 * @throws FW_CHECKPOINT_EVIDENCE when a line in the middle cannot be read: nothing is added to a chain that is broken
 */
export async function openEvidence(
  directory: string,
  { key, clock }: { readonly key: KeyObject; readonly clock: Pick<Clock, "now"> },
): Promise<EvidenceFile> {
  const path = join(directory, "evidence.jsonl");
  const headPath = join(directory, "evidence-head.json");
  const read: EvidenceFile["read"] = async () => {
    const lines = (await textOf(path)).split("\n");
    const records = lines.slice(0, -1).map((line, index): EvidenceRecord => {
      try {
        return JSON.parse(line) as EvidenceRecord;
      } catch (error) {
        throw checkpointError(
          "FW_CHECKPOINT_EVIDENCE",
          `${path}: line ${index + 1} is no record: the chain was changed by hand; keep it as it is, and begin another one in its place`,
          error,
        );
      }
    });
    const head = await textOf(headPath);
    return { records, head: head === "" ? undefined : (JSON.parse(head) as EvidenceHead) };
  };
  const text = await textOf(path);
  const whole = text.slice(0, text.lastIndexOf("\n") + 1);
  if (whole.length < text.length) await truncate(path, Buffer.byteLength(whole));
  const { records } = await read();
  let last = records.at(-1);
  const known = new Set(records.map(({ event, archive }) => `${event} ${archive}`));

  const append = async (entry: EvidenceEntry): Promise<void> => {
    const record = nextRecord(last, entry, key);
    const file = await open(path, "a", 0o600);
    try {
      await file.appendFile(`${JSON.stringify(record)}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    last = record;
    known.add(`${entry.event} ${entry.archive}`);
    const head = headOf(record, entry.time, key);
    await writeFile(`${headPath}.half`, JSON.stringify(head), { mode: 0o600, flush: true });
    await rename(`${headPath}.half`, headPath);
  };
  // One record after the other: each needs the one before.
  let turn: Promise<void> = Promise.resolve();
  const queued = (entry: EvidenceEntry): Promise<void> => {
    const mine = turn.then(() => (known.has(`${entry.event} ${entry.archive}`) ? undefined : append(entry)));
    turn = mine.catch(() => undefined);
    return mine;
  };
  const now = (): string => new Date(clock.now()).toISOString();
  return {
    read,
    described: ({ file, layer, metadata, host }) =>
      queued({
        time: now(),
        event: "described",
        archive: layer.digest,
        metadata: Object.fromEntries(
          Object.entries({
            file,
            bytes: layer.size,
            engine: metadata.engine,
            namespace: metadata.namespace,
            pod: metadata.pod,
            podUid: metadata.podUid,
            container: metadata.container,
            id: metadata.id,
            image: metadata.image,
            checkpointedAt: metadata.checkpointedAt,
            kernel: host.kernel,
          }).filter((field): field is [string, string | number] => field[1] !== undefined),
        ),
      }),
    deleted: ({ file, digest, reason }) =>
      queued({ time: now(), event: "deleted", archive: digest, metadata: { file, reason } }),
  };
}
