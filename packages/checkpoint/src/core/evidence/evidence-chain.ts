import { createHash, createPublicKey, sign, verify, type KeyObject } from "node:crypto";

/** What happened to an archive, before it is in the chain. */
export interface EvidenceEntry {
  /** RFC 3339. */
  readonly time: string;
  readonly event: "described" | "deleted";
  /** `sha256:…` of the archive. */
  readonly archive: string;
  /** Whose it is and what is known of it; the reason of a deletion. */
  readonly metadata: Readonly<Record<string, string | number>>;
}

/** An entry that cannot be changed, left out or put elsewhere without showing. */
export interface EvidenceRecord extends EvidenceEntry {
  readonly index: number;
  /** Hash of the record before; of the first one 64 zeros. */
  readonly previous: string;
  /** SHA-256 of all of the above, hexadecimal. */
  readonly hash: string;
  /** Of the hash, base64. */
  readonly signature: string;
}

/** How long the chain was, signed: without it the newest records could be cut off. Keep copies of it elsewhere. */
export interface EvidenceHead {
  readonly count: number;
  readonly hash: string;
  readonly time: string;
  readonly signature: string;
}

/** Why a chain is not to be believed. */
export interface EvidenceProblem {
  readonly reason: "Tampered" | "OutOfOrder" | "BrokenLink" | "WrongKey" | "Truncated";
  /** Of the record, from 0; of the head, the number of records. */
  readonly index: number;
  readonly message: string;
}

const noRecord = "0".repeat(64);

/** One text for one value: keys in order, at every depth. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const fields = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return `{${fields.map(([key, field]) => `${JSON.stringify(key)}:${canonical(field)}`).join(",")}}`;
}

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");
/** Ed25519 signs messages themselves, ECDSA their hash. */
const algorithmOf = (key: KeyObject): string | null => (key.asymmetricKeyType === "ed25519" ? null : "sha256");
const signed = (text: string, key: KeyObject): string =>
  sign(algorithmOf(key), Buffer.from(text), key).toString("base64");
const isSigned = (text: string, signature: string, key: KeyObject): boolean =>
  verify(algorithmOf(key), Buffer.from(text), key, Buffer.from(signature, "base64"));

const hashOf = ({
  index,
  time,
  event,
  archive,
  metadata,
  previous,
}: Omit<EvidenceRecord, "hash" | "signature">): string =>
  sha256(canonical({ archive, event, index, metadata, previous, time }));
const headText = ({ count, hash, time }: Omit<EvidenceHead, "signature">): string => canonical({ count, hash, time });

/** The record that follows another one; `undefined` before the first. */
export function nextRecord(before: EvidenceRecord | undefined, entry: EvidenceEntry, key: KeyObject): EvidenceRecord {
  const { time, event, archive, metadata } = entry;
  const record = {
    index: before ? before.index + 1 : 0,
    time,
    event,
    archive,
    metadata,
    previous: before?.hash ?? noRecord,
  };
  const hash = hashOf(record);
  return { ...record, hash, signature: signed(hash, key) };
}

export function headOf(last: EvidenceRecord | undefined, time: string, key: KeyObject): EvidenceHead {
  const head = { count: last ? last.index + 1 : 0, hash: last?.hash ?? noRecord, time };
  return { ...head, signature: signed(headText(head), key) };
}

/**
 * Checks a chain without anything else than the public key: each record's hash and signature, that each follows the one before, and that none is missing at the end.
 *
 * @param head the newest that is known; one that was kept elsewhere finds a chain that was put back as a whole
 * @returns what is wrong; nothing: the chain is whole
 */
export function verifyEvidence(
  records: readonly EvidenceRecord[],
  head: EvidenceHead | undefined,
  publicKey: KeyObject,
): readonly EvidenceProblem[] {
  const key = publicKey.type === "private" ? createPublicKey(publicKey) : publicKey;
  const problems: EvidenceProblem[] = [];
  const add = (reason: EvidenceProblem["reason"], index: number, message: string): void =>
    void problems.push({ reason, index, message });
  let previous = noRecord;
  for (const [at, record] of records.entries()) {
    if (record.index !== at)
      add(
        "OutOfOrder",
        at,
        `record ${at} says that it is number ${record.index}: records are missing, doubled or in another order`,
      );
    if (hashOf(record) !== record.hash) add("Tampered", at, `record ${at}: what it says is not what was hashed`);
    else if (!isSigned(record.hash, record.signature, key))
      add("WrongKey", at, `record ${at} was not signed with this key`);
    if (record.previous !== previous)
      add("BrokenLink", at, `record ${at} follows another record than the one before it`);
    previous = record.hash;
  }
  if (head === undefined)
    add("Truncated", records.length, "there is no signed head: whether records are missing at the end cannot be told");
  else if (!isSigned(headText(head), head.signature, key))
    add("WrongKey", records.length, "the head was not signed with this key");
  else if (head.count > records.length)
    add("Truncated", records.length, `the head counts ${head.count} records, ${records.length} are here`);
  else if (head.count > 0 && records[head.count - 1]?.hash !== head.hash)
    add("BrokenLink", head.count - 1, "the head is of another chain");
  return problems;
}
