import { isIPv4, isIPv6 } from "node:net";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  cidrErrors,
  cidrText,
  endpointIpErrors,
  ipErrors,
  ipText,
  legacyIpErrors,
  parseCidr,
  parseIp,
} from "./ip-checks.ts";

const details = (errors: readonly { readonly message: string }[]): string[] =>
  errors.map(({ message }) => message.replace(/^Invalid value: "[^"]*": /, ""));

describe("addresses", () => {
  it("come back as they were read, in the canonical form", () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (text) => {
        const address = parseIp(text);
        if (address === undefined) throw new Error(`${text} was not read`);
        const canonical = ipText(address);
        expect(isIPv4(canonical) || isIPv6(canonical)).toBe(true);
        expect(parseIp(canonical)?.value).toBe(address.value);
        expect(new URL(`http://[${address.family === 6 ? canonical : "::1"}]/`).hostname).toBe(
          `[${address.family === 6 ? canonical : "::1"}]`,
        );
      }),
    );
  });

  it.each([
    ["2001:db8:0:0:0:0:0:1", "2001:db8::1"],
    ["2001:DB8::", "2001:db8::"],
    ["1:0:0:2:0:0:0:3", "1:0:0:2::3"],
    ["::ffff:1.2.3.4", "1.2.3.4"],
    ["::1.2.3.4", "::102:304"],
    ["010.0.0.1", "10.0.0.1"],
  ])("writes %s as %s", (text, canonical) => {
    const address = parseIp(text);
    expect(address && ipText(address)).toBe(canonical);
  });

  it.each(["", "1.2.3", "1.2.3.256", "1.2.3.4.5", "::g", "fe80::1%eth0", "1:2"])("does not read %j", (text) => {
    expect(parseIp(text)).toBeUndefined();
  });

  it.each([
    ["010.0.0.1", ["must not have leading 0s"]],
    ["::ffff:1.2.3.4", ["must not be an IPv4-mapped IPv6 address"]],
    ["x", ["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"]],
    ["2001:DB8::1", []],
  ])("%j in an old field: %j", (text, problems) => {
    expect(details(legacyIpErrors("ip", text))).toEqual(problems);
  });

  it("asks for the canonical form in new fields", () => {
    expect(details(ipErrors("ip", "2001:DB8::1"))).toEqual(['must be in canonical form ("2001:db8::1")']);
  });

  it("leaves an odd spelling that the old object has", () => {
    expect(legacyIpErrors("ip", "010.0.0.1", ["010.0.0.1"])).toEqual([]);
  });

  it.each(["0.0.0.0", "::", "127.1.2.3", "::1", "169.254.9.9", "fe80::9", "224.0.0.9", "ff02::9", "ff12::9"])(
    "no endpoint has %s",
    (text) => {
      expect(endpointIpErrors("ip", text)).toHaveLength(1);
    },
  );
});

describe("ranges", () => {
  it.each([
    ["10.1.2.3/8", "10.0.0.0/8"],
    ["2001:db8::1/64", "2001:db8::/64"],
    ["10.0.0.0/08", "10.0.0.0/8"],
    ["1.2.3.4/0", "0.0.0.0/0"],
  ])("%s is of the network %s", (text, network) => {
    const range = parseCidr(text);
    expect(range && cidrText(range)).toBe(network);
  });

  it.each(["10.0.0.0", "10.0.0.0/33", "::/129", "x/8", "10.0.0.0/-1", "10.0.0.0/"])("does not read %j", (text) => {
    expect(parseCidr(text)).toBeUndefined();
  });

  it("refuses bits beyond the prefix", () => {
    expect(details(cidrErrors("cidr", "10.0.0.1/24"))).toEqual(["must not have bits set beyond the prefix length"]);
  });
});
