/** A number, or text such as `"25%"` or a port's name. */
export type IntOrString = number | string;

/** A quantity as text: `"500m"`, `"8Gi"`. The server always sends text; {@link Quantity} computes with it. */
export type QuantityText = string;

/** RFC 3339 with seconds: `"2026-11-21T02:34:55Z"`. */
export type Time = string;

/** RFC 3339 with exactly six digits of a second: `"2026-11-21T02:34:55.123456Z"`; the server refuses others. */
export type MicroTime = string;
