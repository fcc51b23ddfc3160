/** The merge keys and strategies of the built-in kinds, as TypeScript, from what a server says about itself. Pure. */
import type { Schema, Schemas } from "./kube-types.ts";

interface Field {
  strategy?: "merge" | "replace";
  mergeKey?: string;
  retainKeys?: true;
  type?: string;
}

type PatchSchema = Readonly<Record<string, Field>>;

/** The module that `patch-schema.ts` reads. */
export function patchKeysText(schemas: Schemas): string {
  const special = new Map<string, PatchSchema>();
  const roots: Record<string, string> = {};
  for (const [id, schema] of [...schemas].toSorted(byName)) {
    const [kind, ...others] = schema["x-kubernetes-group-version-kind"] ?? [];
    if (!kind || others.length > 0 || !schema.properties?.["metadata"]) continue;
    if (collect(id, schemas, special, new Set())) roots[`${kind.group}/${kind.version}/${kind.kind}`] = short(id);
  }
  const types = Object.fromEntries([...special].toSorted(byName).map(([id, fields]) => [short(id), fields]));
  return [
    '// Written by "npm run generate -- patch-keys" from the API server\'s OpenAPI. Do not edit.',
    'import type { PatchSchema } from "./patch-schema.ts";',
    "",
    "/** The type of each kind, by `group/version/kind`. */",
    `export const patchRoots: Readonly<Record<string, string>> = ${printed(roots)};`,
    "",
    "/** The fields of each type that are merged in a way of their own, or that lead to such fields. */",
    `export const patchTypes: Readonly<Record<string, PatchSchema>> = ${printed(types)};`,
    "",
  ].join("\n");
}

/** Whether a type or anything in it is special; puts the special ones into `special`. */
function collect(id: string, schemas: Schemas, special: Map<string, PatchSchema>, path: ReadonlySet<string>): boolean {
  if (special.has(id)) return true;
  if (path.has(id)) return false;
  const fields: Record<string, Field> = {};
  for (const [name, property] of Object.entries(schemas.get(id)?.properties ?? {})) {
    const field = ownField(property);
    const inner = referenceOf(property) ?? (property.items && referenceOf(property.items));
    const isWalked = property.type !== "array" || field.strategy === "merge";
    if (inner !== undefined && isWalked && collect(inner, schemas, special, new Set([...path, id])))
      field.type = short(inner);
    if (Object.keys(field).length > 0) fields[name] = field;
  }
  if (Object.keys(fields).length === 0) return false;
  special.set(id, fields);
  return true;
}

function ownField(property: Schema): Field {
  const strategies = property["x-kubernetes-patch-strategy"]?.split(",") ?? [];
  const field: Field = {};
  if (strategies.includes("merge")) field.strategy = "merge";
  if (strategies.includes("replace")) field.strategy = "replace";
  const mergeKey = property["x-kubernetes-patch-merge-key"];
  if (mergeKey !== undefined && field.strategy === "merge") field.mergeKey = mergeKey;
  if (strategies.includes("retainKeys")) field.retainKeys = true;
  return field;
}

function referenceOf(schema: Schema): string | undefined {
  const reference = schema.$ref ?? schema.allOf?.[0]?.$ref;
  return reference?.replace("#/components/schemas/", "");
}

const short = (id: string): string => id.replace(/^io\.k8s\.(api\.)?/, "");

const byName = ([left]: readonly [string, unknown], [right]: readonly [string, unknown]): number =>
  left < right ? -1 : left > right ? 1 : 0;

/** One line for each entry, as the formatter leaves it. */
function printed(entries: Readonly<Record<string, unknown>>): string {
  const lines = Object.entries(entries).map(([name, value]) => `  ${JSON.stringify(name)}: ${literal(value)},`);
  return `{\n${lines.join("\n")}\n}`;
}

function literal(value: unknown): string {
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const members = Object.entries(value).map(([name, inner]) => `${propertyName(name)}: ${literal(inner)}`);
  return `{ ${members.join(", ")} }`;
}

const propertyName = (name: string): string => (/^[A-Za-z_$][\w$]*$/.test(name) ? name : JSON.stringify(name));
