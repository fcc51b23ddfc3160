/** Scalars that Go reads with methods of their own, with their messages. */
import { FleetwrightError, parseQuantity } from "@fleetwright/kube";
import { createMemo } from "../machinery/memo.ts";

/** The value, or why it is none. */
export type Read<T> = { readonly value: T; readonly problem?: undefined } | { readonly problem: string };

const quantityProblem = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

/** Texts are few and come again with every object. */
const canonical = createMemo<Read<string>>(4096);

/** `resource.Quantity`: canonical. */
export const readQuantity = (text: string): Read<string> =>
  text.length <= 32 ? canonical(text, parseCanonical) : parseCanonical(text);

function parseCanonical(text: string): Read<string> {
  try {
    return { value: parseQuantity(text.trim()).toString() };
  } catch (error) {
    if (!(error instanceof FleetwrightError)) throw error;
    const known = ["unable to parse numeric part of quantity", "unable to parse quantity's suffix"];
    return { problem: known.find((message) => error.message.includes(message)) ?? quantityProblem };
  }
}

/** Bytes as base64 with padding (Go's `base64.StdEncoding`, which takes line breaks). */
export function readBase64(text: string): Read<string> {
  if (text.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(text)) return { value: text };
  let quantum = 0;
  let start = 0;
  for (let at = 0; at < text.length; at++) {
    const character = text[at] ?? "";
    if (character === "\n" || character === "\r") continue;
    if (quantum === 0) start = at;
    if (/[A-Za-z0-9+/]/.test(character)) {
      quantum = (quantum + 1) % 4;
      continue;
    }
    if (character !== "=" || quantum < 2) return { problem: `illegal base64 data at input byte ${at}` };
    const rest = text.slice(at).replace(/[\r\n]/g, "");
    if (rest.length < 4 - quantum || !rest.startsWith("=".repeat(4 - quantum))) {
      return { problem: `illegal base64 data at input byte ${Math.min(text.length, at + 1)}` };
    }
    if (rest.length > 4 - quantum) return { problem: `illegal base64 data at input byte ${at + 4 - quantum}` };
    quantum = 0;
    break;
  }
  if (quantum !== 0) return { problem: `illegal base64 data at input byte ${start}` };
  return { value: Buffer.from(text, "base64").toString("base64") };
}

interface TimeLayout {
  readonly text: string;
  /** Microseconds are wanted, six digits of them. */
  readonly micro: boolean;
}

const secondsLayout: TimeLayout = { text: "2006-01-02T15:04:05Z07:00", micro: false };
const microLayout: TimeLayout = { text: "2006-01-02T15:04:05.000000Z07:00", micro: true };

const pieces: readonly (readonly [layout: string, pattern: RegExp])[] = [
  ["2006", /^\d{4}/],
  ["-", /^-/],
  ["01", /^\d{2}/],
  ["-", /^-/],
  ["02", /^\d{2}/],
  ["T", /^T/],
  ["15", /^\d{2}/],
  [":", /^:/],
  ["04", /^\d{2}/],
  [":", /^:/],
  ["05", /^\d{2}/],
];

const ranges = ["", "", "month", "", "day", "", "hour", "", "minute", "", "second"] as const;

const limits: Readonly<Record<(typeof ranges)[number], readonly [number, number]>> = {
  "": [0, 9999],
  month: [1, 12],
  day: [0, 99],
  hour: [0, 23],
  minute: [0, 59],
  second: [0, 59],
};

function daysIn(year: number, month: number): number {
  return new Date(Date.UTC(2000 + (year % 400), month, 0)).getUTCDate();
}

function parseTime(text: string, layout: TimeLayout): Read<{ readonly seconds: number; readonly micros: number }> {
  const start = `parsing time ${JSON.stringify(text)}`;
  const cannot = (rest: string, piece: string): Read<never> => ({
    problem: `${start} as ${JSON.stringify(layout.text)}: cannot parse ${JSON.stringify(rest)} as ${JSON.stringify(piece)}`,
  });
  const outOfRange = (name: string): Read<never> => ({ problem: `${start}: ${name} out of range` });
  let rest = text;
  const numbers: number[] = [];
  let wrong = "";
  for (const [index, [piece, pattern]] of pieces.entries()) {
    const match = pattern.exec(rest);
    if (match === null) return wrong === "" ? cannot(rest, piece) : outOfRange(wrong);
    const digits = match[0];
    rest = rest.slice(digits.length);
    if (!/^\d/.test(digits)) continue;
    const value = Number(digits);
    numbers.push(value);
    const [least, most] = limits[ranges[index] ?? ""];
    if (wrong === "" && (value < least || value > most)) wrong = ranges[index] ?? "";
  }
  if (wrong !== "") return outOfRange(wrong);
  const fraction = /^[.,]\d+/.exec(rest)?.[0] ?? "";
  if (layout.micro && !/^\.\d{6}$/.test(fraction)) return cannot(rest, ".000000");
  rest = rest.slice(fraction.length);
  const zone = /^(?:Z|([+-])(\d{2}):(\d{2}))/.exec(rest);
  if (zone === null) return cannot(rest, "Z07:00");
  rest = rest.slice(zone[0].length);
  if (rest !== "") return { problem: `${start}: extra text: ${JSON.stringify(rest)}` };
  const [year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0] = numbers;
  if (day < 1 || day > daysIn(year, month)) return outOfRange("day");
  const offset =
    zone[1] === undefined ? 0 : (zone[1] === "-" ? -1 : 1) * (Number(zone[2]) * 3600 + Number(zone[3]) * 60);
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  date.setUTCHours(hour, minute, second);
  return {
    value: {
      seconds: date.getTime() / 1000 - offset,
      micros: Number(fraction.slice(1, 7).padEnd(6, "0")),
    },
  };
}

const usualTime = /^[12]\d{3}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\dZ$/;

/** A time in the form in which it is written. */
export const isUsualTime = (text: string): boolean => text.length === 20 && usualTime.test(text);

/** `metav1.Time`: RFC 3339, kept to the second, in UTC. */
export function readTime(text: string): Read<string> {
  if (isUsualTime(text)) return { value: text };
  const time = parseTime(text, secondsLayout);
  if (time.problem !== undefined) return time;
  return { value: `${new Date(time.value.seconds * 1000).toISOString().slice(0, -5)}Z` };
}

/** `metav1.MicroTime`: RFC 3339 with six digits of a second, in UTC. */
export function readMicroTime(text: string): Read<string> {
  const time = parseTime(text, microLayout);
  if (time.problem !== undefined) return time;
  const seconds = new Date(time.value.seconds * 1000).toISOString().slice(0, -5);
  return { value: `${seconds}.${String(time.value.micros).padStart(6, "0")}Z` };
}
