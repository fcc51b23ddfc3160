import { describe, expect, it } from "vitest";
import { parseAddress, parseServiceName } from "./address.ts";

describe("parseAddress", () => {
  it.each([
    ["127.0.0.1:9443", { host: "127.0.0.1", port: 9443 }],
    [":8080", { host: "0.0.0.0", port: 8080 }],
    ["[::1]:0", { host: "::1", port: 0 }],
  ])("reads %s", (value, address) => {
    expect(parseAddress(value, "--a")).toEqual(address);
  });
  it.each(["9443", "host:", "host:70000", "a:b:1"])("refuses %s and names the flag", (value) => {
    expect(() => parseAddress(value, "--a")).toThrow(`--a "${value}": write host:port`);
  });
});

describe("parseServiceName", () => {
  it("reads namespace/name, falls back on nothing, refuses the rest", () => {
    const fallback = { namespace: "n", name: "f" };
    expect(parseServiceName("a/b", fallback)).toEqual({ namespace: "a", name: "b" });
    expect(parseServiceName("", fallback)).toBe(fallback);
    expect(() => parseServiceName("a", fallback)).toThrow("write namespace/name");
  });
});
