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

const never = "1970-01-01T00:00:00Z";

/**
 * A default for `status.conditions`: what the server itself says of an object until the manager does, so that `kubectl` tells of one that nobody looks after. Gateway API's resources do
 * the same.
 */
export const unattended = (message: string): Condition => ({
  type: "Ready",
  status: "Unknown",
  reason: "WaitingForManager",
  message,
  lastTransitionTime: never,
});

/** No manager has said anything of the object yet. */
export const isUnattended = (list: readonly Condition[] | undefined): boolean =>
  list === undefined || list.every(({ lastTransitionTime }) => lastTransitionTime === never);

/** Replaces a condition by its type; `lastTransitionTime` moves only when the status changes, and from a default's. */
export function setCondition(list: readonly Condition[], next: Condition): readonly Condition[] {
  const at = list.findIndex((condition) => condition.type === next.type);
  const before = list[at];
  if (!before) return [...list, next];
  const { status, lastTransitionTime } = before;
  const merged = status === next.status && lastTransitionTime !== never ? { ...next, lastTransitionTime } : next;
  return list.with(at, merged);
}
