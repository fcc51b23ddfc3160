import { readFile } from "node:fs/promises";
import { isMap, LineCounter, parseAllDocuments } from "yaml";
import { FleetwrightError, type KubeObject } from "@fleetwright/kube";

/** An object of a file, with the line on which it starts. */
export interface ManifestObject {
  readonly object: KubeObject & { readonly apiVersion: string; readonly kind: string };
  readonly source: string;
  readonly line: number;
}

const bad = (source: string, line: number, column: number, message: string): FleetwrightError =>
  new FleetwrightError("FW_MANIFEST", `${source}:${line}:${column}: ${message}`);

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/**
 * Reads YAML or JSON with one object or several (documents, or a `List`).
 *
 * @throws {FleetwrightError} `FW_MANIFEST` with `file:line:column` for what is malformed or lacks apiVersion, kind or metadata.name
 */
export function parseManifest(content: string, source: string): readonly ManifestObject[] {
  const lines = new LineCounter();
  const documents = parseAllDocuments(content, { lineCounter: lines, prettyErrors: false });
  const objects: ManifestObject[] = [];
  for (const document of documents) {
    const [error] = document.errors;
    if (error) {
      const { line, col } = lines.linePos(error.pos[0]);
      throw bad(source, line, col, error.message);
    }
    const value: unknown = document.toJS();
    if (value === null || value === undefined) continue;
    const start = lines.linePos(document.contents?.range?.[0] ?? 0);
    const where = (key: string): readonly [number, number] => {
      const node = isMap(document.contents) ? document.contents.get(key, true) : undefined;
      const position = node?.range ? lines.linePos(node.range[0]) : start;
      return [position.line, position.col];
    };
    if (!isRecord(value))
      throw bad(source, start.line, start.col, "is not a Kubernetes object (a mapping with apiVersion and kind)");
    const items = value["kind"] === "List" && Array.isArray(value["items"]) ? (value["items"] as unknown[]) : [value];
    for (const item of items) {
      if (!isRecord(item)) throw bad(source, ...where("items"), "an item of the List is not an object");
      for (const field of ["apiVersion", "kind"]) {
        if (typeof item[field] !== "string" || item[field] === "")
          throw bad(source, ...where(field), `${field} is missing or not text`);
      }
      const metadata = item["metadata"];
      if (
        !isRecord(metadata) ||
        (typeof metadata["name"] !== "string" && typeof metadata["generateName"] !== "string")
      ) {
        throw bad(source, ...where("metadata"), "metadata.name is missing");
      }
      objects.push({ object: item as unknown as ManifestObject["object"], source, line: start.line });
    }
  }
  if (objects.length === 0) throw bad(source, 1, 1, "holds no object");
  return objects;
}

/** Reads `-f FILE`, or standard input for `-`. */
export async function readManifest(file: string, stdin: () => Promise<string>): Promise<readonly ManifestObject[]> {
  if (file === "-") return parseManifest(await stdin(), "<stdin>");
  let content: string;
  try {
    content = await readFile(file, "utf8");
  } catch (error) {
    throw new FleetwrightError(
      "FW_MANIFEST",
      `${file}: cannot be read (${error instanceof Error ? error.message : String(error)})`,
      {
        cause: error,
      },
    );
  }
  return parseManifest(content, file);
}
