import { generateKeyPairSync } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { headOf, nextRecord, parseHead, recordLine } from "./evidence-chain.ts";
import type { EvidenceHead, EvidenceRecord } from "./evidence-chain.ts";
import { evidenceReasons, verifyEvidence } from "./verify-evidence.ts";

const { privateKey, publicKey } = generateKeyPairSync("ed25519");
const stranger = generateKeyPairSync("ec", { namedCurve: "P-256" });
const time = "2026-11-27T12:00:00Z";

/** @param mark makes records differ from those of another history */
function extend(chain: readonly EvidenceRecord[], length: number, mark = "", key = privateKey) {
  const records = [...chain];
  while (records.length < length) {
    const at = records.length;
    const entry = {
      event: "described",
      archive: `sha256:${at}${mark}`,
      metadata: { pod: `p${at}`, bytes: at },
    } as const;
    records.push(nextRecord(records.at(-1), { time, ...entry }, key));
  }
  return records;
}
const whole = extend([], 5);
const head = headOf(whole.at(-1), time, privateKey);
const reasonsOf = async (
  lines: readonly string[],
  of: EvidenceHead | undefined = head,
  key: KeyObject = publicKey,
): Promise<readonly string[]> =>
  [...new Set((await verifyEvidence(lines, of, key)).problems.map(({ reason }) => reason))].toSorted();
const reasons = (records: readonly EvidenceRecord[], of?: EvidenceHead, key?: KeyObject) =>
  reasonsOf(records.map(recordLine), of, key);
const changed = (at: number, change: Partial<EvidenceRecord>): readonly EvidenceRecord[] =>
  whole.map((record, index) => (index === at ? { ...record, ...change } : record));
const without = (at: number): readonly EvidenceRecord[] => whole.filter((_, index) => index !== at);

describe("the chain of evidence", () => {
  it("is believed when it is whole, with either kind of key", async () => {
    expect(await verifyEvidence(whole.map(recordLine), head, publicKey)).toEqual({ records: 5, problems: [] });
    const records = extend([], 2, "", stranger.privateKey);
    expect(await reasons(records, headOf(records.at(-1), time, stranger.privateKey), stranger.publicKey)).toEqual([]);
    expect(await reasons([], headOf(undefined, time, privateKey))).toEqual([]);
  });

  it("goes on after its head was written", async () => {
    expect(await reasons(extend(whole, 7))).toEqual([]);
  });

  it.each<readonly [string, readonly EvidenceRecord[], readonly string[]]>([
    ["a changed time", changed(2, { time: "2027-01-01T00:00:00Z" }), ["Tampered"]],
    ["another archive", changed(0, { archive: "sha256:x" }), ["Tampered"]],
    ["neighbours in another order", [1, 0, 2, 3, 4].flatMap((at) => whole[at] ?? []), ["BrokenLink", "OutOfOrder"]],
    ["a record that is left out", without(2), ["BrokenLink", "OutOfOrder", "Truncated"]],
    ["a first record that is left out", without(0), ["BrokenLink", "OutOfOrder", "Truncated"]],
    ["records that were cut off", whole.slice(0, 3), ["Truncated"]],
    ["a record that is there twice", [...whole.slice(0, 3), ...whole.slice(2)], ["BrokenLink", "Fork", "OutOfOrder"]],
    ["another key's record at the end", extend(whole, 6, "", stranger.privateKey), ["WrongKey"]],
    ["a history that was put back and written on", extend(whole.slice(0, 3), 6, "x"), ["Fork"]],
    ["one that is shorter than its head says", extend(whole.slice(0, 3), 4, "x"), ["Truncated"]],
    [
      "two histories in one",
      [...whole.slice(0, 3), ...extend(whole.slice(0, 2), 3, "x").slice(2), ...whole.slice(3)],
      ["BrokenLink", "Fork", "OutOfOrder"],
    ],
    ["a record of another history", [...extend(whole.slice(0, 3), 4, "x"), ...whole.slice(4)], ["Fork"]],
  ])("shows %s", async (_, records, expected) => {
    expect(await reasons(records)).toEqual(expected);
  });

  it("says that the end is not known without a head, and holds the head against the key", async () => {
    const { problems } = await verifyEvidence(whole.map(recordLine), undefined, publicKey);
    expect(problems).toMatchObject([{ reason: "Truncated", index: 5 }]);
    expect(await reasons(whole, headOf(whole.at(-1), time, stranger.privateKey))).toEqual(["WrongKey"]);
    expect(await reasons(whole.slice(0, 4), { ...head, count: 4 })).toEqual(["WrongKey"]);
    expect(await reasons(whole, head, generateKeyPairSync("ed25519").publicKey)).toEqual(["WrongKey"]);
  });

  it.each([
    ["a text beside the signed ones", (line: string) => line.replace("{", '{"note":"innocent",')],
    ["a field twice", (line: string) => line.replace("{", '{"event":"deleted",')],
    ["blanks", (line: string) => `${line} `],
    ["half of it", (line: string) => line.slice(0, 40)],
    ["metadata as a list", (line: string) => line.replace(/"metadata":\{.*?\}/, '"metadata":["a"]')],
    ["a number for a signature", (line: string) => line.replace(/"signature":".*?"/, '"signature":1')],
    ["null", () => "null"],
  ])("takes no line with %s", async (_, change) => {
    const lines = whole.map((record, at) => (at === 1 ? change(recordLine(record)) : recordLine(record)));
    expect(await reasonsOf(lines)).toContain("Malformed");
  });

  it("shows every change of its text, and every record taken out, doubled or moved", async () => {
    const lines = whole.map(recordLine);
    const at = fc.nat({ max: 4 });
    const change = fc.oneof(
      fc
        .tuple(at, fc.nat({ max: 1000 }), fc.string({ maxLength: 3 }), fc.nat({ max: 3 }))
        .map(([line, place, text, gone]) =>
          lines.map((each, index) => {
            if (index !== line) return each;
            const from = place % each.length;
            return `${each.slice(0, from)}${text}${each.slice(from + gone)}`;
          }),
        ),
      fc.tuple(at, at).map(([from, to]) => {
        const moved = [...lines];
        moved.splice(to, 0, ...moved.splice(from, 1));
        return moved;
      }),
      at.map((from) => lines.filter((_, index) => index !== from)),
      fc
        .tuple(at, at)
        .map(([from, to]) => lines.flatMap((line, index) => (index === to ? [line, lines[from] ?? ""] : [line]))),
    );
    await fc.assert(
      fc.asyncProperty(change, async (tampered) => {
        fc.pre(tampered.join("\n") !== lines.join("\n"));
        expect(await reasonsOf(tampered)).not.toEqual([]);
      }),
      { seed: 20261127, numRuns: 500 },
    );
  });
});

it("has its reasons in the docs", () => {
  const page = readFileSync(new URL("../../../../../docs/checkpoint-operations.md", import.meta.url), "utf8");
  const rows = [...page.matchAll(/^\| `([A-Z]\w+)` \| (.*) \|$/gm)].map(([, reason, meaning]) => [reason, meaning]);
  expect(rows).toEqual(Object.entries(evidenceReasons));
});

describe("a head", () => {
  it.each(["", "{", "[]", '{"count":1}', '{"count":"1","hash":"","time":"","signature":""}'])(
    "is not read from %j",
    (text) => {
      expect(() => parseHead(text, "head.json")).toThrow("head.json: is no head of a chain of evidence");
    },
  );

  it("is read as it was written", () => {
    expect(parseHead(JSON.stringify(head), "head.json")).toEqual(head);
  });
});
