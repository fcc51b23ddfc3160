import { createReadStream } from "node:fs";
import { constants, mkdir, open, readFile, rename, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createPublicKey, verify } from "node:crypto";
import type { KeyObject } from "node:crypto";
import type { Clock } from "@fleetwright/kube";
import { checkpointError } from "../errors.ts";
import {
  headOf,
  headText,
  nextRecord,
  noRecord,
  parseHead,
  parseRecord,
  recordHash,
  recordLine,
  signatureHash,
} from "../core/evidence/evidence-chain.ts";
import type { EvidenceEntry, EvidenceHead, EvidenceRecord } from "../core/evidence/evidence-chain.ts";
import type { StoreWitness } from "./store.ts";

/** A node's chain of evidence in a folder: `evidence.jsonl`, a record a line, and `evidence-head.json`. */
export interface EvidenceFile extends StoreWitness {
  /** The chain as it is now: the records' bytes, and the head that counts them. */
  read(): Promise<{ readonly records: AsyncIterable<Uint8Array>; readonly head: EvidenceHead }>;
}

/** A record takes some hundred bytes; names in it are at most as long as the kernel's. */
const maxLineBytes = 64 * 1024;

/**
 * The lines of a chain's file, without their ends; what stands after the last end comes as a line too.
 *
 * @throws FW_CHECKPOINT_EVIDENCE for a line that is longer than any record
 */
export async function* evidenceLines(
  path: string,
  bytes: AsyncIterable<Uint8Array> = createReadStream(path),
): AsyncGenerator<string, void, undefined> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of bytes) {
    rest = Buffer.concat([rest, chunk]);
    let from = 0;
    for (let end = rest.indexOf(0x0a); end !== -1; end = rest.indexOf(0x0a, from)) {
      yield rest.toString("utf8", from, end);
      from = end + 1;
    }
    rest = rest.subarray(from);
    if (rest.length > maxLineBytes)
      throw checkpointError(
        "FW_CHECKPOINT_EVIDENCE",
        `${path}: a line has more than ${maxLineBytes} bytes: this is no chain of evidence, or one that was changed by hand`,
      );
  }
  if (rest.length > 0) yield rest.toString("utf8");
}

/** What to do about a chain that nothing is added to. */
const begin = "keep the folder as it is elsewhere, and let the agent begin another chain in an empty one";

/** Of what is not there. */
function absent(error: unknown): undefined {
  if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
  throw error;
}
const textOf = (path: string): Promise<string | undefined> => readFile(path, "utf8").catch(absent);
const sizeOf = async (path: string): Promise<number> => (await stat(path).catch(absent))?.size ?? 0;

/** What a chain's file holds, as far as it is whole. */
interface Chain {
  readonly last: EvidenceRecord | undefined;
  /** Bytes of whole lines. */
  readonly size: number;
  /** What was recorded last of each archive. */
  readonly latest: Map<string, EvidenceEntry["event"]>;
}

/** Reads a chain and holds it together; of its signatures only the ends' are checked, so that a long chain opens fast. */
async function readChain(path: string, head: EvidenceHead, key: KeyObject): Promise<Chain> {
  const broken = (what: string): Error => checkpointError("FW_CHECKPOINT_EVIDENCE", `${path}: ${what}; ${begin}`);
  const publicKey = createPublicKey(key);
  const isSigned = (text: string, signature: string): boolean =>
    verify(signatureHash(publicKey), Buffer.from(text), publicKey, Buffer.from(signature, "base64"));
  if (!isSigned(headText(head), head.signature)) throw broken("its head is signed by another key");

  const latest = new Map<string, EvidenceEntry["event"]>();
  let last: EvidenceRecord | undefined;
  let [count, size, atHead] = [0, 0, noRecord];
  let half: string | undefined;
  for await (const line of (await sizeOf(path)) === 0 ? [] : evidenceLines(path)) {
    if (half !== undefined) throw broken(`line ${count + 1} is no record: the chain was changed by hand`);
    const record = parseRecord(line);
    if (record === undefined) {
      half = line;
      continue;
    }
    if (record.index !== count || record.previous !== (last?.hash ?? noRecord) || recordHash(record) !== record.hash)
      throw broken(`line ${count + 1} does not follow the one before it: the chain was changed by hand`);
    latest.set(record.archive, record.event);
    [last, count, size] = [record, count + 1, size + Buffer.byteLength(line) + 1];
    if (count === head.count) atHead = record.hash;
  }
  if (head.count > count) throw broken(`its head counts ${head.count} records, ${count} are here`);
  if (head.hash !== atHead) throw broken("its head is of another history");
  if (last !== undefined && !isSigned(last.hash, last.signature)) throw broken("its last record is by another key");
  return { last, size, latest };
}

