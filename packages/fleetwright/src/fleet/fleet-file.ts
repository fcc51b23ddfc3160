import { readFile } from "node:fs/promises";
import { dirname, isAbsolute, join } from "node:path";
import { FleetwrightError, parseQuantity, parseYamlFile, YamlFields } from "@fleetwright/kube";
import type { Taint, YamlFile } from "@fleetwright/kube";
import type { NodePool } from "@fleetwright/nodes";
import { gpuModels } from "./gpu-models.ts";

/** What `fleetwright up` makes. */
export interface Fleet {
  readonly pools: readonly NodePool[];
  /** Manifests to apply once it runs, as absolute paths. */
  readonly manifests: readonly string[];
}

const code = "FW_FLEET_FILE";
const maxNodes = 20_000;
const fleetKeys = ["nodes", "apply"];
const poolKeys = ["name", "count", "model", "gpus", "cpu", "memory", "pods", "labels", "taints", "capacity"];
const taintKeys = ["key", "value", "effect"];
const taintEffects = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

/**
 * Reads a fleet file (docs/commands.md, `up`).
 *
 * @throws FleetwrightError `FW_FLEET_FILE` with file, line, column and field
 */
export async function readFleetFile(path: string): Promise<Fleet> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    const why = (error as { code?: string }).code ?? String(error);
    throw new FleetwrightError(code, `fleet file ${JSON.stringify(path)} cannot be read (${why})`, { cause: error });
  }
  return parseFleet(text, path);
}

/** The text of a fleet file; `path` names it and is what its own paths start from. */
export function parseFleet(text: string, path: string): Fleet {
  const file = parseYamlFile(text, `fleet file ${JSON.stringify(path)}`, code);
  const fields = new YamlFields(file, file.value, []);
  refuseUnknown(fields, fleetKeys, "a fleet");
  const pools = fields.list("nodes").map((pool, index) => poolOf(file, pool, ["nodes", index]));
  if (pools.length === 0) throw fields.error("nodes", "nodes is missing or empty: list at least one pool of nodes");
  const names = new Set<string>();
  for (const [index, { name }] of pools.entries()) {
    if (names.has(name)) {
      throw file.error(
        ["nodes", index, "name"],
        `nodes[${index}].name: "${name}" is another pool's: its nodes would join twice`,
      );
    }
    names.add(name);
  }
  const count = pools.reduce((sum, pool) => sum + pool.count, 0);
  if (count > maxNodes) throw fields.error("nodes", `nodes: ${count} in all; at most ${maxNodes}`);
  const folder = dirname(path);
  const manifests = (fields.texts("apply") ?? []).map((name) => (isAbsolute(name) ? name : join(folder, name)));
  return { pools, manifests };
}

type Path = readonly (string | number)[];

const fieldName = (path: Path): string =>
  path
    .map((part) => (typeof part === "number" ? `[${part}]` : part))
    .join(".")
    .replaceAll(".[", "[");

function poolOf(file: YamlFile, fields: YamlFields, path: Path): NodePool {
  const at = fieldName(path);
  const wrong = (key: string, message: string): Error => file.error([...path, key], `${at}.${key}: ${message}`);
  refuseUnknown(fields, poolKeys, at);
  const name = fields.required("name");
  if (!/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(name) || name.length > 200) {
    throw wrong("name", `"${name}" cannot begin a node's name: use lower-case letters, digits and "-"`);
  }
  const count = wholeNumber(fields, "count", wrong, 1, maxNodes) ?? 1;
  const modelName = fields.text("model");
  const model = modelName === undefined ? undefined : gpuModels[modelName];
  if (modelName !== undefined && model === undefined) {
    throw wrong("model", `unknown model "${modelName}"; known are ${Object.keys(gpuModels).join(", ")}`);
  }
  const gpus = wholeNumber(fields, "gpus", wrong, 0, 64) ?? model?.gpus;
  if (gpus !== undefined && model === undefined) throw wrong("gpus", "of which model? Add model");
  const quantity = (key: string): string | undefined => {
    const value = fields.raw(key);
    const text = typeof value === "number" ? String(value) : fields.text(key);
    if (text !== undefined && !isAmount(text)) throw wrong(key, `"${text}" is not an amount such as 64, 512Gi or 2Ti`);
    return text;
  };
  const cpu = quantity("cpu") ?? model?.cpu;
  const memory = quantity("memory") ?? model?.memory;
  const pods = quantity("pods");
  const labels = texts(file, fields, "labels", path);
  const capacity = texts(file, fields, "capacity", path);
  for (const [resource, amount] of Object.entries(capacity ?? {})) {
    if (!isAmount(amount))
      throw file.error([...path, "capacity", resource], `${at}.capacity.${resource}: "${amount}" is not an amount`);
  }
  const taints = fields.list("taints").map((taint, index) => taintOf(file, taint, [...path, "taints", index]));
  return {
    name,
    count,
    ...(cpu !== undefined && { cpu }),
    ...(memory !== undefined && { memory }),
    ...(pods !== undefined && { pods }),
    ...(model !== undefined &&
      gpus !== undefined &&
      gpus > 0 && {
        gpu: { product: model.product, count: gpus, memoryMiB: model.memoryMiB },
      }),
    ...(labels !== undefined && { labels }),
    ...(capacity !== undefined && { capacity }),
    ...(taints.length > 0 && { taints }),
  };
}

function isAmount(text: string): boolean {
  try {
    return parseQuantity(text).sign >= 0;
  } catch {
    return false;
  }
}

function taintOf(file: YamlFile, fields: YamlFields, path: Path): Taint {
  const at = fieldName(path);
  refuseUnknown(fields, taintKeys, at);
  const key = fields.required("key");
  const effect = fields.required("effect");
  if (!taintEffects.includes(effect)) {
    throw file.error([...path, "effect"], `${at}.effect: "${effect}" is none of ${taintEffects.join(", ")}`);
  }
  const value = fields.text("value");
  return { key, effect, ...(value !== undefined && { value }) };
}

/** A mapping of texts; numbers and booleans are taken as they are written. */
function texts(
  file: YamlFile,
  fields: YamlFields,
  key: string,
  path: Path,
): Readonly<Record<string, string>> | undefined {
  const child = fields.child(key);
  if (child === undefined) return undefined;
  const result: Record<string, string> = {};
  for (const name of child.keys()) {
    const value = child.raw(name);
    if (typeof value !== "string" && typeof value !== "number") {
      throw file.error([...path, key, name], `${fieldName(path)}.${key}.${name} must be text; quote it`);
    }
    result[name] = String(value);
  }
  return result;
}

function wholeNumber(
  fields: YamlFields,
  key: string,
  wrong: (key: string, message: string) => Error,
  min: number,
  max: number,
): number | undefined {
  const value = fields.raw(key);
  if (value === undefined || value === null) return undefined;
  if (typeof value !== "number" || !Number.isInteger(value) || value < min || value > max) {
    throw wrong(key, `${JSON.stringify(value)} is not a whole number from ${min} to ${max}`);
  }
  return value;
}

function refuseUnknown(fields: YamlFields, known: readonly string[], what: string): void {
  for (const key of fields.keys()) {
    if (!known.includes(key))
      throw fields.error(key, `unknown field "${key}" in ${what}; known are ${known.join(", ")}`);
  }
}
