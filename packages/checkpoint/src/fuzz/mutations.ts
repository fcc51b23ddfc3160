import type { Random } from "@fleetwright/kube";

const below = (random: Random, limit: number): number => Math.floor(random.next() * limit);

/** Values that lengths and counts are lied with. */
const interesting = [0, 1, 0x7f, 0x80, 0xff, 0x100, 0x1ff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff];

/** One to four changes of some bytes: flipped, overwritten, lied, cut off, doubled, taken out, put in. */
export function mutated(random: Random, bytes: Uint8Array): Buffer {
  let result: Buffer = Buffer.from(bytes);
  for (let changes = 1 + below(random, 4); changes > 0; changes--) {
    const at = below(random, result.length + 1);
    const length = 1 + below(random, 64);
    switch (below(random, 8)) {
      case 0:
        if (at < result.length) result[at] = (result[at] ?? 0) ^ (1 << below(random, 8));
        break;
      case 1:
        if (at < result.length) result[at] = below(random, 256);
        break;
      case 2:
        if (at + 4 <= result.length) result.writeUInt32LE(interesting[below(random, interesting.length)] ?? 0, at);
        break;
      case 3:
        result = result.subarray(0, at);
        break;
      case 4:
        result = Buffer.concat([result.subarray(0, at), result.subarray(at, at + length), result.subarray(at)]);
        break;
      case 5:
        result = Buffer.concat([result.subarray(0, at), result.subarray(at + length)]);
        break;
      case 6:
        result = Buffer.concat([
          result.subarray(0, at),
          Buffer.from(Array.from({ length }, () => below(random, 256))),
          result.subarray(at),
        ]);
        break;
      default:
        result = Buffer.concat([
          result.subarray(0, at),
          Buffer.alloc(length, random.next() < 0.5 ? 0 : 0xff),
          result.subarray(at),
        ]);
    }
    result = Buffer.from(result);
  }
  return result;
}

/** A whole 512-byte header of a tar with one field lied and its sum mended, so that readers get past the sum. */
export function liedHeader(random: Random, tar: Uint8Array): Buffer {
  const result = Buffer.from(tar);
  const blocks = Math.floor(result.length / 512);
  const start = below(random, Math.max(1, blocks)) * 512;
  if (start + 512 > result.length) return result;
  const names = [
    "../outside",
    "/etc/passwd",
    "checkpoint/../../x",
    "./config.dump",
    "config.dump",
    "checkpoint//pstree.img",
    "a\0b",
    "x".repeat(100),
  ];
  switch (below(random, 5)) {
    case 0:
      result.fill(0, start, start + 100);
      result.write(names[below(random, names.length)] ?? "", start, 100, "latin1");
      break;
    case 1:
      result[start + 156] = "0123456789gxLKSV\0".charCodeAt(below(random, 17));
      break;
    case 2:
      result.write(
        ["00000000000", "77777777777", "00000000777", "-0000000001", "\u0080\0\0\0\0\0\0\xff\xff\xff\xff\xff"][
          below(random, 5)
        ] ?? "",
        start + 124,
        12,
        "latin1",
      );
      break;
    case 3:
      result.write("../../etc/shadow", start + 157, 100, "latin1");
      break;
    default:
      result.write("../".repeat(40), start + 345, 155, "latin1");
  }
  result.fill(0x20, start + 148, start + 156);
  const sum = result.subarray(start, start + 512).reduce((total, byte) => total + byte, 0);
  result.write(`${sum.toString(8).padStart(6, "0")}\0 `, start + 148, 8, "latin1");
  return result;
}
