import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { JsonPatchOperation } from "../client/client.ts";
import { applyJsonPatch, createJsonPatch } from "./json-patch.ts";

const document = { a: [1, 2, 3], b: { "x/y": "slash", "m~n": "tilde" }, c: null };

describe("applyJsonPatch", () => {
  it.each<[string, JsonPatchOperation, unknown]>([
    ["appends", { op: "add", path: "/a/-", value: 4 }, { ...document, a: [1, 2, 3, 4] }],
    ["inserts", { op: "add", path: "/a/1", value: 9 }, { ...document, a: [1, 9, 2, 3] }],
    ["counts from the end", { op: "remove", path: "/a/-1" }, { ...document, a: [1, 2] }],
    ["unescapes ~1 and ~0", { op: "remove", path: "/b/x~1y" }, { ...document, b: { "m~n": "tilde" } }],
    ["unescapes ~0 last", { op: "add", path: "/b/~01", value: 1 }, { ...document, b: { ...document.b, "~1": 1 } }],
    ["replaces by adding", { op: "replace", path: "/d", value: 1 }, { ...document, d: 1 }],
    ["replaces the whole", { op: "replace", path: "", value: { z: 1 } }, { z: 1 }],
    [
      "moves",
      { op: "move", from: "/a/0", path: "/b/first" },
      { ...document, a: [2, 3], b: { ...document.b, first: 1 } },
    ],
    ["copies what is missing as null", { op: "copy", from: "/zzz", path: "/d" }, { ...document, d: null }],
    ["takes a missing key for null", { op: "test", path: "/zzz", value: null }, document],
    ["compares whatever the order", { op: "test", path: "/b", value: { "m~n": "tilde", "x/y": "slash" } }, document],
  ])("%s", (_, operation, expected) => {
    const before = structuredClone(document);
    expect(applyJsonPatch<object>(document, [operation])).toEqual(expected);
    expect(document).toEqual(before);
  });

  it.each<[JsonPatchOperation, string]>([
    [{ op: "test", path: "/a", value: [1, 2] }, "testing value /a failed"],
    [{ op: "remove", path: "/zzz" }, "Unable to remove nonexistent key: zzz"],
    [{ op: "remove", path: "/a/3" }, "Unable to access invalid index: 3"],
    [{ op: "add", path: "/a/5", value: 1 }, "Unable to access invalid index: 5"],
    [{ op: "add", path: "/zzz/a", value: 1 }, 'doc is missing path: "/zzz/a"'],
    [{ op: "add", path: "/c/a", value: 1 }, 'doc is missing path: "/c/a"'],
    [{ op: "add", path: "/b/x~1y/deeper", value: 1 }, "doc is missing path"],
    [{ op: "remove", path: "" }, 'doc is missing path: ""'],
    [{ op: "move", from: "/b", path: "/b/inside" }, "doc is missing path"],
    [{ op: "replace", path: "", value: 1 }, "must be object or array"],
    [{ op: "add", path: "/constructor/x", value: 1 }, "doc is missing path"],
  ])("refuses %j", (operation, reason) => {
    expect(() => applyJsonPatch(document, [operation])).toThrow(
      expect.objectContaining({ code: "FW_PATCH", message: expect.stringContaining(reason) }),
    );
  });

  it("sets __proto__ as a key like any other", () => {
    const patched = applyJsonPatch<object>({}, [{ op: "add", path: "/__proto__", value: { polluted: true } }]);
    expect(Object.keys(patched)).toEqual(["__proto__"]);
    expect("polluted" in {}).toBe(false);
    expect("polluted" in patched).toBe(false);
  });

  it("refuses more operations than the server takes", () => {
    const operations = Array.from({ length: 10_001 }, (): JsonPatchOperation => ({
      op: "test",
      path: "/c",
      value: null,
    }));
    expect(() => applyJsonPatch(document, operations)).toThrow(/maximum operations in a JSON patch is 10000/);
  });

  it("carries out what createJsonPatch made", () => {
    const anyObject = fc.dictionary(fc.string({ maxLength: 3 }), fc.jsonValue({ maxDepth: 3 }));
    fc.assert(
      fc.property(anyObject, anyObject, (original, modified) => {
        const [from, to] = [plain(original), plain(modified)];
        expect(applyJsonPatch(from, createJsonPatch(from, to))).toEqual(to);
      }),
    );
  });
});

/** As it comes from the server: no `-0`, and no prototype but the ordinary one. */
const plain = (value: object): object => JSON.parse(JSON.stringify(value).replaceAll("__proto__", "proto")) as object;
