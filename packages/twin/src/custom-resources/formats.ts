import { isIPv4, isIPv6 } from "node:net";
import { dns1123LabelProblems, dns1123SubdomainProblems } from "../kinds/name-checks.ts";

type Check = (text: string) => boolean;

const matches =
  (expression: RegExp): Check =>
  (text) =>
    expression.test(text);

const uuid = (version: string, variant: string): Check =>
  matches(new RegExp(`^[0-9a-f]{8}-?[0-9a-f]{4}-?${version}-?${variant}-?[0-9a-f]{12}$`, "i"));

function isDate(text: string): boolean {
  const match = /^(\d{4})-(\d\d)-(\d\d)$/.exec(text);
  if (match === null) return false;
  const date = new Date(`${text}T00:00:00Z`);
  return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(text);
}

function isDateTime(text: string): boolean {
  const match = /^(\d{4}-\d\d-\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:[.,]\d+)?(?:[Zz]|[+-]\d\d:?\d\d)?$/.exec(text);
  if (match === null) return false;
  return isDate(match[1] ?? "") && Number(match[2]) <= 23 && Number(match[3]) <= 59 && Number(match[4]) <= 59;
}

const durationUnits = "ns|us|µs|μs|ms|s|m|h";
const goDuration = new RegExp(`^[+-]?(?:0|(?:(?:\\d+\\.?\\d*|\\.\\d+)(?:${durationUnits}))+)$`);
const scalaDuration =
  /^\d+ ?(?:nanos|nanoseconds?|ns|micros|microseconds?|us|millis|milliseconds?|ms|s|sec|secs|seconds?|m|min|mins|minutes?|h|hr|hrs|hours?|d|days?|w|weeks?)$/;

function isUri(text: string): boolean {
  if (text.startsWith("/")) return !/[\s\p{Cc}]/u.test(text);
  return URL.canParse(text) && !/[ \p{Cc}]/u.test(text);
}

const ipOrBits = (address: string, bits: string): boolean => {
  if (!/^\d{1,3}$/.test(bits)) return false;
  return (isIPv4(address) && Number(bits) <= 32) || (isIPv6(address) && Number(bits) <= 128);
};

const isbn10 = (text: string): boolean => {
  const digits = text.replace(/[ -]/g, "");
  if (!/^\d{9}[\dX]$/.test(digits)) return false;
  const sum = Array.from(digits).reduce(
    (total, digit, index) => total + (10 - index) * (digit === "X" ? 10 : Number(digit)),
    0,
  );
  return sum % 11 === 0;
};

const isbn13 = (text: string): boolean => {
  const digits = text.replace(/[ -]/g, "");
  if (!/^\d{13}$/.test(digits)) return false;
  return (
    Array.from(digits).reduce((total, digit, index) => total + Number(digit) * (index % 2 === 0 ? 1 : 3), 0) % 10 === 0
  );
};

const isBase64: Check = (text) => /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(text);

const rgb = /^rgb\(\s*(\d{1,3})\s*,\s*(\d{1,3})\s*,\s*(\d{1,3})\s*\)$/;

/** The formats of custom resources' schemas, without dashes (apiextensions-apiserver/pkg/apiserver/validation/formats.go, go-openapi/strfmt). */
const checks: ReadonlyMap<string, Check> = new Map<string, Check>([
  ["bsonobjectid", matches(/^[0-9a-fA-F]{24}$/)],
  ["uri", isUri],
  ["email", matches(/^[^\s@<>]+@[^\s@<>]+$/)],
  ["hostname", (text) => text.length <= 255 && /^(?:[a-zA-Z0-9_](?:[a-zA-Z0-9_-]{0,62}[a-zA-Z0-9_])?\.?)+$/.test(text)],
  ["ipv4", isIPv4],
  ["ipv6", isIPv6],
  ["cidr", (text) => ipOrBits(text.slice(0, text.indexOf("/")), text.slice(text.indexOf("/") + 1))],
  ["mac", matches(/^(?:[0-9a-fA-F]{2}(?:[:-][0-9a-fA-F]{2}){5,7}|[0-9a-fA-F]{4}(?:\.[0-9a-fA-F]{4}){2,3})$/)],
  ["uuid", uuid("[0-9a-f]{4}", "[0-9a-f]{4}")],
  ["uuid3", uuid("3[0-9a-f]{3}", "[0-9a-f]{4}")],
  ["uuid4", uuid("4[0-9a-f]{3}", "[89ab][0-9a-f]{3}")],
  ["uuid5", uuid("5[0-9a-f]{3}", "[89ab][0-9a-f]{3}")],
  ["isbn", (text) => isbn10(text) || isbn13(text)],
  ["isbn10", isbn10],
  ["isbn13", isbn13],
  [
    "creditcard",
    (text) =>
      /^(?:4\d{12}(?:\d{3})?|5[1-5]\d{14}|6(?:011|5\d\d)\d{12}|3[47]\d{13}|3(?:0[0-5]|[68]\d)\d{11}|(?:2131|1800|35\d{3})\d{11})$/.test(
        text.replace(/\D/g, ""),
      ),
  ],
  ["ssn", matches(/^\d{3}[- ]?\d{2}[- ]?\d{4}$/)],
  ["hexcolor", matches(/^#?(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})$/)],
  ["rgbcolor", (text) => (rgb.exec(text)?.slice(1) ?? ["256"]).every((part) => Number(part) <= 255)],
  ["byte", isBase64],
  ["password", () => true],
  ["date", isDate],
  ["duration", (text) => goDuration.test(text) || scalaDuration.test(text)],
  ["datetime", isDateTime],
  ["k8sshortname", (text) => dns1123LabelProblems(text).length === 0],
  ["k8slongname", (text) => dns1123SubdomainProblems(text).length === 0],
]);

const normalized = (format: string): string => format.replaceAll("-", "");

/** Whether a schema's format says anything: other formats are ignored, with a warning when a definition is written. */
export function isKnownFormat(type: string | undefined, format: string): boolean {
  if (type === undefined || type === "" || type === "string") return checks.has(normalized(format));
  if (type === "integer") return format === "int32" || format === "int64";
  return type === "number" && (format === "float" || format === "double");
}

export const fitsFormat = (format: string, text: string): boolean => checks.get(normalized(format))?.(text) ?? true;
