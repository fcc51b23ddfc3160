import { createHash, sign } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { checkpointError } from "../../errors.ts";

/** What happened to an archive, before it is in the chain. */
export interface EvidenceEntry {
  /** RFC 3339. */
  readonly time: string;
  /** `deleted`: by the agent, or found gone. */
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

/** What the first record follows. */
export const noRecord = "0".repeat(64);

/** One text for one value: keys in order, at every depth. */
function canonical(value: unknown): string {
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const fields = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return `{${fields.map(([key, field]) => `${JSON.stringify(key)}:${canonical(field)}`).join(",")}}`;
}

/** Ed25519 signs messages themselves, ECDSA their hash. */
export const signatureHash = (key: KeyObject): string | null => (key.asymmetricKeyType === "ed25519" ? null : "sha256");

const signed = (text: string, key: KeyObject): string =>
  sign(signatureHash(key), Buffer.from(text), key).toString("base64");

/** What a record's hash must be: of everything that it says, and of the record before it. */
export const recordHash = (record: Omit<EvidenceRecord, "hash" | "signature">): string => {
  const { archive, event, index, metadata, previous, time } = record;
  return createHash("sha256").update(canonical({ archive, event, index, metadata, previous, time })).digest("hex");
};

/** What the head's signature is over. */
export const headText = ({ count, hash, time }: Omit<EvidenceHead, "signature">): string =>
  canonical({ count, hash, time });

/** The record that follows another one; `undefined` before the first. */
export function nextRecord(before: EvidenceRecord | undefined, entry: EvidenceEntry, key: KeyObject): EvidenceRecord {
  const { time, event, archive, metadata } = entry;
  const index = before ? before.index + 1 : 0;
  const record = { index, time, event, archive, metadata, previous: before?.hash ?? noRecord };
  const hash = recordHash(record);
  return { ...record, hash, signature: signed(hash, key) };
}

/** The head of a chain that ends with this record; `undefined`: of one without records. */
export function headOf(last: EvidenceRecord | undefined, time: string, key: KeyObject): EvidenceHead {
  const head = { count: last ? last.index + 1 : 0, hash: last?.hash ?? noRecord, time };
  return { ...head, signature: signed(headText(head), key) };
}

/** A record as a line of the chain's file, without its end. */
export const recordLine = ({ index, time, event, archive, metadata, previous, hash, signature }: EvidenceRecord) =>
  JSON.stringify({ index, time, event, archive, metadata, previous, hash, signature });

type Fields = Readonly<Record<string, unknown>>;

function fieldsOf(text: string): Fields | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Fields) : undefined;
  } catch {
    return undefined;
  }
}

const hasTexts = (fields: Fields, names: readonly string[]): boolean =>
  names.every((name) => typeof fields[name] === "string");

/** Reads a line; `undefined` for any that {@link recordLine} would not write: what is beside the signed fields must not be taken for evidence. */
export function parseRecord(line: string): EvidenceRecord | undefined {
  const fields = fieldsOf(line);
  if (!fields || !Number.isSafeInteger(fields["index"])) return undefined;
  if (!hasTexts(fields, ["time", "event", "archive", "previous", "hash", "signature"])) return undefined;
  const { metadata } = fields;
  if (typeof metadata !== "object" || metadata === null || Array.isArray(metadata)) return undefined;
  if (Object.values(metadata).some((value) => typeof value !== "string" && typeof value !== "number")) return undefined;
  const record = fields as unknown as EvidenceRecord;
  return recordLine(record) === line ? record : undefined;
}

/**
 * Reads a head.
 *
 * @param place where it comes from, for the error
 * @throws FleetwrightError `FW_CHECKPOINT_EVIDENCE`
 */
export function parseHead(text: string, place: string): EvidenceHead {
  const fields = fieldsOf(text);
  if (!fields || !Number.isSafeInteger(fields["count"]) || !hasTexts(fields, ["hash", "time", "signature"]))
    throw checkpointError(
      "FW_CHECKPOINT_EVIDENCE",
      `${place}: is no head of a chain of evidence; name an evidence-head.json as an agent writes it`,
    );
  return fields as unknown as EvidenceHead;
}
