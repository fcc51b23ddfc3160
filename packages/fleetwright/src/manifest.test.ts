import { describe, expect, it } from "vitest";
import { parseManifest } from "./manifest.ts";

const pod = (name: string): string => `apiVersion: v1\nkind: Pod\nmetadata:\n  name: ${name}\n`;

describe("parseManifest", () => {
  it("reads several documents and skips empty ones", () => {
    const objects = parseManifest(`${pod("a")}---\n# nothing\n---\n${pod("b")}`, "w.yaml");
    expect(objects.map(({ object, line }) => [object.metadata.name, line])).toEqual([
      ["a", 1],
      ["b", 8],
    ]);
  });

  it("opens a List", () => {
    const list = JSON.stringify({
      apiVersion: "v1",
      kind: "List",
      items: [{ apiVersion: "v1", kind: "Pod", metadata: { name: "x" } }],
    });
    expect(parseManifest(list, "-")[0]?.object.metadata.name).toBe("x");
  });

  it.each([
    ["apiVersion: v1\nkind: Pod\nmetadata: {name: a\n", /^w\.yaml:\d+:\d+: /],
    ["apiVersion: v1\n  kind: Pod\n", /^w\.yaml:\d+:\d+: /],
    ["kind: Pod\nmetadata:\n  name: a\n", /^w\.yaml:1:1: apiVersion is missing/],
    ["apiVersion: v1\nkind: 7\nmetadata:\n  name: a\n", /^w\.yaml:2:7: kind is missing or not text/],
    ["apiVersion: v1\nkind: Pod\nmetadata:\n  labels: {}\n", /^w\.yaml:4:3: metadata\.name is missing/],
    ["- a\n", /^w\.yaml:1:1: is not a Kubernetes object/],
    ["", /^w\.yaml:1:1: holds no object/],
  ])("points at what is wrong in %j", (content, message) => {
    expect(() => parseManifest(content, "w.yaml")).toThrow(message);
  });
});
