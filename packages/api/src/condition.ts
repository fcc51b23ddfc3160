import { Type, type Static } from "typebox";

/** `metav1.Condition`. */
export const ConditionSchema = Type.Object(
  {
    type: Type.String({ maxLength: 316, description: "What is said, in CamelCase." }),
    status: Type.Unsafe<"True" | "False" | "Unknown">({
      type: "string",
      enum: ["True", "False", "Unknown"],
      description: "Whether it holds.",
    }),
    observedGeneration: Type.Optional(
      Type.Integer({ format: "int64", minimum: 0, description: "The metadata.generation that this was said about." }),
    ),
    lastTransitionTime: Type.String({ format: "date-time", description: "When the status last changed." }),
    reason: Type.String({ minLength: 1, maxLength: 1024, description: "Why, in one CamelCase word." }),
    message: Type.String({ maxLength: 32768, description: "Why, in a sentence." }),
  },
  { description: "One aspect of the object's state." },
);

export type Condition = Readonly<Static<typeof ConditionSchema>>;

/** `status.conditions`: a list that server-side apply merges by type. */
export const conditions = Type.Unsafe<readonly Condition[]>({
  type: "array",
  items: ConditionSchema,
  "x-kubernetes-list-type": "map",
  "x-kubernetes-list-map-keys": ["type"],
  description: "What the controller has to say about this object.",
});

/** Replaces a condition by its type; `lastTransitionTime` moves only when the status changes. */
export function setCondition(list: readonly Condition[], next: Condition): readonly Condition[] {
  const at = list.findIndex((condition) => condition.type === next.type);
  const before = list[at];
  if (!before) return [...list, next];
  const merged = before.status === next.status ? { ...next, lastTransitionTime: before.lastTransitionTime } : next;
  return list.with(at, merged);
}
