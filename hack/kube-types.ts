/** The types and resources of the built-in kinds, as TypeScript, from what a server says about itself. Pure. */
import type { DiscoveredResource, Discovery } from "@fleetwright/kube";

/** The part of OpenAPI v3 that API servers use. */
export interface Schema {
  readonly $ref?: string;
  readonly allOf?: readonly Schema[];
  readonly type?: string;
  readonly format?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly additionalProperties?: Schema | boolean;
  readonly "x-kubernetes-patch-strategy"?: string;
  readonly "x-kubernetes-patch-merge-key"?: string;
  readonly "x-kubernetes-group-version-kind"?: readonly { group: string; version: string; kind: string }[];
}

/** Schemas by their full name (`io.k8s.api.apps.v1.Deployment`). */
export type Schemas = ReadonlyMap<string, Schema>;

const folder = "packages/kube/src/builtin";

const meta = "io.k8s.apimachinery.pkg.apis.meta.v1.";

/** What is not generated: written by hand, or any JSON. */
const mapped: Readonly<Record<string, { readonly type: string; readonly from?: string }>> = {
  [`${meta}ObjectMeta`]: { type: "ObjectMeta", from: "../core/object.ts" },
  [`${meta}ListMeta`]: { type: "ListMeta", from: "../core/object.ts" },
  [`${meta}OwnerReference`]: { type: "OwnerReference", from: "../core/object.ts" },
  [`${meta}ManagedFieldsEntry`]: { type: "ManagedFieldsEntry", from: "../core/object.ts" },
  [`${meta}LabelSelector`]: { type: "LabelSelector", from: "../selector/label-selector.ts" },
  [`${meta}Status`]: { type: "Status", from: "../core/object.ts" },
  [`${meta}Time`]: { type: "Time", from: "./scalars.ts" },
  [`${meta}MicroTime`]: { type: "MicroTime", from: "./scalars.ts" },
  [`${meta}FieldsV1`]: { type: "Readonly<Record<string, unknown>>" },
  "io.k8s.apimachinery.pkg.util.intstr.IntOrString": { type: "IntOrString", from: "./scalars.ts" },
  "io.k8s.apimachinery.pkg.api.resource.Quantity": { type: "QuantityText", from: "./scalars.ts" },
  "io.k8s.apimachinery.pkg.runtime.RawExtension": { type: "Readonly<Record<string, unknown>>" },
};

/** Names that other files of the package export. */
const reserved = new Set([
  "Scale",
  "Status",
  "WatchEvent",
  "DeleteOptions",
  "Resource",
  "Client",
  "Cache",
  "Clock",
  "Quantity",
  "UserInfo",
]);

interface Kind {
  readonly resource: DiscoveredResource;
  readonly schema: string;
}

/** One declaration and where it goes. */
interface Placed {
  /** Full schema name. */
  readonly id: string;
  readonly name: string;
  readonly file: string;
}

/**
 * The generated files: path from the repository's root to content. Only kinds that discovery lists, and the types that
 * they reach. A name that two groups share belongs to a kind before a part of one, and to the core group before others;
 * the others carry their group in front (`EventsEvent`).
 */
export function kubeTypes(discovery: Discovery, schemas: Schemas): ReadonlyMap<string, string> {
  const kinds = kindsOf(discovery, schemas);
  const reached = reachable(
    kinds.map(({ schema }) => schema),
    schemas,
  );
  const placed = place(kinds, reached);
  const files = new Map<string, string>();
  for (const file of new Set(placed.values().map((item) => item.file))) {
    files.set(`${folder}/${file}`, render(file, kinds, placed, schemas));
  }
  return files;
}

