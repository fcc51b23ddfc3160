/** Digits as upstream's `rand.SafeEncodeString` writes them. */
const alphabet = "bcdfghjklmnpqrstvwxz2456789";

/** JSON with sorted keys: the same for equal values. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const entries = Object.entries(value).toSorted(([left], [right]) => (left < right ? -1 : 1));
  return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${canonical(item)}`).join(",")}}`;
}

/**
 * A short name for a template, as `ComputeHash` makes one: FNV-1a, and the number of collisions so far. Upstream hashes Go's
 * print of the struct, so the texts differ from a real cluster's.
 */
export function templateHash(template: unknown, collisionCount = 0): string {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(canonical(template) + (collisionCount === 0 ? "" : String(collisionCount)))) {
    hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  }
  return Array.from(String(hash), (digit) => alphabet[digit.charCodeAt(0) % alphabet.length]).join("");
}
