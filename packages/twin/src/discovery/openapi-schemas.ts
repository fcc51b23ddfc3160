import type { ServedKind } from "../machinery/kind.ts";
import type { Schema } from "../machinery/schema.ts";
import { builtinSchemas } from "../schema/builtin-schemas.ts";

export type Dialect = "v2" | "v3";

const prefixes: Readonly<Record<Dialect, string>> = { v2: "#/definitions/", v3: "#/components/schemas/" };

const meta = "io.k8s.apimachinery.pkg.apis.meta.v1.";

/** A document's named schemas, filled by what refers to them. */
export interface SchemaSet {
  /** A reference to a named schema, or the schema itself. */
  refer(schema: Schema): object;
  /** The same by name. */
  named(id: string): object;
  /** By name, sorted. */
  all(): Readonly<Record<string, object>>;
  /** A schema that is written already. */
  add(id: string, schema: object): void;
}

/** Collects named schemas while references to them are written. */
export function createSchemaSet(dialect: Dialect): SchemaSet {
  const done = new Map<string, object>();
  const pending: Schema[] = [];
  const requested = new Set<string>();

  function reference(schema: Schema, isProperty = false): object | undefined {
    const { id } = schema;
    const target = id === undefined ? undefined : builtinSchemas().get(id);
    if (id === undefined || target === undefined) return undefined;
    if (!requested.has(id)) {
      requested.add(id);
      pending.push(target);
    }
    const $ref = `${prefixes[dialect]}${id}`;
    const own = Object.fromEntries(
      Object.entries(schema).filter(([key, value]) => value !== target[key as keyof Schema]),
    );
    if (dialect === "v2") return { ...withoutV3Words(own), $ref };
    // A property has a description of its own, which is why the real server writes it this way.
    return isProperty || Object.keys(own).length > 0 ? { allOf: [{ $ref }], ...own } : { $ref };
  }

  const write = (schema: Schema): object => reference(schema) ?? body(schema);
  const writeProperty = (schema: Schema): object => reference(schema, true) ?? body(schema);

  function body({ id: _id, ...schema }: Schema): object {
    const { properties, items, additionalProperties, allOf, anyOf, oneOf, not, ...rest } = schema;
    const out: Record<string, unknown> = dialect === "v2" ? withoutV3Words(rest) : { ...rest };
    if (properties !== undefined) {
      out["properties"] = Object.fromEntries(
        Object.entries(properties).map(([name, child]) => [name, writeProperty(child)]),
      );
    }
    if (dialect === "v3" && schema["x-kubernetes-embedded-resource"] === true) embed(out);
    if (items !== undefined) out["items"] = write(items);
    if (additionalProperties !== undefined) {
      out["additionalProperties"] =
        typeof additionalProperties === "boolean" ? additionalProperties : write(additionalProperties);
    }
    if (dialect === "v3") {
      if (allOf !== undefined) out["allOf"] = allOf.map(write);
      if (anyOf !== undefined) out["anyOf"] = anyOf.map(write);
      if (oneOf !== undefined) out["oneOf"] = oneOf.map(write);
      if (not !== undefined) out["not"] = write(not);
    } else if (oneOf !== undefined && rest.type === undefined) out["type"] = "string";
    if (dialect === "v2") loosen(schema, out);
    return out;
  }

  /** An object within an object has a kind, a version and metadata of its own. */
  function embed(out: Record<string, unknown>): void {
    out["required"] = ["kind", "apiVersion", ...((out["required"] as readonly string[] | undefined) ?? [])];
    out["properties"] = {
      ...(out["properties"] as object | undefined),
      apiVersion: { type: "string" },
      kind: { type: "string" },
      metadata: { allOf: [reference(builtinSchemas().get(`${meta}ObjectMeta`) ?? {}) ?? {}] },
    };
  }

  return {
    refer: write,
    named: (id) => reference(builtinSchemas().get(id) ?? {}) ?? {},
    add: (id, schema) => void done.set(id, schema),
    all() {
      for (let schema = pending.pop(); schema !== undefined; schema = pending.pop()) {
        done.set(schema.id ?? "", body(schema));
      }
      return Object.fromEntries([...done].toSorted(([left], [right]) => (left < right ? -1 : 1)));
    },
  };
}

/** What OpenAPI v2 has no words for, and `default`, which its clients would apply. */
function withoutV3Words(schema: Schema): Record<string, unknown> {
  const { default: _default, nullable: _nullable, ...rest } = schema;
  return { ...rest };
}

/** Where v2 cannot say it all, it says nothing, so that clients refuse nothing (apiextensions pkg/controller/openapi/v2). */
function loosen(schema: Schema, out: Record<string, unknown>): void {
  if (schema.nullable === true || schema["x-kubernetes-preserve-unknown-fields"] === true) {
    delete out["type"];
    delete out["properties"];
    delete out["items"];
    delete out["additionalProperties"];
    if (schema.nullable === true) delete out["required"];
  }
  if (schema["x-kubernetes-int-or-string"] === true) delete out["type"];
}

const reversed = (group: string): string => group.split(".").toReversed().join(".");

/** `com.example.v1.Foo`: how a custom kind is called in OpenAPI. */
const customSchemaName = ({ group, version }: ServedKind, kind: string): string =>
  `${reversed(group)}.${version}.${kind}`;

/** Adds a custom kind and its list. */
export function addCustomKind(set: SchemaSet, kind: ServedKind, dialect: Dialect): void {
  const written = set.refer(kind.schema) as { readonly properties?: object };
  const text = { type: "string" };
  const variant = (id: string): object => (dialect === "v2" ? set.named(id) : { allOf: [set.named(id)] });
  const of = (name: string): object => ({
    "x-kubernetes-group-version-kind": [{ group: kind.group, version: kind.version, kind: name }],
    ...(kind.strategy.selectableFields === undefined || kind.strategy.selectableFields.length === 0
      ? {}
      : {
          "x-kubernetes-selectable-fields": kind.strategy.selectableFields
            .filter((field) => !field.startsWith("metadata."))
            .map((fieldPath) => ({ fieldPath })),
        }),
  });
  // A structure that keeps everything is published as if there were none (apiextensions pkg/controller/openapi/builder).
  const preserved = kind.schema["x-kubernetes-preserve-unknown-fields"] === true && dialect === "v2";
  set.add(customSchemaName(kind, kind.kind), {
    ...(preserved
      ? { type: "object" }
      : {
          ...written,
          properties: { ...written.properties, apiVersion: text, kind: text, metadata: variant(`${meta}ObjectMeta`) },
        }),
    ...of(kind.kind),
  });
  set.add(customSchemaName(kind, kind.listKind), {
    type: "object",
    required: ["items"],
    properties: {
      apiVersion: text,
      items: {
        type: "array",
        items: { $ref: `${prefixes[dialect]}${customSchemaName(kind, kind.kind)}` },
      },
      kind: text,
      metadata: variant(`${meta}ListMeta`),
    },
    ...of(kind.listKind),
  });
}

/** What a kind's objects or lists are called in a document. */
export function kindReference(set: SchemaSet, kind: ServedKind, dialect: Dialect, list: boolean): object {
  if (!kind.builtin) {
    return { $ref: `${prefixes[dialect]}${customSchemaName(kind, list ? kind.listKind : kind.kind)}` };
  }
  const id = kind.schema.id ?? "";
  return set.named(list ? `${id}List` : id);
}
