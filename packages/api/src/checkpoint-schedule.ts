import { Type, type Static } from "typebox";
import { CheckpointDestinationSchema, waitingForManager } from "./checkpoint.ts";
import { conditions } from "./condition.ts";
import type { CustomResource } from "./custom-resource.ts";
import { apiGroup } from "./labels.ts";
import type { ResourceMeta } from "./object-meta.ts";
import { quantity, withRules } from "./schema.ts";

const seconds = (description: string, minimum = 0, initial?: number) =>
  Type.Integer({
    format: "int64",
    minimum,
    maximum: 315_360_000,
    description,
    ...(initial === undefined ? {} : { default: initial }),
  });
const kept = (what: string) =>
  Type.Optional(
    Type.Integer({
      format: "int32",
      minimum: 0,
      maximum: 10_000,
      description: `The newest of each of this many ${what}.`,
    }),
  );

/** How long checkpoints are kept. What any rule keeps is kept; without a rule, all. */
export const CheckpointRetentionSchema = Type.Object(
  {
    keepLast: Type.Optional(
      Type.Integer({
        format: "int32",
        minimum: 0,
        maximum: 10_000,
        description: "This many newest of each container.",
      }),
    ),
    hourly: kept("hours"),
    daily: kept("days"),
    weekly: kept("weeks"),
    monthly: kept("months"),
    yearly: kept("years"),
    maxAgeSeconds: Type.Optional(seconds("Older ones go, whatever the rules above keep.", 1)),
    maxTotalSize: Type.Optional(quantity("Of all of them together; the oldest go first: 200Gi.")),
  },
  {
    description: "How long checkpoints are kept. The newest that can be restored always is, and so is what is pinned.",
  },
);
export type CheckpointRetention = Readonly<Static<typeof CheckpointRetentionSchema>>;

const selector = Type.Unsafe<{
  readonly matchLabels?: Readonly<Record<string, string>>;
  readonly matchExpressions?: readonly {
    readonly key: string;
    readonly operator: string;
    readonly values?: readonly string[];
  }[];
}>({
  type: "object",
  description: "Pods of this namespace, by label.",
  properties: {
    matchLabels: { type: "object", additionalProperties: { type: "string" } },
    matchExpressions: {
      type: "array",
      maxItems: 64,
      items: {
        type: "object",
        required: ["key", "operator"],
        properties: {
          key: { type: "string" },
          operator: { type: "string", enum: ["In", "NotIn", "Exists", "DoesNotExist"] },
          values: { type: "array", maxItems: 256, items: { type: "string" } },
        },
      },
    },
  },
});

const spec = withRules(
  Type.Object(
    {
      selector,
      containers: Type.Optional(
        Type.Unsafe<readonly string[]>({
          type: "array",
          maxItems: 64,
          items: { type: "string", minLength: 1, maxLength: 63 },
          description: "Names of containers. All that run, if not given.",
        }),
      ),
      schedule: Type.Optional(
        Type.String({ minLength: 1, maxLength: 256, description: "When, as a CronJob has it: */30 * * * *, @hourly." }),
      ),
      timeZone: Type.Optional(
        Type.String({
          maxLength: 64,
          description: "Of the schedule and of the days that retention counts: Europe/Berlin. UTC if not given.",
        }),
      ),
      intervalSeconds: Type.Optional(seconds("This long after the last one, instead of a schedule.", 1)),
      jitterSeconds: Type.Optional(
        seconds(
          "Each pod's turn comes up to this much later, always by the same amount, so that not all freeze at once.",
          0,
          0,
        ),
      ),
      minimumGapSeconds: Type.Optional(
        seconds("Whatever asks for it, a pod is not checkpointed again within this time.", 0, 0),
      ),
      maxConcurrentPerNode: Type.Optional(
        Type.Integer({
          format: "int32",
          minimum: 1,
          maximum: 64,
          default: 1,
          description: "Containers of one node that are frozen at once.",
        }),
      ),
      suspend: Type.Optional(
        Type.Boolean({ default: false, description: "Nothing is taken on time; triggers still work." }),
      ),
      triggers: Type.Optional(
        Type.Object(
          {
            annotation: Type.Optional(
              Type.Boolean({
                default: true,
                description: "A new value of the pod's annotation fleetwright.dev/checkpoint takes one.",
              }),
            ),
            drain: Type.Optional(
              Type.Object(
                {
                  deadlineSeconds: Type.Optional(
                    seconds("An eviction is held back until the checkpoint is there, but no longer than this.", 1, 600),
                  ),
                  restore: Type.Optional(
                    Type.Boolean({
                      default: false,
                      description: "The pod goes on from it on another node: for pods without a controller.",
                    }),
                  ),
                },
                { description: "Evictions wait for a checkpoint." },
              ),
            ),
            preemption: Type.Optional(
              Type.Boolean({
                default: false,
                description: "One is taken when the pod is told to go, if its grace period allows.",
              }),
            ),
            memoryPercent: Type.Optional(
              Type.Integer({
                format: "int32",
                minimum: 1,
                maximum: 100,
                description:
                  "One is taken when a container's memory passes this much of its limit: before it is killed for it.",
              }),
            ),
          },
          { description: "What takes a checkpoint beside time." },
        ),
      ),
      retention: Type.Optional(CheckpointRetentionSchema),
      destination: Type.Optional(CheckpointDestinationSchema),
      restoreOnFailure: Type.Optional(
        Type.Boolean({
          default: false,
          description:
            "A container that ends with an error goes on from its last checkpoint instead of beginning anew.",
        }),
      ),
      rehearsal: Type.Optional(
        Type.Object(
          {
            intervalSeconds: seconds("How often the newest checkpoint is restored in a scratch pod.", 60),
            keepSeconds: Type.Optional(seconds("How long the scratch pod stays after it was verified.", 0, 0)),
          },
          { description: "Proves that what is kept can be restored." },
        ),
      ),
    },
    { required: ["selector"], description: "Which pods are checkpointed, when, and how long what is taken is kept." },
  ),
  [
    {
      rule: "!(has(self.schedule) && has(self.intervalSeconds))",
      message: "give either schedule or intervalSeconds",
      fieldPath: ".intervalSeconds",
    },
  ],
);

