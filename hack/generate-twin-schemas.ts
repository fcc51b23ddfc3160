import { existsSync, readdirSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { FleetwrightError } from "@fleetwright/kube";
import { kubernetesVersion } from "@fleetwright/lab";
import { parseGoPackage, structFields } from "./go-structs.ts";
import type { GoField, GoPackage } from "./go-structs.ts";
import { serverSchemas } from "./server-schemas.ts";

const folder = "packages/twin/src/schema";

/** Words of people, which are under another licence, are left out. */
function withoutDescriptions(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutDescriptions);
  if (typeof value !== "object" || value === null) return value;
  const copy: Record<string, unknown> = {};
  for (const [key, child] of Object.entries(value)) {
    // A property may be called `description`.
    if (key === "description" && typeof child === "string") continue;
    copy[key] = withoutDescriptions(child);
  }
  return copy;
}

/** One line for each entry: readable in a diff, and still small. */
const lines = (entries: readonly (readonly [string, unknown])[]): string =>
  `{\n${entries.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`).join(",\n")}\n}\n`;

const prefixes: readonly (readonly [string, string])[] = [
  ["io.k8s.apimachinery.", "apimachinery"],
  ["io.k8s.apiextensions-apiserver.", "apiextensions-apiserver"],
  ["io.k8s.kube-aggregator.", "kube-aggregator"],
  ["io.k8s.api.", "api"],
];

/** `io.k8s.api.core.v1.Pod` to `k8s.io/api/core/v1` and `Pod`. */
function goName(id: string): { readonly path: string; readonly type: string } | undefined {
  for (const [prefix, module] of prefixes) {
    if (!id.startsWith(prefix)) continue;
    const words = id.slice(prefix.length).split(".");
    const type = words.pop() ?? "";
    // `resource.k8s.io` and others have their group's first word as folder already.
    return { path: `k8s.io/${module}/${words.join("/")}`, type };
  }
  return undefined;
}

/** Looks packages up in Go's module cache. */
function packageFinder(): (path: string) => GoPackage | undefined {
  const cache = process.env["GOMODCACHE"] ?? join(homedir(), "go/pkg/mod");
  const version = kubernetesVersion.replace("v1.", "v0.");
  if (!existsSync(join(cache, `k8s.io/api@${version}`))) {
    throw new FleetwrightError(
      "FW_LAB_BINARIES",
      `the sources of k8s.io/api@${version} are not in ${cache}; run "make kubernetes"`,
    );
  }
  const found = new Map<string, GoPackage | undefined>();
  return (path) => {
    if (!found.has(path)) found.set(path, read(path));
    return found.get(path);
  };

  function read(path: string): GoPackage | undefined {
    const [host = "", module = "", ...rest] = path.split("/");
    const directory = join(cache, host, `${module}@${version}`, ...rest);
    if (host !== "k8s.io" || !existsSync(directory)) return undefined;
    const files = readdirSync(directory).filter((file) => file.endsWith(".go") && !file.endsWith("_test.go"));
    return parseGoPackage(
      path.slice(path.lastIndexOf("/") + 1),
      files.toSorted().map((file) => readFileSync(join(directory, file), "utf8")),
    );
  }
}

/** The structure of the built-in kinds, how Go writes their fields, and what discovery says of them. */
export async function generateTwinSchemas(): Promise<ReadonlyMap<string, string>> {
  const find = packageFinder();
  const { schemas, resourceLists } = await serverSchemas();
  const ids = [...schemas.keys()].toSorted();
  const structs = ids.flatMap((id): readonly (readonly [string, readonly GoField[]])[] => {
    const name = goName(id);
    const found = name === undefined ? undefined : structFields(find, name.path, name.type);
    return found === undefined || found.length === 0 ? [] : [[id, found]];
  });
  const fields = structs.map(([id, found]): readonly [string, readonly string[]] => [
    id,
    found.map((field) => [field.name, field.type, field.omitted ? 0 : 1, ...field.embedded].join(" ")),
  ]);
  // In the order of the fields.
  const numbers = structs.map(([id, found]): readonly [string, string] => [
    id,
    found.map((field) => field.numbers.join(".")).join(" "),
  ]);
  return new Map([
    [`${folder}/builtin-schemas.generated.json`, lines(ids.map((id) => [id, withoutDescriptions(schemas.get(id))]))],
    [`${folder}/go-fields.generated.json`, lines(fields)],
    [`${folder}/protobuf-fields.generated.json`, lines(numbers)],
    [
      `${folder}/builtin-resources.generated.json`,
      lines(resourceLists.map(({ groupVersion, resources }) => [groupVersion, resources])),
    ],
  ]);
}
