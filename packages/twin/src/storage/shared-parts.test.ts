import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { copyJson } from "../machinery/draft.ts";
import type { Draft } from "../machinery/draft.ts";
import { SharedParts } from "./shared-parts.ts";

const value = fc.letrec<{ any: unknown }>((tie) => ({
  any: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.constantFrom<unknown>(null, true, 0, 1, "", "a", undefined),
    fc.array(tie("any"), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom("a", "b", "c", "__proto__"), tie("any"), { maxKeys: 3 }),
  ),
})).any;
const objects = fc.array(fc.dictionary(fc.constantFrom("kind", "metadata", "spec", "status"), value), {
  minLength: 1,
  maxLength: 12,
});

const plain = (object: unknown): unknown => JSON.parse(JSON.stringify(object));

describe("what is stored of what was written", () => {
  it("says the same, whatever was written before, and changes nothing that is stored", () => {
    fc.assert(
      fc.property(objects, (written) => {
        const parts = new SharedParts();
        let before: Draft | undefined;
        for (const object of written as Draft[]) {
          const expected = plain(object);
          const text = JSON.stringify(before);
          const stored = parts.settle(copyJson(object), before);
          expect(stored).toStrictEqual(expected);
          expect(JSON.stringify(before)).toBe(text);
          before = stored;
        }
      }),
    );
  });

  const pod = (name: string): Draft => ({
    kind: "Pod",
    metadata: { name, labels: { app: "web" } },
    spec: { containers: [{ name: "main", resources: { limits: { cpu: "1" } } }] },
  });
  const limitsOf = (object: Draft): unknown => ((object["spec"] as Draft)["containers"] as Draft[])[0]?.["resources"];

  it("has equal parts of other objects once", () => {
    const parts = new SharedParts();
    const [one, two] = [parts.settle(pod("one"), undefined), parts.settle(pod("two"), undefined)];
    expect(limitsOf(two)).toBe(limitsOf(one));
  });

  it("keeps the parts of the version before that are the same", () => {
    const parts = new SharedParts();
    const before = parts.settle(pod("one"), undefined);
    const after = parts.settle({ ...pod("one"), status: { phase: "Running" } }, before);
    expect(after["spec"]).toBe(before["spec"]);
    expect(after["metadata"]).toBe(before["metadata"]);
    expect(parts.settle(copyJson(after), after)).toBe(after);
  });
});
