import type { Schema } from "../machinery/schema.ts";
import { builtinSchemas } from "./builtin-schemas.ts";
import written from "./go-fields.generated.json" with { type: "json" };

/** How Go reads and writes a value: the reflected type, less what makes no difference in JSON. */
export type GoType = { readonly name: string } & (
  | { readonly kind: "string" | "boolean" | "float" | "bytes" | "quantity" | "time" | "microTime" | "intOrString" }
  | { readonly kind: "integer"; readonly bits: 32 | 64; readonly unsigned: boolean }
  /** Any JSON, kept as it is. */
  | { readonly kind: "any" }
  /** Read by a method of its own that forgives unknown fields. */
  | { readonly kind: "lenient"; readonly type: () => GoType }
  | { readonly kind: "pointer" | "list" | "map"; readonly element: GoType }
  | { readonly kind: "struct"; readonly struct: () => GoStruct }
);

export interface GoStruct {
  /** Of its schema: `io.k8s.api.core.v1.Pod`. */
  readonly id: string;
  /** Without its package, as messages name it. */
  readonly name: string;
  /** In the order in which Go writes them. */
  readonly fields: readonly GoField[];
  readonly byName: ReadonlyMap<string, GoField>;
}

export interface GoField {
  readonly name: string;
  readonly index: number;
  readonly type: GoType;
  /** Not written when empty. */
  readonly omitted: boolean;
  readonly embedded: readonly string[];
}

const meta = "io.k8s.apimachinery.pkg.apis.meta.v1.";
const extensions = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.";

const special: Readonly<Record<string, "quantity" | "time" | "microTime" | "intOrString" | "any" | "lenient">> = {
  "io.k8s.apimachinery.pkg.api.resource.Quantity": "quantity",
  "io.k8s.apimachinery.pkg.util.intstr.IntOrString": "intOrString",
  "io.k8s.apimachinery.pkg.runtime.RawExtension": "any",
  [`${meta}Time`]: "time",
  [`${meta}MicroTime`]: "microTime",
  [`${meta}FieldsV1`]: "any",
  [`${extensions}JSON`]: "any",
  [`${extensions}JSONSchemaPropsOrArray`]: "lenient",
  [`${extensions}JSONSchemaPropsOrBool`]: "lenient",
  [`${extensions}JSONSchemaPropsOrStringArray`]: "lenient",
};

const fieldsOf = written as Readonly<Record<string, readonly string[]>>;
const structs = new Map<string, GoStruct>();

/** The struct of a built-in schema (`io.k8s.api.core.v1.Pod`); `undefined` for other schemas. */
export function goStruct(id: string): GoStruct | undefined {
  const known = structs.get(id);
  if (known !== undefined) return known;
  const lines = Object.hasOwn(fieldsOf, id) ? fieldsOf[id] : undefined;
  const schema = builtinSchemas().get(id);
  if (lines === undefined || schema === undefined) return undefined;
  const fields = lines.map((line, index): GoField => {
    const [name = "", type = "", flag = "", ...embedded] = line.split(" ");
    const property = schema.properties?.[name] ?? {};
    return { name, index, type: goType(type, property), omitted: flag === "0", embedded };
  });
  const struct: GoStruct = {
    id,
    name: id.slice(id.lastIndexOf(".") + 1),
    fields,
    byName: new Map(fields.map((field) => [field.name, field])),
  };
  structs.set(id, struct);
  return struct;
}

const outer = /^(?:(\*)|(\[\])|(map\[[\w.]+\]))(.+)$/;

function goType(text: string, schema: Schema): GoType {
  const equals = text.indexOf("=");
  if (/^[\w.]+=/.test(text)) {
    return { ...goType(text.slice(equals + 1), schema), name: text.slice(0, equals) } as GoType;
  }
  const name = text.replace(/=.*$/, "");
  if (text === "[]byte") return { kind: "bytes", name: "[]uint8" };
  const match = outer.exec(text);
  if (match !== null) {
    const [, pointer, list, , inner = ""] = match;
    if (pointer !== undefined) return { kind: "pointer", name, element: goType(inner, schema) };
    if (list !== undefined) return { kind: "list", name, element: goType(inner, schema.items ?? {}) };
    const values = schema.additionalProperties;
    return { kind: "map", name, element: goType(inner, typeof values === "object" ? values : {}) };
  }
  return namedType(name, schema);
}

function namedType(name: string, schema: Schema): GoType {
  const id = schema.id ?? "";
  const kind = Object.hasOwn(special, id) ? special[id] : undefined;
  if (kind === "lenient") {
    const props: GoType = {
      kind: "struct",
      name: "v1.JSONSchemaProps",
      struct: () => goStruct(`${extensions}JSONSchemaProps`) ?? { id, name, fields: [], byName: new Map() },
    };
    return { kind, name, type: () => props };
  }
  if (kind !== undefined) return { kind, name };
  if (id !== "" && Object.hasOwn(fieldsOf, id)) {
    return { kind: "struct", name, struct: () => goStruct(id) ?? { id, name, fields: [], byName: new Map() } };
  }
  if (schema.type === "string") return { kind: "string", name };
  if (schema.type === "boolean") return { kind: "boolean", name };
  if (schema.type === "number") return { kind: "float", name };
  if (schema.type === "integer") {
    return {
      kind: "integer",
      name,
      bits: schema.format === "int64" || name === "int" ? 64 : 32,
      unsigned: name.startsWith("uint"),
    };
  }
  return { kind: "any", name };
}
