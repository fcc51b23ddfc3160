import { generateKeyPairSync } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { headOf, nextRecord, verifyEvidence } from "./evidence-chain.ts";
import type { EvidenceRecord } from "./evidence-chain.ts";

const { privateKey, publicKey } = generateKeyPairSync("ed25519");
const stranger = generateKeyPairSync("ec", { namedCurve: "P-256" });
const time = "2026-11-27T12:00:00Z";
function chain(length: number, key = privateKey): readonly EvidenceRecord[] {
  const records: EvidenceRecord[] = [];
  for (let index = 0; index < length; index++)
    records.push(
      nextRecord(
        records.at(-1),
        { time, event: "described", archive: `sha256:${index}`, metadata: { pod: `p${index}`, bytes: index } },
        key,
      ),
    );
  return records;
}
const reasons = (records: readonly EvidenceRecord[], head = headOf(chain(5).at(-1), time, privateKey)) =>
  [...new Set(verifyEvidence(records, head, publicKey).map(({ reason }) => reason))].toSorted();

describe("the chain of evidence", () => {
  it("is believed when it is whole, after JSON too, with either kind of key", () => {
    expect(reasons(JSON.parse(JSON.stringify(chain(5))) as EvidenceRecord[])).toEqual([]);
    const records = chain(2, stranger.privateKey);
    expect(verifyEvidence(records, headOf(records.at(-1), time, stranger.privateKey), stranger.publicKey)).toEqual([]);
    expect(verifyEvidence([], headOf(undefined, time, privateKey), publicKey)).toEqual([]);
  });

  it("goes on after its head was written", () => {
    expect(reasons(chain(6))).toEqual([]);
  });

  const whole = chain(5);
  const changed = (at: number, change: Partial<EvidenceRecord>) =>
    whole.map((record, index) => (index === at ? { ...record, ...change } : record));
  it.each([
    ["a changed time", changed(2, { time: "2027-01-01T00:00:00Z" }), ["Tampered"]],
    ["another archive", changed(0, { archive: "sha256:x" }), ["Tampered"]],
    ["records in another order", [whole[1], whole[0], ...whole.slice(2)], ["BrokenLink", "OutOfOrder"]],
    ["a record that is left out", [...whole.slice(0, 2), ...whole.slice(3)], ["BrokenLink", "OutOfOrder", "Truncated"]],
    ["records that were cut off", whole.slice(0, 3), ["Truncated"]],
    [
      "another key's record",
      [
        ...whole.slice(0, 4),
        nextRecord(whole[3], { time, event: "deleted", archive: "sha256:4", metadata: {} }, stranger.privateKey),
      ],
      ["BrokenLink", "WrongKey"],
    ],
    [
      "a fork that was signed too",
      [
        ...whole.slice(0, 3),
        nextRecord(whole[2], { time, event: "deleted", archive: "sha256:3", metadata: {} }, privateKey),
        whole[4],
      ],
      ["BrokenLink"],
    ],
  ] as const)("shows %s", (_, records, expected) => {
    expect(reasons(records as readonly EvidenceRecord[])).toEqual(expected);
  });

  it("says that nothing is known of the end without a head", () => {
    expect(verifyEvidence(whole, undefined, publicKey).map(({ reason }) => reason)).toEqual(["Truncated"]);
  });

  it("shows any change of any field of any record", () => {
    const text = fc.constantFrom("time", "event", "archive", "previous", "hash", "signature");
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 4 }), text, fc.string(), (at, field, value) => {
        const before = whole[at]?.[field as keyof EvidenceRecord];
        fc.pre(
          before !== value && (field !== "signature" || Buffer.from(value, "base64").toString("base64") !== before),
        );
        expect(reasons(changed(at, { [field]: value }))).not.toEqual([]);
      }),
    );
  });
});
