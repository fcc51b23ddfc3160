import { isNotFound } from "../core/errors.ts";
import type { Resource } from "../core/resource.ts";
import type { CallOptions, Client } from "./client.ts";

/** A kind that the server has, with what discovery says about it. */
export interface DiscoveredResource extends Resource {
  /** `deployment`; some servers leave it empty. */
  readonly singular: string;
  readonly verbs: readonly string[];
  /** `all`, … */
  readonly categories: readonly string[];
  /** `status`, `scale`, `eviction`, … */
  readonly subresources: readonly string[];
}

export interface DiscoveredGroup {
  /** `""` for the core group. */
  readonly name: string;
  /** The preferred one first. */
  readonly versions: readonly { readonly version: string; readonly resources: readonly DiscoveredResource[] }[];
}

/** All that an API server serves, in its own order. */
export interface Discovery {
  readonly groups: readonly DiscoveredGroup[];
  /** Group versions whose server (an aggregated API) did not answer: `metrics.k8s.io/v1beta1`. */
  readonly unavailable: readonly string[];
}

/** Asks for aggregated discovery, and takes the plain kind from servers that lack it. */
const aggregatedAccept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;q=0.9";

/** Two calls on servers since 1.26, one per group version on others (and on proxies that know only the plain kind). */
export async function discover(client: Pick<Client, "raw">, options: CallOptions = {}): Promise<Discovery> {
  const [core, named] = await Promise.all([
    client.raw("GET", "/api", { ...options, accept: aggregatedAccept }),
    client.raw("GET", "/apis", { ...options, accept: aggregatedAccept }),
  ]);
  const parts = await Promise.all([
    isAggregated(core) ? fromAggregated(core) : plainCore(client, core as ApiVersions, options),
    isAggregated(named) ? fromAggregated(named) : plainGroups(client, named as ApiGroupList, options),
  ]);
  return { groups: parts.flatMap((part) => part.groups), unavailable: parts.flatMap((part) => part.unavailable) };
}

interface AggregatedList {
  readonly kind: "APIGroupDiscoveryList";
  readonly items?: readonly {
    readonly metadata?: { readonly name?: string };
    readonly versions?: readonly {
      readonly version: string;
      readonly freshness?: string;
      readonly resources?: readonly AggregatedResource[];
    }[];
  }[];
}

interface AggregatedResource {
  readonly resource: string;
  readonly responseKind?: { readonly group?: string; readonly version?: string; readonly kind?: string };
  readonly scope?: string;
  readonly singularResource?: string;
  readonly verbs?: readonly string[];
  readonly shortNames?: readonly string[];
  readonly categories?: readonly string[];
  readonly subresources?: readonly { readonly subresource: string }[];
}

const isAggregated = (answer: unknown): answer is AggregatedList =>
  (answer as { readonly kind?: unknown } | null)?.kind === "APIGroupDiscoveryList";

function fromAggregated(list: AggregatedList): Discovery {
  const unavailable: string[] = [];
  const groups = (list.items ?? []).map(({ metadata, versions }) => {
    const name = metadata?.name ?? "";
    for (const { version, freshness } of versions ?? []) {
      if (freshness === "Stale") unavailable.push(name === "" ? version : `${name}/${version}`);
    }
    return {
      name,
      versions: (versions ?? []).map(({ version, resources }) => ({
        version,
        resources: (resources ?? []).map((resource) => aggregatedResource(name, version, resource)),
      })),
    };
  });
  return { groups, unavailable };
}

function aggregatedResource(group: string, version: string, entry: AggregatedResource): DiscoveredResource {
  const kind = entry.responseKind;
  return {
    // Absent or empty: the group version that it stands in.
    group: kind?.group || group,
    version: kind?.version || version,
    kind: kind?.kind ?? "",
    plural: entry.resource,
    namespaced: entry.scope === "Namespaced",
    ...(entry.shortNames ? { shortNames: entry.shortNames } : {}),
    singular: entry.singularResource ?? "",
    verbs: entry.verbs ?? [],
    categories: entry.categories ?? [],
    subresources: (entry.subresources ?? []).map(({ subresource }) => subresource),
  };
}

interface ApiVersions {
  readonly versions?: readonly string[];
}

interface ApiGroupList {
  readonly groups?: readonly {
    readonly name: string;
    readonly versions: readonly { readonly version: string }[];
    readonly preferredVersion?: { readonly version: string };
  }[];
}

interface ApiResourceList {
  readonly resources?: readonly {
    /** `pods` or `pods/status`. */
    readonly name: string;
    readonly singularName?: string;
    readonly namespaced: boolean;
    readonly kind: string;
    readonly verbs: readonly string[];
    readonly shortNames?: readonly string[];
    readonly categories?: readonly string[];
  }[];
}

function plainCore(client: Pick<Client, "raw">, answer: ApiVersions, options: CallOptions): Promise<Discovery> {
  return plain(client, [{ name: "", versions: answer.versions ?? [] }], options);
}

function plainGroups(client: Pick<Client, "raw">, answer: ApiGroupList, options: CallOptions): Promise<Discovery> {
  const groups = (answer.groups ?? []).map(({ name, versions, preferredVersion }) => {
    const all = versions.map(({ version }) => version);
    const preferred = preferredVersion?.version;
    return { name, versions: preferred ? [preferred, ...all.filter((version) => version !== preferred)] : all };
  });
  return plain(client, groups, options);
}

async function plain(
  client: Pick<Client, "raw">,
  groups: readonly { readonly name: string; readonly versions: readonly string[] }[],
  options: CallOptions,
): Promise<Discovery> {
  const unavailable: string[] = [];
  const resourcesOf = async (group: string, version: string): Promise<readonly DiscoveredResource[]> => {
    const path = group === "" ? `/api/${version}` : `/apis/${group}/${version}`;
    try {
      return plainResources(group, version, (await client.raw("GET", path, options)) as ApiResourceList);
    } catch (error) {
      options.signal?.throwIfAborted();
      // A group whose server is down must not hide all others; one that went away meanwhile is just gone.
      if (!isNotFound(error)) unavailable.push(group === "" ? version : `${group}/${version}`);
      return [];
    }
  };
  const found = await Promise.all(
    groups.map(async ({ name, versions }) => ({
      name,
      versions: await Promise.all(
        versions.map(async (version) => ({ version, resources: await resourcesOf(name, version) })),
      ),
    })),
  );
  return { groups: found, unavailable };
}

function plainResources(group: string, version: string, list: ApiResourceList): readonly DiscoveredResource[] {
  const entries = list.resources ?? [];
  return entries
    .filter(({ name }) => !name.includes("/"))
    .map((entry) => ({
      group,
      version,
      kind: entry.kind,
      plural: entry.name,
      namespaced: entry.namespaced,
      ...(entry.shortNames ? { shortNames: entry.shortNames } : {}),
      singular: entry.singularName ?? "",
      verbs: entry.verbs,
      categories: entry.categories ?? [],
      subresources: entries
        .filter(({ name }) => name.startsWith(`${entry.name}/`))
        .map(({ name }) => name.slice(entry.name.length + 1)),
    }));
}
