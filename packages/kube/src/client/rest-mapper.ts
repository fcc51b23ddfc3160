import type { Clock } from "../core/clock.ts";
import { systemClock } from "../core/clock.ts";
import { FleetwrightError } from "../core/errors.ts";
import type { CallOptions, Client } from "./client.ts";
import { discover, type DiscoveredResource, type Discovery } from "./discovery.ts";

/** Finds the {@link Resource} that a user's word, or a manifest's `apiVersion` and `kind`, means. */
export interface RestMapper {
  /**
   * By plural, singular, kind or short name, alone or with a group, or with version and group, as kubectl takes them:
   * `deploy`, `Deployment`, `deployments.apps`, `deployments.v1.apps`. Of several, the server's order decides (core
   * first, preferred versions first). Discovered once; again when nothing matches and the answer is not fresh.
   *
   * @throws FleetwrightError `FW_KUBE_NO_MATCH`
   */
  resourceFor(word: string, options?: CallOptions): Promise<DiscoveredResource>;
  /** @throws FleetwrightError `FW_KUBE_NO_MATCH` */
  kindFor(
    type: { readonly apiVersion: string; readonly kind: string },
    options?: CallOptions,
  ): Promise<DiscoveredResource>;
  /** Everything the server has. */
  all(options?: CallOptions): Promise<Discovery>;
  /** Forgets; the next question asks the server. */
  invalidate(): void;
}

/** How old an answer must be before a word that it lacks makes us ask again (a CRD may have come meanwhile). */
const freshMs = 5_000;

/** @param options.clock tells how old what we know is. @default systemClock */
export function createRestMapper(client: Pick<Client, "raw">, options: { readonly clock?: Clock } = {}): RestMapper {
  const clock = options.clock ?? systemClock;
  let known: { readonly discovery: Discovery; readonly at: number } | undefined;

  const load = async (call: CallOptions | undefined): Promise<Discovery> => {
    known ??= { discovery: await discover(client, call), at: clock.now() };
    return known.discovery;
  };

  const find = async (
    pick: (discovery: Discovery) => DiscoveredResource | undefined,
    call: CallOptions | undefined,
    noMatch: (discovery: Discovery) => FleetwrightError,
  ): Promise<DiscoveredResource> => {
    let discovery = await load(call);
    let found = pick(discovery);
    if (!found && known && clock.now() - known.at >= freshMs) {
      known = undefined;
      discovery = await load(call);
      found = pick(discovery);
    }
    if (!found) throw noMatch(discovery);
    return found;
  };

  return {
    resourceFor: (word, call) =>
      find(
        (discovery) => matchWord(discovery, word),
        call,
        (discovery) => unknownWord(word, discovery),
      ),
    kindFor: ({ apiVersion, kind }, call) =>
      find(
        (discovery) => resources(discovery).find((item) => item.kind === kind && versionOf(item) === apiVersion),
        call,
        (discovery) => unknownWord(`${kind} of ${apiVersion}`, discovery),
      ),
    all: load,
    invalidate() {
      known = undefined;
    },
  };
}

const resources = (discovery: Discovery): readonly DiscoveredResource[] =>
  discovery.groups.flatMap((group) => group.versions.flatMap((version) => version.resources));

const versionOf = ({ group, version }: DiscoveredResource): string => (group === "" ? version : `${group}/${version}`);

/** How a word can be read: `deployments.v1.apps` is a version and a group, or the group `v1.apps`. */
interface Reading {
  readonly name: string;
  readonly version?: string;
  readonly group?: string;
}

function readings(word: string): readonly Reading[] {
  const [name = "", ...rest] = word.split(".");
  if (rest.length === 0) return [{ name }];
  const [version = "", ...group] = rest;
  const withVersion = group.length === 0 ? [] : [{ name, version, group: group.join(".") }];
  // `pods.v1.` is the core group, spelled out.
  return [...withVersion, { name, group: rest.join(".") }];
}

function matchWord(discovery: Discovery, word: string): DiscoveredResource | undefined {
  const all = resources(discovery);
  for (const reading of readings(word)) {
    const name = reading.name.toLowerCase();
    const ofVersion = all.filter((item) => reading.version === undefined || item.version === reading.version);
    const inGroup = inNamedGroup(ofVersion, reading.group);
    const found =
      inGroup.find((item) => item.plural === name) ??
      inGroup.find((item) => item.singular === name || item.kind.toLowerCase() === name) ??
      inGroup.find((item) => item.shortNames?.includes(name));
    if (found) return found;
  }
  return undefined;
}

/** A group may be shortened to its beginning (`bizrq.fleetwright`), as kubectl allows; a whole name goes first. */
function inNamedGroup(items: readonly DiscoveredResource[], group: string | undefined): readonly DiscoveredResource[] {
  if (group === undefined) return items;
  const exact = items.filter((item) => item.group === group);
  if (exact.length > 0 || group === "") return exact;
  return items.filter((item) => item.group.startsWith(group));
}

function unknownWord(word: string, discovery: Discovery): FleetwrightError {
  const missing = discovery.unavailable.length === 0 ? "" : ` (${discovery.unavailable.join(", ")} did not answer)`;
  return new FleetwrightError(
    "FW_KUBE_NO_MATCH",
    `the server has no resource ${JSON.stringify(word)}${missing}; "kubectl api-resources" lists what it has`,
  );
}
