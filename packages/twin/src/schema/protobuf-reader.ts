import { DecodeFailure } from "./typed-value.ts";

/** What a field's value is written as (https://protobuf.dev/programming-guides/encoding). */
export type WireType = "varint" | "fixed64" | "bytes" | "fixed32";

const wireTypes: readonly (WireType | undefined)[] = ["varint", "fixed64", "bytes", undefined, undefined, "fixed32"];

export const wireNumbers: Readonly<Record<WireType, number>> = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 };

/** One field of a message: numbers as the 64 bits that they are, or bytes. */
export interface WireField {
  readonly number: number;
  readonly wire: WireType;
  /** Of `varint`; other types leave it 0. */
  readonly value: bigint;
  /** Of the other types. */
  readonly bytes: Buffer;
}

const nothing = Buffer.alloc(0);
const endOfInput = (): DecodeFailure => new DecodeFailure("unexpected EOF");

/** A length as Go's `int`. Beyond what a number holds exactly it is beyond any input. */
function lengthOf(bits: bigint): number {
  const length = BigInt.asIntN(64, bits);
  if (length < 0n) throw new DecodeFailure("proto: negative length found during unmarshaling");
  return Number(length);
}

/**
 * The fields of a message in their order, checked as gogo's generated `Unmarshal` checks them.
 *
 * @throws DecodeFailure in its words
 */
export function* wireFields(message: string, bytes: Buffer): Generator<WireField> {
  let at = 0;
  function varint(): bigint {
    // Most are below 2^28, which needs no big integers.
    let small = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = bytes[at++];
      if (byte === undefined) throw endOfInput();
      small |= (byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt(small);
    }
    let value = BigInt(small);
    for (let shift = 28n; shift < 64n; shift += 7n) {
      const byte = bytes[at++];
      if (byte === undefined) throw endOfInput();
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asUintN(64, value);
    }
    throw new DecodeFailure("proto: integer overflow");
  }
  function take(length: number): Buffer {
    if (at + length > bytes.length) throw endOfInput();
    const taken = bytes.subarray(at, at + length);
    at += length;
    return taken;
  }
  /** No type of Kubernetes has groups: they are passed over. */
  function skipGroup(): void {
    for (let depth = 1; depth > 0;) {
      const wireNumber = Number(varint() & 7n);
      if (wireNumber === 3) depth++;
      else if (wireNumber === 4) depth--;
      else if (wireNumber === 0) varint();
      else if (wireNumber === 2) take(lengthOf(varint()));
      else if (wireNumber === 1 || wireNumber === 5) take(wireNumber === 1 ? 8 : 4);
      else throw new DecodeFailure(`proto: illegal wireType ${wireNumber}`);
    }
  }
  while (at < bytes.length) {
    const tag = varint();
    const number = Number(BigInt.asIntN(32, tag >> 3n));
    const wireNumber = Number(tag & 7n);
    if (wireNumber === 3) {
      skipGroup();
      continue;
    }
    if (wireNumber === 4) throw new DecodeFailure(`proto: ${message}: wiretype end group for non-group`);
    if (number <= 0) throw new DecodeFailure(`proto: ${message}: illegal tag ${number} (wire type ${tag})`);
    const wire = wireTypes[wireNumber];
    if (wire === undefined) throw new DecodeFailure(`proto: illegal wireType ${wireNumber}`);
    if (wire === "varint") yield { number, wire, value: varint(), bytes: nothing };
    else if (wire === "bytes") yield { number, wire, value: 0n, bytes: take(lengthOf(varint())) };
    else yield { number, wire, value: 0n, bytes: take(wire === "fixed64" ? 8 : 4) };
  }
}
