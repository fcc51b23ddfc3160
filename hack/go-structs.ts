/** The fields of Go structs as `encoding/json` sees them, from the source text of a package. Pure. */

export interface GoField {
  readonly name: string;
  /** With packages: `*int32`, `[]v1.Container`; a named list or map as `v1.ResourceList=map[v1.ResourceName]resource.Quantity`. */
  readonly type: string;
  /** `,omitempty` for what can be empty, or `,omitzero`: it is not written when it is. */
  readonly omitted: boolean;
  /** Names of the embedded structs that it comes from: Go's messages name them. */
  readonly embedded: readonly string[];
  /** Field numbers of protobuf, outermost first: an embedded struct is a message of its own. Empty: not written. */
  readonly numbers: readonly number[];
}

/** What the packages declare. */
export interface GoPackage {
  /** `v1`, as Go prints it. */
  readonly name: string;
  readonly types: ReadonlyMap<string, GoDeclaration>;
}

type GoDeclaration =
  | { readonly kind: "named"; readonly type: string; readonly imports: ReadonlyMap<string, string> }
  | { readonly kind: "struct"; readonly lines: readonly string[]; readonly imports: ReadonlyMap<string, string> };

/** Reads the type declarations of one package's files. */
export function parseGoPackage(name: string, files: readonly string[]): GoPackage {
  const types = new Map<string, GoDeclaration>();
  for (const text of files) {
    const imports = importsOf(text);
    for (const match of text.matchAll(/^type (\w+) struct \{\n([\s\S]*?)^\}/gm)) {
      const [, type = "", body = ""] = match;
      types.set(type, { kind: "struct", lines: body.split("\n"), imports });
    }
    const named = [...text.matchAll(/^type (\w+) (?!struct|interface)([^\s=/][^\n/]*)/gm)];
    const grouped = [...text.matchAll(/^type \(\n([\s\S]*?)^\)/gm)].flatMap(([, body = ""]) => [
      ...body.matchAll(/^\t(\w+) (?!struct|interface)([^\s=/][^\n/]*)/gm),
    ]);
    for (const [, type = "", underlying = ""] of [...named, ...grouped]) {
      types.set(type, { kind: "named", type: underlying.trim(), imports });
    }
  }
  return { name, types };
}

/** Local name to import path. */
function importsOf(text: string): ReadonlyMap<string, string> {
  const imports = new Map<string, string>();
  for (const [, alias, path = ""] of text.matchAll(/^(?:import )?\t?(?:(\w+) )?"([\w./-]+)"$/gm)) {
    imports.set(alias ?? path.slice(path.lastIndexOf("/") + 1), path);
  }
  return imports;
}

/** Finds a package by its import path. */
export type FindPackage = (path: string) => GoPackage | undefined;

/** The fields of a struct in their order, embedded ones in place; `undefined` when it is none. */
export function structFields(find: FindPackage, path: string, type: string): readonly GoField[] | undefined {
  const declaration = find(path)?.types.get(type);
  if (declaration === undefined) return undefined;
  if (declaration.kind === "named") {
    const target = resolve(path, declaration.type, declaration.imports);
    return target === undefined ? undefined : structFields(find, target.path, target.type);
  }
  const fields: GoField[] = [];
  for (const line of declaration.lines) {
    const match = /^\t(?:(\w+)[ \t]+)?(\*?[\w.[\]*]+(?:\[[\w.]*\][\w.*]*)*)[ \t]+`.*?json:"([^"]*)"/.exec(line);
    if (match === null) continue;
    const [, , written = "", tag = ""] = match;
    const [name = "", ...options] = tag.split(",");
    if (name === "-") continue;
    const number = Number(/ protobuf:"\w+,(\d+)/.exec(line)?.[1] ?? 0);
    if (name === "" && options.includes("inline")) {
      const target = resolve(path, written.replace(/^\*/, ""), declaration.imports);
      if (target === undefined) continue;
      for (const field of structFields(find, target.path, target.type) ?? []) {
        const numbers = number === 0 || field.numbers.length === 0 ? [] : [number, ...field.numbers];
        fields.push({ ...field, embedded: [target.type, ...field.embedded], numbers });
      }
      continue;
    }
    const goType = qualified(find, path, written, declaration.imports);
    const canBeEmpty = !isStruct(find, path, written, declaration.imports);
    fields.push({
      name,
      type: goType,
      omitted: options.includes("omitzero") || (options.includes("omitempty") && canBeEmpty),
      embedded: [],
      numbers: number === 0 ? [] : [number],
    });
  }
  return fields;
}

function resolve(
  path: string,
  type: string,
  imports: ReadonlyMap<string, string>,
): { readonly path: string; readonly type: string } | undefined {
  if (!/^[\w.]+$/.test(type)) return undefined;
  const dot = type.indexOf(".");
  if (dot < 0) return { path, type };
  const target = imports.get(type.slice(0, dot));
  return target === undefined ? undefined : { path: target, type: type.slice(dot + 1) };
}

function isStruct(find: FindPackage, path: string, type: string, imports: ReadonlyMap<string, string>): boolean {
  const target = resolve(path, type, imports);
  const declaration = target === undefined ? undefined : find(target.path)?.types.get(target.type);
  if (declaration === undefined || target === undefined) return false;
  return declaration.kind === "struct" || isStruct(find, target.path, declaration.type, declaration.imports);
}

const parts = /^(\*|\[\]|map\[([\w.]+)\])(.+)$/;

function qualified(find: FindPackage, path: string, type: string, imports: ReadonlyMap<string, string>): string {
  const match = parts.exec(type);
  if (match !== null) {
    const [, outer = "", key, rest = ""] = match;
    const start = key === undefined ? outer : `map[${qualified(find, path, key, imports).split("=")[0]}]`;
    return `${start}${qualified(find, path, rest, imports)}`;
  }
  const target = resolve(path, type, imports);
  const owner = target === undefined ? undefined : find(target.path);
  const declaration = target === undefined ? undefined : owner?.types.get(target.type);
  // Built into the language.
  if (target === undefined || owner === undefined || declaration === undefined) return type;
  const name = `${owner.name}.${target.type}`;
  if (declaration.kind === "named") {
    const underlying = qualified(find, target.path, declaration.type, declaration.imports);
    if (/^(?:\[\]|map\[)/.test(underlying)) return `${name}=${underlying}`;
    return name;
  }
  return name;
}
