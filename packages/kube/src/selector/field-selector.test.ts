import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fieldSelectorText, fieldText, matchesFields, parseFieldSelector } from "./field-selector.ts";

describe("parseFieldSelector", () => {
  it.each([
    ["", ""],
    ["spec.nodeName=gpu-1", "spec.nodeName=gpu-1"],
    ["spec.nodeName==gpu-1", "spec.nodeName=gpu-1"],
    ["b=2,a!=1", "a!=1,b=2"],
    ["a=", "a="],
    [",,a=1,", "a=1"],
    [String.raw`a=x\,y\=z\\`, String.raw`a=x\,y\=z\\`],
    ["=", ""],
    ["a!b=c", "a!b=c"],
  ])("reads %j as %j", (text, canonical) => {
    expect(fieldSelectorText(parseFieldSelector(text))).toBe(canonical);
  });

  it.each([
    ["a", "can't understand 'a'"],
    ["a=b=c", "unescaped character in value"],
    [String.raw`a=\b`, String.raw`invalid escape sequence: \b`],
    ["a=b\\", "invalid escape sequence: \\"],
  ])("refuses %j: %s", (text, reason) => {
    expect(() => parseFieldSelector(text)).toThrow(
      expect.objectContaining({ message: expect.stringContaining(reason) }),
    );
  });

  it("carries any value through its escapes", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (value) => {
        const text = fieldSelectorText([{ field: "metadata.name", operator: "!=", value }]);
        expect(parseFieldSelector(text)).toEqual([{ field: "metadata.name", operator: "!=", value }]);
      }),
    );
  });
});

describe("matchesFields", () => {
  const pod = { metadata: { name: "p" }, spec: { nodeName: "gpu-1", hostNetwork: true, priority: 7, tags: ["a"] } };

  it("compares fields by their paths, the absent ones as empty", () => {
    expect(matchesFields(parseFieldSelector("metadata.name=p,spec.nodeName!=gpu-2"), pod)).toBe(true);
    expect(matchesFields(parseFieldSelector("spec.nodeName!=gpu-1"), pod)).toBe(false);
    expect(matchesFields(parseFieldSelector("status.phase="), pod)).toBe(true);
    expect(matchesFields([], pod)).toBe(true);
  });

  it("reads plain values only", () => {
    expect(fieldText(pod, "spec.hostNetwork")).toBe("true");
    expect(fieldText(pod, "spec.priority")).toBe("7");
    expect(fieldText(pod, "spec.tags")).toBe("");
    expect(fieldText(pod, "metadata.name.length")).toBe("");
    expect(fieldText(pod, "constructor.name")).toBe("");
  });

  it("asks for fields as it is told", () => {
    const unschedulable = (): string => "false";
    expect(matchesFields(parseFieldSelector("spec.unschedulable=false"), {}, unschedulable)).toBe(true);
  });
});
