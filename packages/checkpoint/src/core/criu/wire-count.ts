import { ScalarType } from "@bufbuild/protobuf";
import type { DescMessage } from "@bufbuild/protobuf";

/** What a field's bytes are to a count. */
type Content = { readonly message: DescMessage } | { readonly packed: "varint" | 4 | 8 };

const eight: ReadonlySet<ScalarType> = new Set([ScalarType.FIXED64, ScalarType.SFIXED64, ScalarType.DOUBLE]);
const four: ReadonlySet<ScalarType> = new Set([ScalarType.FIXED32, ScalarType.SFIXED32, ScalarType.FLOAT]);
const contents = new WeakMap<DescMessage, ReadonlyMap<number, Content>>();

function contentsOf(descriptor: DescMessage): ReadonlyMap<number, Content> {
  let found = contents.get(descriptor);
  if (found === undefined) {
    found = new Map(
      descriptor.fields.flatMap((field): (readonly [number, Content])[] => {
        if (field.fieldKind === "message") return [[field.number, { message: field.message }]];
        if (field.fieldKind !== "list") return [];
        if (field.listKind === "message") return [[field.number, { message: field.message }]];
        if (field.listKind === "enum") return [[field.number, { packed: "varint" }]];
        if (field.scalar === ScalarType.BYTES || field.scalar === ScalarType.STRING) return [];
        return [[field.number, { packed: eight.has(field.scalar) ? 8 : four.has(field.scalar) ? 4 : "varint" }]];
      }),
    );
    contents.set(descriptor, found);
  }
  return found;
}

/** A decoded message takes as much as so many fields: 800 bytes, where two bytes can be an empty one. */
export const messageWeight = 8;

/**
 * Counts the values that decoding a message would make: fields, elements of lists, and messages as {@link messageWeight} of them. Makes nothing itself.
 * Stops at `limit`, and where the bytes are malformed, which decoding then says better.
 *
 * @returns the count; more than `limit` when there are more
 */
export function countValues(descriptor: DescMessage, bytes: Uint8Array, limit: number): number {
  // Two lists instead of one of pairs: a hostile message opens millions.
  const open: DescMessage[] = [descriptor];
  const ends: number[] = [bytes.length];
  let count = messageWeight;
  let at = 0;
  /** A varint below 2^32; anything larger is no length and no tag, and ends the walk. */
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; at < bytes.length; shift += 7) {
      const byte = bytes[at++] ?? 0;
      if (shift < 35) value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
      if (shift > 63) break;
    }
    return Number.POSITIVE_INFINITY;
  };
  for (let within = open.at(-1); within !== undefined && count <= limit; within = open.at(-1)) {
    const last = ends.at(-1) ?? 0;
    if (at >= last) {
      open.pop();
      ends.pop();
      continue;
    }
    const tag = varint();
    count += 1;
    const wireType = tag % 8;
    if (wireType === 0) varint();
    else if (wireType === 1) at += 8;
    else if (wireType === 5) at += 4;
    else if (wireType === 2) {
      const length = varint();
      const end = at + length;
      if (!(end <= last)) return count;
      const content = contentsOf(within).get(Math.floor(tag / 8));
      if (content === undefined) at = end;
      else if ("message" in content) {
        count += messageWeight;
        open.push(content.message);
        ends.push(end);
      } else if (content.packed !== "varint") {
        count += Math.floor(length / content.packed);
        at = end;
      } else for (; at < end && count <= limit; at += 1) if ((bytes[at] ?? 0) < 0x80) count += 1;
    } else if (wireType !== 3 && wireType !== 4) return count;
    // Groups, which CRIU has none of, are walked through like the fields in them.
  }
  return count;
}
