import type { Exchange } from "./scenario.ts";
import type { RawExchange } from "./session.ts";

/** What of a run is accidental. */
export interface Surroundings {
  readonly url: string;
  /** Unix milliseconds; instants within a day of it are accidental, others were chosen by the scenario. */
  readonly now: number;
  /** The revision before the scenario's first request: what lies before it is not ranked. */
  readonly baseRevision: number;
  readonly managedFields: boolean;
}

const keptHeaders = ["content-type", "warning", "retry-after", "location", "allow", "www-authenticate"];
const dayMs = 86_400_000;
/** How a program was built is no behaviour. */
const buildKeys = new Set(["gitCommit", "gitTreeState", "buildDate", "goVersion", "compiler", "platform"]);

const instant = /\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z/g;
const uuid = /\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/g;
const jsonWebToken = /\beyJ[\w-]+\.[\w-]+\.[\w-]+/g;
const certificate = /-----BEGIN [A-Z ]+-----[^]*?-----END [A-Z ]+-----\n?/g;
const continueToken = /(continue=)[\w%-]{12,}/g;
const serviceAddress = /\b10\.(?:96\.\d+|78\.0)\.\d+\b/g;
const fingerprint = /\bX509SHA256=[0-9a-f]{64}/g;
const ageCell = /^(?:(?:\d+[smhd]){1,2}|\d+y(?:\d+d)?)$/;
const tokenVolume = /\bkube-api-access-[a-z0-9]{5}\b/g;
/** Years pass, too: what a scenario dated in the past is older each day. */
const age = /(^|[\s(])(?:(?:\d+[smh]){1,2}|\d+y\d+d)(?=\s|$|\))/gm;
const columnGap = / {2,}/g;

type JsonMap = Readonly<Record<string, unknown>>;
const isMap = (value: unknown): value is JsonMap =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/**
 * Replaces what differs from run to run by names that keep the relations: the same uid is the same word, and of two
 * revisions the later one has the higher rank. A list's revision says which object's it follows (`r2+`).
 */
export function normalise(exchanges: readonly RawExchange[], surroundings: Surroundings): readonly Exchange[] {
  const found = findAccidents(exchanges, surroundings);
  const shown = exchanges.filter(({ hidden }) => hidden !== true);
  return shown.map((exchange) => ({
    request: wordsOf(exchange.request, found),
    ...(exchange.status !== undefined && { status: exchange.status }),
    ...(exchange.headers && { headers: headersOf(exchange.headers, found) }),
    ...(exchange.body !== undefined && { body: valueOf(exchange.body, found) }),
    ...(exchange.events && { events: exchange.events.map((event) => valueOf(event, found)) }),
    ...(exchange.stdout !== undefined && { stdout: outputOf(exchange.stdout, found) }),
    ...(exchange.stderr ? { stderr: outputOf(exchange.stderr, found) } : {}),
    ...(exchange.exitCode !== undefined && { exitCode: exchange.exitCode }),
  }));
}

interface Accidents extends Surroundings {
  readonly revisions: readonly number[];
  /** Names that the server made, longest first. */
  readonly generated: readonly (readonly [name: string, word: string])[];
  readonly uuids: Map<string, string>;
  readonly addresses: Map<string, string>;
  readonly ports: Map<number, string>;
}

function findAccidents(exchanges: readonly RawExchange[], surroundings: Surroundings): Accidents {
  const revisions = new Set<number>();
  const names = new Map<string, string>();
  const visit = (value: unknown): void => {
    if (Array.isArray(value)) value.forEach(visit);
    if (!isMap(value)) return;
    const metadata = isMap(value["metadata"]) ? value["metadata"] : undefined;
    const revision = Number(metadata?.["resourceVersion"]);
    if (metadata && revision > surroundings.baseRevision && !isList(value) && !isBookmark(value))
      revisions.add(revision);
    const { generateName, name } = metadata ?? {};
    if (typeof generateName === "string" && typeof name === "string" && name.startsWith(generateName))
      if (name.length === generateName.length + 5 && !names.has(name))
        names.set(name, `${generateName}<name${names.size + 1}>`);
    Object.values(value).forEach(visit);
  };
  for (const { body, events, stdout } of exchanges) {
    visit(body);
    visit(events);
    if (stdout?.startsWith("{")) visit(parsedOutput(stdout));
  }
  return {
    ...surroundings,
    revisions: [...revisions].toSorted((left, right) => left - right),
    generated: [...names],
    uuids: new Map(),
    addresses: new Map(),
    ports: new Map(),
  };
}

function parsedOutput(output: string): unknown {
  try {
    return JSON.parse(output) as unknown;
  } catch {
    return undefined;
  }
}

const isList = (value: JsonMap): boolean =>
  Array.isArray(value["items"]) ||
  Array.isArray(value["rows"]) ||
  (typeof value["kind"] === "string" && value["kind"].endsWith("List"));

/** A bookmark's object holds a revision and annotations, nothing that was stored. */
const isBookmark = (value: JsonMap): boolean => isMap(value["metadata"]) && value["metadata"]["uid"] === undefined;

