import { expect, it } from "vitest";
import { inetSocket, unixSocket } from "./socket.ts";

/** As CRIU stores an address: the kernel's bytes, read as little-endian words. */
const words = (...bytes: readonly number[]): readonly number[] =>
  Array.from({ length: bytes.length / 4 }, (_, index) => Buffer.from(bytes).readUInt32LE(4 * index));

it("names both ends of a connection, and what waited in it", () => {
  const entry = {
    family: 2,
    type: 1,
    proto: 6,
    state: 1,
    src_port: 8080,
    dst_port: 41_000,
    src_addr: words(10, 78, 1, 2),
    dst_addr: words(10, 78, 2, 200),
  };
  expect(inetSocket(entry, { inq_len: 5, outq_len: 0 })).toEqual({
    family: "INET",
    type: "STREAM",
    protocol: "TCP",
    state: "ESTABLISHED",
    source: "10.78.1.2:8080",
    destination: "10.78.2.200:41000",
    receiveQueue: 5,
    sendQueue: 0,
  });
});

it("writes IPv6 addresses in their short form", () => {
  const address = words(0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);
  expect(
    inetSocket({ family: 10, type: 2, proto: 17, state: 7, src_port: 53, dst_port: 0, src_addr: address }, undefined),
  ).toEqual({
    family: "INET6",
    type: "DGRAM",
    protocol: "UDP",
    state: "CLOSE",
    source: "[2001:db8::1]:53",
  });
});

it.each([
  ["/run/app.sock=00", "/run/app.sock"],
  ["=00app", "@app"],
  ["", undefined],
])("tells a path from an abstract name: %j", (name, source) => {
  expect(unixSocket({ type: 1, state: 10, name }).source).toBe(source);
});
