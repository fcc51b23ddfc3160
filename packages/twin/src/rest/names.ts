import type { Random } from "@fleetwright/kube";

/** Without vowels and look-alikes: no word can come out (k8s.io/apimachinery/pkg/util/rand). */
const alphabet = "bcdfghjklmnpqrstvwxz2456789";
const suffixLength = 5;
const maximumNameLength = 63;

function randomSuffix(random: Random, length = suffixLength): string {
  let text = "";
  for (let index = 0; index < length; index++) text += alphabet[Math.floor(random.next() * alphabet.length)];
  return text;
}

/** A name from `generateName` (k8s.io/apiserver/pkg/storage/names/generate.go). */
export const generateName = (random: Random, base: string): string =>
  base.slice(0, maximumNameLength - suffixLength) + randomSuffix(random);

/** A version 4 UUID from the server's randomness, so that a seeded server repeats its uids. */
export function uid(random: Random): string {
  let hex = "";
  for (let index = 0; index < 4; index++) {
    hex += Math.floor(random.next() * 2 ** 32)
      .toString(16)
      .padStart(8, "0");
  }
  const variant = ((Number.parseInt(hex.charAt(16), 16) & 3) | 8).toString(16);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
