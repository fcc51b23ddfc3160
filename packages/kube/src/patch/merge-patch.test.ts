import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { applyMergePatch, createMergePatch, createThreeWayMergePatch } from "./merge-patch.ts";

describe("applyMergePatch", () => {
  // RFC 7386, appendix A, as far as both sides are objects.
  it.each([
    [{ a: "b" }, { a: "c" }, { a: "c" }],
    [{ a: "b" }, { b: "c" }, { a: "b", b: "c" }],
    [{ a: "b" }, { a: null }, {}],
    [{ a: "b", b: "c" }, { a: null }, { b: "c" }],
    [{ a: ["b"] }, { a: "c" }, { a: "c" }],
    [{ a: "c" }, { a: ["b"] }, { a: ["b"] }],
    [{ a: { b: "c" } }, { a: { b: "d", c: null } }, { a: { b: "d" } }],
    [{ a: [{ b: "c" }] }, { a: [1] }, { a: [1] }],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ])("%j with %j is %j", (document, patch, expected) => {
    expect(applyMergePatch<object>(document, patch)).toEqual(expected);
  });

  it("drops nulls within new lists, as the server's library does", () => {
    expect(applyMergePatch<object>({}, { a: [{ b: null, c: 1 }, null] })).toEqual({ a: [{ c: 1 }, null] });
  });

  it.each([[null], [[]], ["text"], [7]])("refuses %j", (patch) => {
    expect(() => applyMergePatch({}, patch)).toThrow(expect.objectContaining({ code: "FW_PATCH" }));
  });

  it("carries out what createMergePatch made", () => {
    const leaf = fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.array(fc.integer(), { maxLength: 3 }));
    const { tree } = fc.letrec<{ tree: unknown }>((tie) => ({
      tree: fc.dictionary(fc.constantFrom("a", "b", "c", "d"), fc.oneof({ maxDepth: 4 }, leaf, tie("tree"))),
    }));
    const anyTree = tree as fc.Arbitrary<object>;
    fc.assert(
      fc.property(anyTree, anyTree, (original, modified) => {
        expect(applyMergePatch(original, createMergePatch(original, modified))).toEqual(modified);
        expect(createMergePatch(modified, modified)).toEqual({});
      }),
    );
  });
});

describe("createThreeWayMergePatch", () => {
  it("changes what we say, deletes what we no longer say, and leaves what others said", () => {
    const original = { spec: { ours: 1, dropped: 2, list: [1] } };
    const modified = { spec: { ours: 5, list: [1, 2], made: {} } };
    const current = { spec: { ours: 1, dropped: 2, list: [1], theirs: 7 }, status: { ready: true } };
    const patch = createThreeWayMergePatch(original, modified, current);
    expect(patch).toEqual({ spec: { ours: 5, dropped: null, list: [1, 2], made: {} } });
    expect(applyMergePatch<object>(current, patch)).toEqual({
      spec: { ours: 5, list: [1, 2], made: {}, theirs: 7 },
      status: { ready: true },
    });
  });

  it("is empty when nothing changed on our side", () => {
    const ours = { spec: { a: 1 } };
    expect(createThreeWayMergePatch(ours, ours, { spec: { a: 1, b: 2 } })).toEqual({});
  });
});