/**
 * Opens the chain of a folder, which is made if it is not there, and goes on with it. A line that a crash left half-written is written over: whatever it was about is recorded again
 * before anything comes of it.
 *
 * @param options `key`: Ed25519 or ECDSA
 * @throws FW_CHECKPOINT_EVIDENCE for a chain that was changed by hand or is by another key: nothing is added to it
 */
export async function openEvidence(
  directory: string,
  { key, clock }: { readonly key: KeyObject; readonly clock: Pick<Clock, "now"> },
): Promise<EvidenceFile> {
  const path = join(directory, "evidence.jsonl");
  const headPath = join(directory, "evidence-head.json");
  const now = (): string => new Date(clock.now()).toISOString();
  await mkdir(directory, { recursive: true, mode: 0o700 });

  const writeHead = async (next: EvidenceHead): Promise<void> => {
    await writeFile(`${headPath}.half`, JSON.stringify(next), { mode: 0o600, flush: true });
    await rename(`${headPath}.half`, headPath);
  };
  /** Ends the file with these bytes at an offset, whatever stood there. */
  const writeAt = async (offset: number, bytes: Uint8Array): Promise<void> => {
    await using file = await open(path, constants.O_RDWR | constants.O_CREAT, 0o600);
    await file.truncate(offset);
    for (let at = 0; at < bytes.length;)
      at += (await file.write(bytes, at, bytes.length - at, offset + at)).bytesWritten;
    await file.sync();
  };

  // The head is there before the first record: one that is missing was taken away.
  const found = await textOf(headPath);
  let head = found === undefined ? headOf(undefined, now(), key) : parseHead(found, headPath);
  if (found === undefined) {
    if ((await sizeOf(path)) > 0)
      throw checkpointError(
        "FW_CHECKPOINT_EVIDENCE",
        `${headPath}: is missing, so that whether records are missing too cannot be told; ${begin}`,
      );
    await writeHead(head);
  }
  const chain = await readChain(path, head, key);
  const { latest } = chain;
  let { last, size } = chain;
  // A crash left more or less than whole lines: the last one's end may be what is missing.
  if (size !== (await sizeOf(path))) await writeAt(Math.max(0, size - 1), Buffer.from("\n").subarray(0, size));

  const append = async (entry: EvidenceEntry): Promise<void> => {
    const record = nextRecord(last, entry, key);
    const line = Buffer.from(`${recordLine(record)}\n`);
    await writeAt(size, line);
    [last, size] = [record, size + line.length];
    latest.set(entry.archive, entry.event);
    const next = headOf(record, entry.time, key);
    await writeHead(next);
    head = next;
  };
  // One record after the other: each needs the one before.
  let turn: Promise<void> = Promise.resolve();
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const mine = turn.then(work);
    turn = mine.then(
      () => undefined,
      () => undefined,
    );
    return mine;
  };
  const queued = (entry: EvidenceEntry): Promise<void> =>
    inTurn(async () => {
      if (latest.get(entry.archive) !== entry.event) await append(entry);
    });
  return {
    // Records are never changed: what is there now can be read while others are added.
    read: () =>
      inTurn(async () => ({
        records: size === 0 ? (async function* () {})() : createReadStream(path, { end: size - 1 }),
        head,
      })),
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
