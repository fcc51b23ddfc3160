import { verify } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { headText, noRecord, parseRecord, recordHash, signatureHash } from "./evidence-chain.ts";
import type { EvidenceHead, EvidenceRecord } from "./evidence-chain.ts";

/** Why a chain is not to be believed; docs/checkpoint-operations.md has the same table. */
export const evidenceReasons = {
  Malformed: "a line is no record as agents write them: it was cut, or something was added to it",
  Tampered: "a record says something else than what was hashed",
  WrongKey:
    "a record or the head is not signed by this key: it was made anew by somebody else, or this is the key of another node",
  OutOfOrder: "a record has another number than its place: records are missing, doubled or in another order",
  Fork: "two signed records follow the same one, or the head is of another history: the chain was put back and written on",
  BrokenLink: "a record does not follow the one before it",
  Truncated: "records are missing at the end, or there is no head by which that could be told",
} as const;

export type EvidenceReason = keyof typeof evidenceReasons;

export interface EvidenceProblem {
  readonly reason: EvidenceReason;
  /** Of the record, from 0; of the head, the number of records. */
  readonly index: number;
  readonly message: string;
}

export interface EvidenceVerdict {
  readonly records: number;
  /** None: the chain is whole. */
  readonly problems: readonly EvidenceProblem[];
}

/** One change may break a link for every record after it: more than these tell nothing new. */
const maxProblems = 100;

/**
 * Checks a chain without anything else than the public key: each record's hash and signature, that each follows the one before, and that none is missing at the end.
 * Memory grows by some hundred bytes for each record, whatever is in them.
 *
 * @param lines of the chain's file, without their ends
 * @param head the newest that is known; one that was kept elsewhere finds a chain that was put back as a whole
 *
 * @example
 * ```ts
 * const { problems } = await verifyEvidence(lines, parseHead(text, path), publicKey);
 * ```
 */
export async function verifyEvidence(
  lines: AsyncIterable<string> | Iterable<string>,
  head: EvidenceHead | undefined,
  publicKey: KeyObject,
): Promise<EvidenceVerdict> {
  const problems: EvidenceProblem[] = [];
  const add = (reason: EvidenceReason, index: number, message: string): void => {
    if (problems.length < maxProblems) problems.push({ reason, index, message });
  };
  const isSigned = (text: string, signature: string): boolean => {
    const bytes = Buffer.from(signature, "base64");
    // Base64 is read leniently: one signature has one text.
    return (
      bytes.toString("base64") === signature && verify(signatureHash(publicKey), Buffer.from(text), publicKey, bytes)
    );
  };
  /** Whether a record is its signer's own word, wherever it stands. */
  const holds = (record: EvidenceRecord, at: number): boolean => {
    if (recordHash(record) !== record.hash) add("Tampered", at, `record ${at}: what it says is not what was hashed`);
    else if (!isSigned(record.hash, record.signature)) add("WrongKey", at, `record ${at} is not signed by this key`);
    else return true;
    return false;
  };

  let count = 0;
  let before: { readonly hash?: string | undefined; readonly isInPlace: boolean } = {
    hash: noRecord,
    isInPlace: false,
  };
  let atHead: string | undefined = noRecord;
  /** Which record that holds follows which. */
  const followers = new Map<string, string>();
  for await (const line of lines) {
    const at = count;
    count += 1;
    const record = parseRecord(line);
    const isHeld = record !== undefined && holds(record, at);
    if (record === undefined) add("Malformed", at, `record ${at}: is no record as agents write them`);
    else {
      const { index, previous, hash } = record;
      if (index !== at) add("OutOfOrder", at, `record ${at}: says that it is number ${index}`);
      const follower = isHeld ? (followers.get(previous) ?? hash) : hash;
      if (isHeld) followers.set(previous, follower);
      if (follower !== hash) add("Fork", at, `record ${at}: another signed record follows the same one`);
      else if (previous !== before.hash)
        if (isHeld && index === at && before.isInPlace)
          add("Fork", at, `record ${at}: follows another signed record number ${at - 1} than the one that is here`);
        else add("BrokenLink", at, `record ${at}: does not follow the one before it`);
    }
    before = { hash: record?.hash, isInPlace: isHeld && record.index === at };
    if (head?.count === count) atHead = record?.hash;
  }

  if (head === undefined) add("Truncated", count, "there is no head: whether records are missing cannot be told");
  else if (!isSigned(headText(head), head.signature)) add("WrongKey", count, "the head is not signed by this key");
  else if (head.count > count) add("Truncated", count, `the head counts ${head.count} records, ${count} are here`);
  else if (head.hash !== atHead)
    add("Fork", head.count, `the head is of another history: its record number ${head.count - 1} is not the one here`);
  return { records: count, problems };
}