function kindsOf(discovery: Discovery, schemas: Schemas): readonly Kind[] {
  const byKind = new Map<string, string>();
  for (const [name, schema] of schemas) {
    const types = schema["x-kubernetes-group-version-kind"] ?? [];
    // Types with many are shared ones (DeleteOptions), not kinds.
    if (types.length === 1 && types[0])
      byKind.set(JSON.stringify([types[0].group, types[0].version, types[0].kind]), name);
  }
  return discovery.groups
    .flatMap((group) => group.versions.flatMap((version) => version.resources))
    .flatMap((resource) => {
      const schema = byKind.get(JSON.stringify([resource.group, resource.version, resource.kind]));
      return schema === undefined ? [] : [{ resource, schema }];
    });
}

const refsIn = (schema: Schema): readonly string[] => [
  ...(schema.$ref ? [refName(schema.$ref)] : []),
  ...(schema.allOf ?? []).flatMap(refsIn),
  ...(schema.items ? refsIn(schema.items) : []),
  ...(typeof schema.additionalProperties === "object" ? refsIn(schema.additionalProperties) : []),
  ...Object.values(schema.properties ?? {}).flatMap(refsIn),
];

const refName = (ref: string): string => ref.slice("#/components/schemas/".length);

/** Object types reachable from `roots`, in the order of names. */
function reachable(roots: readonly string[], schemas: Schemas): readonly string[] {
  const seen = new Set<string>();
  const queue = [...roots];
  for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
    const schema = schemas.get(name);
    if (schema === undefined || seen.has(name) || mapped[name] || schema.properties === undefined) continue;
    seen.add(name);
    queue.push(...refsIn(schema));
  }
  return [...seen].toSorted();
}

/** `io.k8s.api.core.v1.PodSpec` → core, v1, PodSpec; other packages likewise, by their last parts. */
function partsOf(id: string): { readonly group: string; readonly version: string; readonly name: string } {
  const [name = "", version = "", group = ""] = id.split(".").toReversed();
  return { group, version, name };
}

function place(kinds: readonly Kind[], reached: readonly string[]): ReadonlyMap<string, Placed> {
  const isKind = new Set(kinds.map(({ schema }) => schema));
  const order = [...new Set(kinds.map(({ schema }) => fileOf(schema)))];
  const rank = (id: string): number => (isKind.has(id) ? 0 : 1000) + (order.indexOf(fileOf(id)) + 1);
  const taken = new Set(reserved);
  const placed = new Map<string, Placed>();
  for (const id of reached.toSorted((left, right) => rank(left) - rank(right) || (left < right ? -1 : 1))) {
    const { group, version, name } = partsOf(id);
    const title = group[0]?.toUpperCase() + group.slice(1);
    const choices = [name, `${title}${name}`, `${title}${version.toUpperCase()}${name}`];
    const chosen = choices.find((choice) => !taken.has(choice));
    if (chosen === undefined) throw new Error(`no free name for ${id}`);
    taken.add(chosen);
    placed.set(id, { id, name: chosen, file: fileOf(id) });
  }
  return placed;
}

function fileOf(id: string): string {
  const { group, version } = partsOf(id);
  return `${group.toLowerCase()}-${version}.generated.ts`;
}

function render(file: string, kinds: readonly Kind[], placed: ReadonlyMap<string, Placed>, schemas: Schemas): string {
  const own = [...placed.values()]
    .filter((item) => item.file === file)
    .toSorted((left, right) => (left.name < right.name ? -1 : 1));
  const imports = new Map<string, Set<string>>();
  const use = (name: string, from: string): void => {
    imports.set(from, (imports.get(from) ?? new Set()).add(name));
  };
  const typeOf = (schema: Schema): string => typeText(schema, (id) => typeName(id, file, placed, schemas, use));
  const ownKinds = kinds.filter(({ schema }) => placed.get(schema)?.file === file);
  const kindSchemas = new Set(ownKinds.map(({ schema }) => schema));
  const interfaces = own.map(({ id, name }) => {
    const isKind = kindSchemas.has(id);
    if (isKind) use("KubeObject", "../core/object.ts");
    return interfaceText(name, schemas.get(id) ?? {}, isKind, typeOf);
  });
  const constants = ownKinds.map(({ resource, schema }) => {
    use("Resource", "../core/resource.ts");
    return resourceText(resource, placed.get(schema)?.name ?? resource.kind);
  });
  const importLines = [...imports]
    .toSorted(([left], [right]) => (left < right ? -1 : 1))
    .map(([from, names]) => `import type { ${[...names].toSorted().join(", ")} } from "${from}";\n`);
  return [
    `// Generated by "npm run generate" from the API server's OpenAPI and discovery. Do not edit.\n`,
    importLines.join(""),
    ...(constants.length > 0 ? ["\n", ...constants] : []),
    ...interfaces.map((text) => `\n${text}`),
  ].join("");
}

