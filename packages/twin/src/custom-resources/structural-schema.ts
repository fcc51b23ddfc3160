import type { JSONSchemaProps } from "@fleetwright/kube";
import type { Schema } from "../machinery/schema.ts";
import { objectMetaSchema } from "./object-meta-schema.ts";

/** A definition's schema as the code that walks schemas takes it: the JSON is the same. */
export const structuralSchema = (props: JSONSchemaProps | undefined): Schema => (props ?? {}) as Schema;

export const propertyOf = (schema: Schema | undefined, name: string): Schema | undefined => {
  const properties = schema?.properties;
  return properties !== undefined && Object.hasOwn(properties, name) ? properties[name] : undefined;
};

/** The schema of the values of keys that are no declared properties. */
export const additionalOf = (schema: Schema | undefined): Schema | undefined =>
  typeof schema?.additionalProperties === "object" ? schema.additionalProperties : undefined;

const metaProperties: Readonly<Record<string, Schema>> = {
  apiVersion: { type: "string" },
  kind: { type: "string" },
  metadata: objectMetaSchema,
};

const mapValues = (
  record: Readonly<Record<string, Schema>>,
  change: (schema: Schema) => Schema,
): Record<string, Schema> => Object.fromEntries(Object.entries(record).map(([key, schema]) => [key, change(schema)]));

/** With what every resource has: for server-side apply and OpenAPI, which need to know how metadata is merged. */
export function servedSchema(root: Schema): Schema {
  const complete = (schema: Schema, isResource: boolean): Schema => {
    const properties = {
      ...mapValues(schema.properties ?? {}, completeInner),
      ...(isResource ? metaProperties : {}),
    };
    const { additionalProperties, items } = schema;
    return {
      ...schema,
      ...(Object.keys(properties).length === 0 ? {} : { properties }),
      ...(typeof additionalProperties === "object"
        ? { additionalProperties: completeInner(additionalProperties) }
        : {}),
      ...(items === undefined ? {} : { items: completeInner(items) }),
    };
  };
  const completeInner = (schema: Schema): Schema => complete(schema, schema["x-kubernetes-embedded-resource"] === true);
  return complete({ ...root, type: "object" }, true);
}