function rankOf(revision: string, exact: boolean, { revisions, baseRevision }: Accidents): string {
  const number = Number(revision);
  if (!Number.isInteger(number) || number < 10 || revision === "") return revision;
  const rank = revisions.findLastIndex((each) => each <= number) + 1;
  if (rank > 0 && revisions[rank - 1] === number && exact) return `r${rank}`;
  if (number <= baseRevision && exact) return "r-";
  return `r${rank}+`;
}

function numbered(words: Map<string, string>, prefix: string, value: string): string {
  const known = words.get(value) ?? `<${prefix}${words.size + 1}>`;
  words.set(value, known);
  return known;
}

function wordsOf(text: string, accidents: Accidents): string {
  const { url, now } = accidents;
  let words = text
    .replaceAll(url, "<server>")
    .replaceAll(url.replace("https://", ""), "<server>")
    .replace(jsonWebToken, "<token>")
    .replace(certificate, "<pem>")
    .replace(fingerprint, "X509SHA256=<hash>")
    .replace(continueToken, "$1<continue>")
    .replace(instant, (time) =>
      Math.abs(Date.parse(time) - now) < dayMs ? (time.includes(".") ? "<microtime>" : "<time>") : time,
    )
    .replace(uuid, (id) => numbered(accidents.uuids, "uid", id))
    .replace(serviceAddress, (address) => numbered(accidents.addresses, "address", address))
    .replace(tokenVolume, "kube-api-access-<random>")
    .replace(/(ResourceVersion in (?:record \(|object meta: ))\d+/g, "$1<revision>")
    .replace(/\bselfType\d+/g, "selfType<number>")
    .replace(
      /(resourceVersion=|resourceVersion: "|resourceVersion\\?":\\?")(\d+)/g,
      (_, key: string, revision: string) => key + rankOf(revision, true, accidents),
    )
    .replace(
      /(too (?:old|large)\b.*?: )(\d+)( \((\d+)\)|, current: (\d+))?/gi,
      (_, start: string) => `${start}<revisions>`,
    );
  for (const [name, word] of accidents.generated) words = words.replaceAll(name, word);
  return words;
}

function outputOf(text: string, accidents: Accidents): string {
  const parsed = text.startsWith("{") ? parsedOutput(text) : undefined;
  if (parsed !== undefined) return JSON.stringify(valueOf(parsed, accidents));
  return wordsOf(text, accidents)
    .replace(/^([IEW])\d{4} [\d:.]+ +\d+ /gm, "$1 ")
    .replace(/\b(memcache|table_printer|\w+)\.go:\d+\]/g, "$1.go]")
    .replace(age, "$1<age>")
    .replace(/\/tmp\/[\w./-]+/g, "<path>")
    .replace(columnGap, "  ");
}

function headersOf(
  headers: NonNullable<RawExchange["headers"]>,
  accidents: Accidents,
): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    keptHeaders.flatMap((name) => {
      const value = headers[name];
      if (value === undefined) return [];
      return [
        [name, typeof value === "string" ? wordsOf(value, accidents) : value.map((each) => wordsOf(each, accidents))],
      ];
    }),
  );
}

const textOf = (value: unknown): string => JSON.stringify(value);

/** Conflicts of an apply, which the real server tells in the order of a Go map: by chance. */
const isConflicts = (list: readonly unknown[]): boolean =>
  list.length > 1 && list.every((item) => isMap(item) && item["reason"] === "FieldManagerConflict");

/** One that the server sets itself: where a namespace holds it among others is chance as well. */
const isCollectorFinalizer = (finalizer: unknown): boolean =>
  finalizer === "foregroundDeletion" || finalizer === "orphan";

function valueOf(value: unknown, accidents: Accidents, key?: string, list = false): unknown {
  if (typeof value === "string") {
    if (key !== undefined && buildKeys.has(key)) return "<build>";
    if (key === "resourceVersion") return rankOf(value, !list, accidents);
    if (key === "continue") return value === "" ? value : "<continue>";
    if (key === "token" && value.length > 40) return "<token>";
    if (key === "cells" && ageCell.test(value)) return "<age>";
    return wordsOf(value, accidents);
  }
  if (typeof value === "number" && (key === "nodePort" || key === "healthCheckNodePort") && value >= 30_000) {
    const known = accidents.ports.get(value) ?? `<port${accidents.ports.size + 1}>`;
    accidents.ports.set(value, known);
    return known;
  }
  if (Array.isArray(value)) {
    const items = value.map((item) => valueOf(item, accidents, key));
    return isConflicts(value) || (key === "finalizers" && value.some(isCollectorFinalizer))
      ? items.toSorted((left, right) => (textOf(left) < textOf(right) ? -1 : 1))
      : items;
  }
  if (!isMap(value)) return value;
  const ownList = (key === undefined || key === "object") && (isList(value) || isBookmark(value));
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, item]) => {
      if (name === "managedFields" && !accidents.managedFields) return [];
      if (name === "last-applied-configuration") return [];
      // Prose about a column: the twin describes columns in its own words.
      if (name === "description" && key === "columnDefinitions") return [];
      // A young server's first objects have revisions as low as those that scenarios make up.
      if (name === "resourceVersion" && value["uid"] !== undefined && Number(item) <= accidents.baseRevision)
        return [[name, "r-"]];
      return [[wordsOf(name, accidents), valueOf(item, accidents, name, name === "metadata" ? ownList : list)]];
    }),
  );
}
