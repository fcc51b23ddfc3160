import { describe, expect, it } from "vitest";
import { Version } from "./version.ts";

const place = { key: "a/one", revision: 7, index: "" };

describe("a version", () => {
  it("is kept in one form and shown in both", () => {
    const object = { kind: "Pod", apiVersion: "v1", metadata: { name: "one" } };
    const bytes = Buffer.from(JSON.stringify(object));
    expect(new Version(place, { bytes }).object).toEqual(object);
    expect(new Version(place, { object }).bytes).toEqual(bytes);
    expect(new Version(place, { object }).size).toBe(bytes.length);
  });

  it("keeps the other form for a while, and not for ever", () => {
    const text = JSON.stringify({ data: "x".repeat(1_000_000) });
    const versions = Array.from({ length: 8 }, () => new Version(place, { bytes: Buffer.from(text) }));
    const [first] = versions;
    const { object } = first ?? {};
    expect(first?.object).toBe(object);
    for (const version of versions) void version.object;
    expect(first?.object).not.toBe(object);
    expect(first?.object).toEqual(object);
  });
});
