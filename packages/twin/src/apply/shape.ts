import type { Schema } from "../machinery/schema.ts";
import { compareText } from "./field-set.ts";

type ScalarShape = "numeric" | "string" | "boolean" | "untyped";

/**
 * How values of a schema are merged and owned: which lists and maps are one field (atomic) and which are sets of fields.
 * A value without a type may be of each form. (k8s.io/kube-openapi/pkg/schemaconv)
 */
export interface Shape {
  readonly scalar: ScalarShape | undefined;
  readonly list: ListShape | undefined;
  readonly map: MapShape | undefined;
}

export interface ListShape {
  readonly atomic: boolean;
  /** Sorted; none for a set. */
  readonly keys: readonly string[];
  readonly item: Shape;
  /** What absent keys count as. */
  readonly keyDefaults: ReadonlyMap<string, unknown>;
}

export interface MapShape {
  readonly atomic: boolean;
  /** Of keys that are no declared fields; undefined where there may be none. */
  readonly values: Shape | undefined;
  /** No fields are declared and the values have no schema: such a map is always a map of fields. */
  readonly untyped: boolean;
  field(name: string): Shape | undefined;
}

const untypedScalar: Shape = { scalar: "untyped", list: undefined, map: undefined };

const untypedAtomic: Shape = {
  scalar: "untyped",
  get list() {
    return atomicList;
  },
  map: {
    atomic: true,
    get values(): Shape {
      return untypedAtomic;
    },
    untyped: true,
    field: () => undefined,
  },
};

const atomicList: ListShape = { atomic: true, keys: [], item: untypedAtomic, keyDefaults: new Map() };

/** Values without a schema: maps of fields, everything else atomic. */
const deduced: Shape = {
  scalar: "untyped",
  list: atomicList,
  map: {
    atomic: false,
    get values(): Shape {
      return deduced;
    },
    untyped: true,
    field: () => undefined,
  },
};

interface Known {
  strict?: Shape;
  preserving?: Shape;
}

const shapes = new WeakMap<Schema, Known>();

/** The shape of a schema, made once. */
export const shapeOf = (schema: Schema): Shape => shapeIn(schema, false);

function shapeIn(schema: Schema, inPreserving: boolean): Shape {
  let known = shapes.get(schema);
  if (known === undefined) shapes.set(schema, (known = {}));
  const preserving = inPreserving || schema["x-kubernetes-preserve-unknown-fields"] === true;
  const made = preserving ? known.preserving : known.strict;
  if (made !== undefined) return made;
  const shape = makeShape(schema, preserving);
  if (preserving) known.preserving = shape;
  else known.strict = shape;
  return shape;
}

function makeShape(schema: Schema, preserving: boolean): Shape {
  if (schema.id?.endsWith(".api.resource.Quantity") === true) return untypedScalar;
  if (schema.id?.endsWith(".pkg.runtime.RawExtension") === true) return untypedAtomic;
  switch (schema.type) {
    case "object":
      return { scalar: undefined, list: undefined, map: mapShape(schema, preserving) };
    case "array":
      return { scalar: undefined, list: listShape(schema, preserving), map: undefined };
    case "integer":
    case "number":
      return { scalar: "numeric", list: undefined, map: undefined };
    case "boolean":
      return { scalar: "boolean", list: undefined, map: undefined };
    case "string": {
      const plain = schema.format === undefined || schema.format === "" || schema.format === "byte";
      return plain ? { scalar: "string", list: undefined, map: undefined } : untypedScalar;
    }
    case undefined:
      return { scalar: "untyped", list: listShape(schema, preserving), map: mapShape(schema, preserving) };
  }
}

function listShape(schema: Schema, preserving: boolean): ListShape {
  const type = schema["x-kubernetes-list-type"];
  const { items } = schema;
  let item: Shape | undefined;
  let defaults: ReadonlyMap<string, unknown> | undefined;
  const keys = type === "map" ? (schema["x-kubernetes-list-map-keys"] ?? []).toSorted(compareText) : [];
  return {
    atomic: type !== "set" && type !== "map",
    keys,
    // Schemas may be cyclic: what lies below is made when it is asked for.
    get item() {
      return (item ??= items === undefined ? untypedAtomic : shapeIn(items, preserving));
    },
    get keyDefaults() {
      return (defaults ??= new Map(
        keys.flatMap((key) => {
          const properties = items?.properties;
          const value =
            properties !== undefined && Object.hasOwn(properties, key) ? properties[key]?.default : undefined;
          return value === undefined ? [] : [[key, value] as const];
        }),
      ));
    },
  };
}

function mapShape(schema: Schema, preserving: boolean): MapShape {
  const { properties, additionalProperties } = schema;
  const fields = new Map<string, Shape>();
  let values: Shape | undefined;
  let valuesKnown = false;
  const valuesOf = (): Shape | undefined => {
    if (additionalProperties === undefined) {
      return preserving || properties === undefined || Object.keys(properties).length === 0 ? deduced : undefined;
    }
    if (typeof additionalProperties === "object") return shapeIn(additionalProperties, preserving);
    return additionalProperties ? deduced : undefined;
  };
  return {
    atomic: schema["x-kubernetes-map-type"] === "atomic",
    get values() {
      if (!valuesKnown) {
        values = valuesOf();
        valuesKnown = true;
      }
      return values;
    },
    get untyped() {
      return properties === undefined && (this.values === deduced || this.values === untypedAtomic);
    },
    field(name) {
      const known = fields.get(name);
      if (known !== undefined) return known;
      if (properties === undefined || !Object.hasOwn(properties, name)) return undefined;
      const property = properties[name];
      if (property === undefined) return undefined;
      const shape = shapeIn(property, preserving);
      fields.set(name, shape);
      return shape;
    },
  };
}

/** The one form of the shape that a value has, where it has one (`deduceAtom`). */
export function formOf(shape: Shape, value: unknown): "map" | "list" | "scalar" | "none" {
  if (value !== undefined && value !== null) {
    if (Array.isArray(value)) {
      if (shape.list !== undefined) return "list";
    } else if (typeof value === "object") {
      if (shape.map !== undefined) return "map";
    } else if (shape.scalar !== undefined) return "scalar";
  }
  if (shape.map !== undefined) return "map";
  if (shape.scalar !== undefined) return "scalar";
  return shape.list === undefined ? "none" : "list";
}
