/**
 * `metav1.MicroTime`: RFC 3339 with exactly six digits of a second, which the server insists on.
 *
 * @param at milliseconds since the epoch
 *
 * @example
 * microTime(0); // "1970-01-01T00:00:00.000000Z"
 */
export function microTime(at: number): string {
  const micros = Math.round((at - Math.floor(at)) * 1000);
  return new Date(Math.floor(at)).toISOString().replace("Z", `${String(Math.min(micros, 999)).padStart(3, "0")}Z`);
}
