import { nextTurn } from "@fleetwright/kube";
import type { Clock } from "@fleetwright/kube";
import { rootPaths } from "../discovery/other-paths.ts";
import { serverVersion } from "../discovery/server-version.ts";
import type { ServedKind } from "../machinery/kind.ts";
import type { Call, Reply, RequestInfo } from "../machinery/request.ts";
import type { Store } from "../storage/store.ts";

/** What the server counts, for `/metrics`. */
export interface ServerMetrics {
  /** Counts an answered request. `kind` is what the path names, where the server has it. */
  answered(call: Call, info: RequestInfo, kind: ServedKind | undefined, status: number): void;
  /** The answer of `/metrics`; `undefined` for other paths. */
  answer(call: Call): Promise<Reply> | undefined;
}

type Labels = Readonly<Record<string, string>>;
type Sample = readonly [labels: Labels, value: number];

const contentType = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores";

const verbs: Readonly<Record<string, string>> = { create: "POST", update: "PUT" };

function verbOf(call: Call, info: RequestInfo): string {
  if (!info.isResource) return call.method;
  if (info.verb === "patch" && call.headers["content-type"] === "application/apply-patch+yaml") return "APPLY";
  return verbs[info.verb] ?? info.verb.toUpperCase();
}

/** k8s.io/apiserver/pkg/endpoints/metrics, `CleanScope`. */
function scopeOf({ isResource, name, namespace, verb }: RequestInfo): string {
  if (!isResource) return "";
  if (name !== "" || verb === "create") return "resource";
  return namespace === "" ? "cluster" : "namespace";
}

/** Paths that are counted by their name; clients may ask for any number of others. */
const countedPaths: ReadonlySet<string> = new Set(rootPaths([]));

const escaped = (text: string): string =>
  text
    .replaceAll("\\", "\\\\")
    .replaceAll('"', '\\"')
    .replaceAll("\n", String.raw`\n`);

const labelText = (labels: Labels): string => {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`);
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
};

function family(name: string, type: "counter" | "gauge", help: string, samples: readonly Sample[]): string {
  const lines = samples.map(([labels, value]) => `${name}${labelText(labels)} ${value}\n`).toSorted();
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join("")}`;
}

/** The counters that dashboards of kube-apiserver know, under their names; each says what is so here and nothing else. */
export function createServerMetrics({
  store,
  kinds,
  clock,
}: {
  readonly store: Store;
  readonly kinds: () => readonly ServedKind[];
  readonly clock: Clock;
}): ServerMetrics {
  const requests = new Map<string, { readonly labels: Labels; count: number }>();

  function count(labels: Labels): void {
    const key = Object.values(labels).join(" ");
    const known = requests.get(key);
    if (known === undefined) requests.set(key, { labels, count: 1 });
    else known.count++;
  }

  /** Versions of a kind, and aliases, are one collection. */
  async function objectCounts(): Promise<readonly Sample[]> {
    const samples = new Map<string, Sample>();
    for (const { collection, group, plural } of kinds()) {
      if (samples.has(collection)) continue;
      const { items, remaining } = store.list(collection, { limit: 1 });
      samples.set(collection, [{ group, resource: plural }, items.length + remaining]);
      await nextTurn();
    }
    return [...samples.values()];
  }

  async function text(): Promise<string> {
    const objects = await objectCounts();
    const { user, system } = process.cpuUsage();
    const { gitVersion, major, minor, platform } = serverVersion;
    return [
      family(
        "apiserver_request_total",
        "counter",
        "Requests that were answered, by verb, resource and HTTP status.",
        [...requests.values()].map(({ labels, count: value }): Sample => [labels, value]),
      ),
      family("apiserver_resource_objects", "gauge", "Stored objects by resource.", objects),
      family(
        "apiserver_storage_objects",
        "gauge",
        "Stored objects by resource; apiserver_resource_objects has them by group, too.",
        objects.map(([{ group = "", resource = "" }, value]): Sample => [
          { resource: group === "" ? resource : `${resource}.${group}` },
          value,
        ]),
      ),
      family("kubernetes_build_info", "gauge", "Always 1; the labels say what this server behaves as.", [
        [{ git_version: gitVersion, major, minor, platform }, 1],
      ]),
      family("process_cpu_seconds_total", "counter", "CPU time of this process.", [[{}, (user + system) / 1e6]]),
      family("process_resident_memory_bytes", "gauge", "Memory of this process.", [[{}, process.memoryUsage.rss()]]),
      family("process_start_time_seconds", "gauge", "When this process started, in Unix seconds.", [
        [{}, clock.now() / 1000 - process.uptime()],
      ]),
    ].join("");
  }

  return {
    answered(call, info, kind, status) {
      if (kind === undefined && !countedPaths.has(call.path)) return;
      const { group = "", version = "", plural = "" } = kind ?? {};
      count({
        code: String(status),
        component: kind === undefined ? "" : "apiserver",
        dry_run: call.query.has("dryRun") ? "All" : "",
        group,
        resource: plural,
        scope: scopeOf(info),
        subresource: kind === undefined ? call.path : kind.subresources.has(info.subresource) ? info.subresource : "",
        verb: verbOf(call, info),
        version,
      });
    },
    answer(call) {
      if (call.path !== "/metrics") return undefined;
      return text().then((body) => ({ status: 200, headers: { "content-type": contentType }, body }));
    },
  };
}