function typeName(
  id: string,
  file: string,
  placed: ReadonlyMap<string, Placed>,
  schemas: Schemas,
  use: (name: string, from: string) => void,
): string {
  const fixed = mapped[id];
  if (fixed) {
    if (fixed.from) use(fixed.type, fixed.from);
    return fixed.type;
  }
  const item = placed.get(id);
  // A schema without properties is written where it is used: a plain type, or any JSON.
  if (!item) return typeText(schemas.get(id) ?? {}, (inner) => typeName(inner, file, placed, schemas, use));
  if (item.file !== file) use(item.name, `./${item.file}`);
  return item.name;
}

function typeText(schema: Schema, nameOf: (id: string) => string): string {
  if (schema.$ref) return nameOf(refName(schema.$ref));
  const [only, ...more] = schema.allOf ?? [];
  if (only && more.length === 0) return typeText(only, nameOf);
  switch (schema.type) {
    case "string":
      return "string";
    case "integer":
    case "number":
      return "number";
    case "boolean":
      return "boolean";
    case "array":
      return `readonly ${elementText(schema.items ?? {}, nameOf)}[]`;
    case "object": {
      const values = schema.additionalProperties;
      return `Readonly<Record<string, ${typeof values === "object" ? typeText(values, nameOf) : "unknown"}>>`;
    }
    default:
      return "unknown";
  }
}

function elementText(schema: Schema, nameOf: (id: string) => string): string {
  const text = typeText(schema, nameOf);
  return text.startsWith("readonly ") ? `(${text})` : text;
}

function interfaceText(name: string, schema: Schema, isKind: boolean, typeOf: (schema: Schema) => string): string {
  const required = new Set(schema.required);
  const fields = Object.entries(schema.properties ?? {})
    .filter(([field]) => !isKind || !["apiVersion", "kind", "metadata"].includes(field))
    .map(([field, value]) => {
      const key = /^[A-Za-z_]\w*$/.test(field) ? field : JSON.stringify(field);
      return `  readonly ${key}${required.has(field) ? "" : "?"}: ${typeOf(value)};\n`;
    });
  const head = `export interface ${name}${isKind ? " extends KubeObject" : ""}`;
  return fields.length === 0 ? `${head} {}\n` : `${head} {\n${fields.join("")}}\n`;
}

function resourceText(resource: DiscoveredResource, typeName: string): string {
  const { group, version, kind, plural, namespaced, shortNames } = resource;
  const prefix = typeName.slice(0, typeName.length - kind.length);
  const short = shortNames ? `, shortNames: ${JSON.stringify(shortNames).replaceAll(",", ", ")}` : "";
  const fields = `group: "${group}", version: "${version}", kind: "${kind}", plural: "${plural}", namespaced: ${namespaced}${short}`;
  return `export const ${prefix}${pluralName(kind, plural)}: Resource<${typeName}> = { ${fields} };\n`;
}

/** `NetworkPolicy` and `networkpolicies` → `NetworkPolicies`: the kind's capitals as far as both agree. */
function pluralName(kind: string, plural: string): string {
  let shared = 0;
  while (shared < kind.length && kind[shared]?.toLowerCase() === plural[shared]) shared++;
  return kind.slice(0, shared) + plural.slice(shared);
}