const status = Type.Object(
  {
    lastScheduleTime: Type.Optional(Type.String({ format: "date-time", description: "When one was last due." })),
    nextScheduleTime: Type.Optional(Type.String({ format: "date-time", description: "When one is due next." })),
    pods: Type.Optional(Type.Integer({ format: "int32", description: "Pods that are selected now." })),
    checkpoints: Type.Optional(Type.Integer({ format: "int32", description: "Checkpoints that are kept now." })),
    bytes: Type.Optional(Type.Integer({ format: "int64", description: "Size of their archives together." })),
    pruned: Type.Optional(Type.Integer({ format: "int64", description: "Checkpoints that retention has deleted." })),
    rehearsal: Type.Optional(
      Type.Object(
        {
          time: Type.Optional(Type.String({ format: "date-time" })),
          restoreName: Type.Optional(Type.String({ maxLength: 253 })),
          checkpointName: Type.Optional(Type.String({ maxLength: 253 })),
          result: Type.Optional(
            Type.Unsafe<"Running" | "Passed" | "Failed">({ type: "string", enum: ["Running", "Passed", "Failed"] }),
          ),
          message: Type.Optional(Type.String({ maxLength: 4096 })),
        },
        { description: "The last rehearsal." },
      ),
    ),
    conditions: Type.Optional(conditions),
  },
  { default: { conditions: [waitingForManager] }, description: "What came of it. Written by the manager only." },
);

export type CheckpointScheduleSpec = Readonly<Static<typeof spec>>;
export type CheckpointScheduleStatus = Readonly<Static<typeof status>>;

/** A policy: which pods are checkpointed when, and how long that is kept. */
export interface CheckpointSchedule {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: ResourceMeta;
  readonly spec: CheckpointScheduleSpec;
  readonly status?: CheckpointScheduleStatus;
}

/** Condition types of a schedule. */
export const scheduleConditions = {
  /** The schedule can be read, and is followed. */
  ready: "Ready",
  /** The newest checkpoint was restored. */
  rehearsed: "Rehearsed",
} as const;

/** The kind `CheckpointSchedule`, `cps` for short. */
export const CheckpointSchedules: CustomResource<CheckpointSchedule> = {
  group: apiGroup,
  version: "v1alpha1",
  kind: "CheckpointSchedule",
  plural: "checkpointschedules",
  singular: "checkpointschedule",
  namespaced: true,
  shortNames: ["cps"],
  categories: ["fleetwright"],
  hasStatus: true,
  schema: Type.Object(
    { spec, status: Type.Optional(status) },
    { description: "A policy: which pods are checkpointed when, and how long that is kept." },
  ),
  columns: [
    { name: "Schedule", type: "string", jsonPath: ".spec.schedule" },
    { name: "Interval", type: "integer", jsonPath: ".spec.intervalSeconds", description: "seconds" },
    { name: "Suspend", type: "boolean", jsonPath: ".spec.suspend" },
    { name: "Ready", type: "string", jsonPath: ".status.conditions[?(@.type=='Ready')].status" },
    { name: "Pods", type: "integer", jsonPath: ".status.pods" },
    { name: "Kept", type: "integer", jsonPath: ".status.checkpoints" },
    { name: "Last", type: "date", jsonPath: ".status.lastScheduleTime" },
    { name: "Rehearsed", type: "string", jsonPath: ".status.rehearsal.result" },
    { name: "Message", type: "string", jsonPath: ".status.conditions[?(@.type=='Ready')].message", priority: 1 },
    { name: "Age", type: "date", jsonPath: ".metadata.creationTimestamp" },
  ],
};
