import type { JsonObject } from "../criu/message-json.ts";
import { numberOf, numbersOf, textOf } from "./entry-fields.ts";

export interface Socket {
  /** `INET`, `INET6`, `UNIX`, `NETLINK`, `PACKET`. */
  readonly family: string;
  /** `STREAM`, `DGRAM`, `SEQPACKET`, `RAW`. */
  readonly type: string;
  /** `LISTEN`, `ESTABLISHED`, …; a TCP connection that is established does not survive without `tcp-established`. */
  readonly state?: string;
  readonly protocol?: string;
  /** `address:port`, or a path; an abstract name begins with `@`. */
  readonly source?: string;
  readonly destination?: string;
  /** Bytes that waited to be read and to be sent. */
  readonly receiveQueue?: number;
  readonly sendQueue?: number;
}

// Linux' numbers: bits/socket.h, net/tcp_states.h, netinet/in.h.
const families: Readonly<Record<number, string>> = { 1: "UNIX", 2: "INET", 10: "INET6", 16: "NETLINK", 17: "PACKET" };
const types: Readonly<Record<number, string>> = { 1: "STREAM", 2: "DGRAM", 3: "RAW", 5: "SEQPACKET", 10: "PACKET" };
const protocols: Readonly<Record<number, string>> = {
  1: "ICMP",
  6: "TCP",
  17: "UDP",
  58: "ICMPV6",
  136: "UDPLITE",
  262: "MPTCP",
};
const states = [
  "",
  "ESTABLISHED",
  "SYN_SENT",
  "SYN_RECV",
  "FIN_WAIT1",
  "FIN_WAIT2",
  "TIME_WAIT",
  "CLOSE",
  "CLOSE_WAIT",
  "LAST_ACK",
  "LISTEN",
  "CLOSING",
  "NEW_SYN_RECV",
] as const;

const named = (names: Readonly<Record<number, string>>, value: number | undefined): string =>
  value === undefined ? "" : (names[value] ?? String(value));

/** CRIU keeps addresses as the 32-bit words that the kernel has in network order. */
function addressText(words: readonly number[]): string | undefined {
  const bytes = Buffer.alloc(4 * words.length);
  for (const [index, word] of words.entries()) bytes.writeUInt32LE(word >>> 0, 4 * index);
  if (bytes.length === 4) return bytes.join(".");
  if (bytes.length !== 16) return undefined;
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(2 * index).toString(16)).join(":");
  // The shortest form of an IPv6 address, brackets included, is what a URL's host has.
  return new URL(`http://[${groups}]`).hostname;
}

function endpoint(entry: JsonObject, side: "src" | "dst"): string | undefined {
  const address = addressText(numbersOf(entry, `${side}_addr`));
  const port = numberOf(entry, `${side}_port`) ?? 0;
  return address === undefined || (side === "dst" && port === 0) ? undefined : `${address}:${port}`;
}

/** A TCP or UDP socket; `stream` is the entry of its `tcp-stream` image. */
export function inetSocket(entry: JsonObject, stream: JsonObject | undefined): Socket {
  const [source, destination] = [endpoint(entry, "src"), endpoint(entry, "dst")];
  const [receiveQueue, sendQueue] = [numberOf(stream, "inq_len"), numberOf(stream, "outq_len")];
  return {
    family: named(families, numberOf(entry, "family")),
    type: named(types, numberOf(entry, "type")),
    state: named(states, numberOf(entry, "state")),
    protocol: named(protocols, numberOf(entry, "proto")),
    ...(source === undefined ? {} : { source }),
    ...(destination === undefined ? {} : { destination }),
    ...(receiveQueue === undefined ? {} : { receiveQueue }),
    ...(sendQueue === undefined ? {} : { sendQueue }),
  };
}

export function unixSocket(entry: JsonObject): Socket {
  // Quoted-printable, as crit writes it: an abstract name begins with a NUL, a path ends in one.
  const name = (textOf(entry, "name") ?? "").replace(/^=00/, "@").replace(/=00$/, "");
  return {
    family: "UNIX",
    type: named(types, numberOf(entry, "type")),
    state: named(states, numberOf(entry, "state")),
    ...(name === "" ? {} : { source: name }),
  };
}

export const netlinkSocket = (entry: JsonObject): Socket => ({
  family: "NETLINK",
  type: "RAW",
  protocol: String(numberOf(entry, "protocol") ?? ""),
});

export const packetSocket = (entry: JsonObject): Socket => ({
  family: "PACKET",
  type: named(types, numberOf(entry, "type")),
  protocol: String(numberOf(entry, "protocol") ?? ""),
});
