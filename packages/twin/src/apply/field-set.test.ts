import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Draft } from "../machinery/draft.ts";
import {
  compareElements,
  differenceOf,
  fieldSetOf,
  formatFields,
  intersectionOf,
  isEmptySet,
  parseFields,
  pathTexts,
  unionOf,
  withoutTrees,
  type FieldSet,
} from "./field-set.ts";

const names = ["a", "b", "c", "__proto__", "é", "😀"];
const anySet: fc.Arbitrary<FieldSet> = fc
  .array(fc.array(fc.constantFrom(...names), { minLength: 1, maxLength: 4 }), { maxLength: 12 })
  .map(fieldSetOf);

const text = (set: FieldSet): string => JSON.stringify(formatFields(set));

describe("field sets", () => {
  it("obey the laws of sets", () => {
    fc.assert(
      fc.property(anySet, anySet, anySet, (a, b, c) => {
        expect(text(unionOf(a, b))).toBe(text(unionOf(b, a)));
        expect(text(unionOf(unionOf(a, b), c))).toBe(text(unionOf(a, unionOf(b, c))));
        expect(text(unionOf(a, a))).toBe(text(a));
        expect(text(intersectionOf(a, b))).toBe(text(intersectionOf(b, a)));
        expect(text(unionOf(differenceOf(a, b), intersectionOf(a, b)))).toBe(text(a));
        expect(isEmptySet(intersectionOf(differenceOf(a, b), b))).toBe(true);
        expect(isEmptySet(differenceOf(a, a))).toBe(true);
        expect(isEmptySet(withoutTrees(a, a))).toBe(true);
      }),
    );
  });

  it("are what FieldsV1 says, and FieldsV1 what they are", () => {
    fc.assert(
      fc.property(anySet, (set) => {
        expect(text(parseFields(formatFields(set)))).toBe(text(set));
      }),
    );
    const fields: Draft = {
      "f:metadata": { "f:finalizers": { ".": {}, 'v:"x.y/z"': {} } },
      "f:spec": {
        "f:containers": {
          'k:{"name":"c"}': { ".": {}, "f:ports": { ".": {}, 'k:{"containerPort":80,"protocol":"TCP"}': { ".": {} } } },
        },
      },
    };
    expect(formatFields(parseFields(fields))).toEqual({
      ...fields,
      "f:spec": {
        "f:containers": {
          'k:{"name":"c"}': { ".": {}, "f:ports": { ".": {}, 'k:{"containerPort":80,"protocol":"TCP"}': {} } },
        },
      },
    });
  });

  it("read keys in any order and write them in one", () => {
    expect(
      formatFields(parseFields({ 'k:{"protocol":"TCP", "port":80}': {}, "f:z": {}, "f:a": {}, "x:?": {} })),
    ).toEqual({ "f:a": {}, "f:z": {}, 'k:{"port":80,"protocol":"TCP"}': {} });
    expect(() => parseFields({ nonsense: {} })).toThrow("missing colon: nonsense");
  });

  it("order elements as upstream does: fields, keys, values, indices; numbers before texts", () => {
    const elements = ['v:"b"', "i:3", 'k:{"port":9}', "v:10", "f:z", 'k:{"port":80}', "v:9", "f:B", 'k:{"name":"x"}'];
    expect(elements.toSorted(compareElements)).toEqual([
      "f:B",
      "f:z",
      'k:{"name":"x"}',
      'k:{"port":9}',
      'k:{"port":80}',
      "v:9",
      "v:10",
      'v:"b"',
      "i:3",
    ]);
  });

  it("write paths as messages have them", () => {
    const set = parseFields({
      "f:spec": { "f:ports": { 'k:{"port":80,"protocol":"TCP"}': { "f:name": {} }, 'v:"q"': {} } },
    });
    expect(pathTexts(set)).toEqual(['.spec.ports[="q"]', '.spec.ports[port=80,protocol="TCP"].name']);
  });
});
