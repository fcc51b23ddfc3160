import { DecodeFailure } from "./typed-value.ts";

/** What a field's value is written as (https://protobuf.dev/programming-guides/encoding). */
export const wireTypes = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

const endOfInput = (): DecodeFailure => new DecodeFailure("unexpected EOF");

/**
 * Goes through the fields of a message in their order, checked as gogo's generated `Unmarshal` checks them. One object for
 * a message and none for a field: bodies may have millions.
 */
export class MessageReader {
  readonly #message: string;
  readonly #bytes: Buffer;
  readonly #end: number;
  #at: number;
  /** Of the field that `next` found. */
  number = 0;
  /** One of {@link wireTypes}. */
  wire = 0;
  /** The lower and the upper 32 bits of a varint, as signed integers. */
  low = 0;
  high = 0;
  /** Where the bytes of other types are. */
  start = 0;
  end = 0;

  constructor(message: string, bytes: Buffer, start = 0, end = bytes.length) {
    this.#message = message;
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
  }

  /** Whether there is another field. @throws DecodeFailure in gogo's words */
  next(): boolean {
    while (this.#at < this.#end) {
      this.#varint();
      const number = (this.low >>> 3) | (this.high << 29) | 0;
      const wire = this.low & 7;
      if (wire === 3) {
        this.#skipGroup();
        continue;
      }
      if (wire === 4) throw new DecodeFailure(`proto: ${this.#message}: wiretype end group for non-group`);
      if (number <= 0) {
        throw new DecodeFailure(`proto: ${this.#message}: illegal tag ${number} (wire type ${this.unsigned()})`);
      }
      this.number = number;
      this.wire = wire;
      this.#value(wire);
      return true;
    }
    return false;
  }

  /** A varint as Go's `int64`; beyond 2^53 the nearest number. */
  signed(): number {
    return this.high * 0x1_0000_0000 + (this.low >>> 0);
  }

  /** The same as `uint64`. */
  unsigned(): number {
    return (this.high >>> 0) * 0x1_0000_0000 + (this.low >>> 0);
  }

  /** A number of a packed list, in place of a field. */
  nextPacked(): boolean {
    if (this.#at >= this.#end) return false;
    this.#varint();
    return true;
  }

  #varint(): void {
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (this.#at >= this.#end) throw endOfInput();
      const byte = this.#bytes[this.#at++] ?? 0;
      const part = byte & 0x7f;
      if (shift < 32) low |= part << shift;
      if (shift === 28) high |= part >>> 4;
      else if (shift > 32) high |= part << (shift - 32);
      if (byte < 0x80) {
        this.low = low;
        this.high = high;
        return;
      }
    }
    throw new DecodeFailure("proto: integer overflow");
  }

  #value(wire: number): void {
    if (wire === wireTypes.varint) {
      this.#varint();
      return;
    }
    let length: number;
    if (wire === wireTypes.bytes) {
      this.#varint();
      length = this.signed();
      if (length < 0) throw new DecodeFailure("proto: negative length found during unmarshaling");
    } else if (wire === wireTypes.fixed64) length = 8;
    else if (wire === wireTypes.fixed32) length = 4;
    else throw new DecodeFailure(`proto: illegal wireType ${wire}`);
    if (this.#at + length > this.#end) throw endOfInput();
    this.start = this.#at;
    this.#at += length;
    this.end = this.#at;
  }

  /** No type of Kubernetes has groups: they are passed over. */
  #skipGroup(): void {
    for (let depth = 1; depth > 0;) {
      this.#varint();
      const wire = this.low & 7;
      if (wire === 3) depth++;
      else if (wire === 4) depth--;
      else this.#value(wire);
    }
  }
}
