import { Type, type TObject, type TSchema, type TUnsafe } from "typebox";

/** One CEL rule of a CRD (`x-kubernetes-validations`). It holds without any webhook. */
export interface ValidationRule {
  readonly rule: string;
  readonly message?: string;
  /** A CEL expression that makes the message; the server falls back to `message` if it fails. */
  readonly messageExpression?: string;
  readonly reason?: "FieldValueInvalid" | "FieldValueForbidden" | "FieldValueRequired" | "FieldValueDuplicate";
  readonly fieldPath?: string;
}

/** Puts CEL rules on a schema. */
export function withRules<S extends TSchema>(schema: S, rules: readonly ValidationRule[]): S {
  return { ...schema, "x-kubernetes-validations": rules };
}

/** A quantity as users write it: `2`, `"500m"`, `"16Gi"`. */
export type QuantityText = number | string;

// Bounds the work of the rules: the server refuses a CRD whose rules could cost too much.
const maxQuantityLength = 64;

/** A quantity as int-or-string. Negative ones are refused. */
export function quantity(description: string): TUnsafe<QuantityText> {
  return Type.Unsafe<QuantityText>({
    "x-kubernetes-int-or-string": true,
    anyOf: [{ type: "integer" }, { type: "string" }],
    maxLength: maxQuantityLength,
    description,
    "x-kubernetes-validations": [
      {
        rule: "type(self) == int || isQuantity(self)",
        message: "must be a quantity, such as 2, 500m or 16Gi",
      },
      {
        rule: "type(self) == int ? self >= 0 : !self.startsWith('-')",
        message: "must not be negative",
      },
    ],
  });
}

/** A map from resource names to quantities. */
export function quantityMap(description: string, maxProperties: number): TUnsafe<ResourceAmounts> {
  return Type.Unsafe<ResourceAmounts>({
    type: "object",
    description,
    maxProperties,
    additionalProperties: quantity("An amount: 2, 500m, 16Gi."),
  });
}

/** Quantities by resource name, as they stand in `spec.hard`. */
export type ResourceAmounts = Readonly<Record<string, QuantityText>>;

/**
 * The structural schema of a TypeBox type: as JSON, without what OpenAPI v3 in a CRD does not know. Property order is kept.
 */
export function structuralSchema(schema: TObject): Readonly<Record<string, unknown>> {
  return JSON.parse(JSON.stringify(schema)) as Readonly<Record<string, unknown>>;
}
