import { Type, type Static } from "typebox";
import { verdicts, waitingForManager } from "./checkpoint.ts";
import { conditions } from "./condition.ts";
import type { CustomResource } from "./custom-resource.ts";
import { apiGroup } from "./labels.ts";
import type { ResourceMeta } from "./object-meta.ts";
import { withRules } from "./schema.ts";

const name = (description: string) => Type.String({ minLength: 1, maxLength: 253, description });
const time = (description: string) => Type.String({ format: "date-time", description });

const spec = withRules(
  Type.Object(
    {
      checkpointName: name("The Checkpoint, in this namespace."),
      podName: name("The pod that goes on from it."),
      mode: Type.Optional(
        Type.Unsafe<"Create" | "InPlace">({
          type: "string",
          enum: ["Create", "InPlace"],
          default: "Create",
          description:
            "Create: a new pod of that name. InPlace: the pod exists, and its containers begin again from the checkpoint; its name, address and owner stay.",
        }),
      ),
      nodeName: Type.Optional(
        name(
          "Where a new pod runs. If not given: where the checkpoint was taken, or another node that it fits when that one does not take pods.",
        ),
      ),
      stopSource: Type.Optional(
        Type.Boolean({
          default: false,
          description: "A move: the pod that was checkpointed is stopped for certain before the new one starts.",
        }),
      ),
      labels: Type.Optional(
        Type.Unsafe<Readonly<Record<string, string>>>({
          type: "object",
          maxProperties: 64,
          additionalProperties: { type: "string", maxLength: 63 },
          description:
            "Of the new pod, beside those of the old one. Those by which a controller would adopt it are left out.",
        }),
      ),
      isolated: Type.Optional(
        Type.Boolean({
          default: false,
          description:
            "The new pod has none of the old one's labels, so that no Service or controller takes it for its own.",
        }),
      ),
      volumes: Type.Optional(
        Type.Unsafe<"Require" | "Empty" | "Scratch">({
          type: "string",
          enum: ["Require", "Empty", "Scratch"],
          default: "Require",
          description:
            "Require: claims, ConfigMaps and Secrets that the pod mounts must exist. Empty: those that do not are replaced by empty folders. Scratch: every claim is, so that nothing of the original is touched.",
        }),
      ),
      serviceAccountName: Type.Optional(name("Of the new pod, instead of the old one's.")),
      acceptRisks: Type.Optional(
        Type.Boolean({
          default: false,
          description: "Restore although a verdict warns, such as that the kernel is older.",
        }),
      ),
      verify: Type.Optional(
        Type.Unsafe<"Require" | "Report">({
          type: "string",
          enum: ["Require", "Report"],
          default: "Require",
          description:
            "Require: a restored container that is not what the checkpoint holds is a failure. Report: it is only told.",
        }),
      ),
      timeoutSeconds: Type.Optional(
        Type.Integer({
          format: "int32",
          minimum: 1,
          maximum: 86_400,
          default: 600,
          description: "Time for the whole restore.",
        }),
      ),
    },
    { required: ["checkpointName", "podName"], description: "What is restored, and how." },
  ),
  [
    {
      rule: "self == oldSelf",
      message: "a restore happens once: create another CheckpointRestore instead",
      reason: "FieldValueForbidden",
    },
  ],
);

const difference = Type.Object({
  container: Type.String({ maxLength: 253 }),
  subject: Type.String({ maxLength: 64, description: "What was compared: processes, memory, sockets, gpu, restarts." }),
  message: Type.String({ maxLength: 4096 }),
});
export type RestoreDifference = Readonly<Static<typeof difference>>;

/** How far a restore is. */
export type RestorePhase = "Pending" | "Preparing" | "Stopping" | "Starting" | "Verifying" | "Succeeded" | "Failed";

const status = Type.Object(
  {
    phase: Type.Optional(
      Type.Unsafe<RestorePhase>({
        type: "string",
        enum: ["Pending", "Preparing", "Stopping", "Starting", "Verifying", "Succeeded", "Failed"],
        description: "How far it is.",
      }),
    ),
    nodeName: Type.Optional(Type.String({ maxLength: 253, description: "Where the pod goes on." })),
    podUID: Type.Optional(Type.String({ maxLength: 128, description: "Of the pod that goes on." })),
    replaced: Type.Optional(
      Type.Unsafe<readonly string[]>({
        type: "array",
        maxItems: 64,
        items: { type: "string", maxLength: 256 },
        description: "Containers of a restore in place that ran before it.",
      }),
    ),
    startTime: Type.Optional(time("When it was begun.")),
    restoredTime: Type.Optional(time("When the containers ran again.")),
    timeToRestoreMs: Type.Optional(
      Type.Integer({
        format: "int64",
        minimum: 0,
        description: "From the beginning to running containers, in milliseconds.",
      }),
    ),
    verdicts: Type.Optional(verdicts),
    differences: Type.Optional(
      Type.Unsafe<readonly RestoreDifference[]>({
        type: "array",
        maxItems: 64,
        items: difference,
        description: "What is not as the checkpoint holds it. Empty: verified.",
      }),
    ),
    conditions: Type.Optional(conditions),
  },
  {
    default: { phase: "Pending", conditions: [waitingForManager] },
    description: "How far it is. Written by the manager only.",
  },
);

export type CheckpointRestoreSpec = Readonly<Static<typeof spec>>;
export type CheckpointRestoreStatus = Readonly<Static<typeof status>>;

/** One restore of a checkpoint. */
export interface CheckpointRestore {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: ResourceMeta;
  readonly spec: CheckpointRestoreSpec;
  readonly status?: CheckpointRestoreStatus;
}

/** Reasons of the condition `Ready`: KEP-5823's, and ours. */
export const restoreReasons = {
  checkpointNotReady: "CheckpointNotReady",
  wrongNode: "CheckpointWrongNode",
  specMismatch: "PodSpecMismatch",
  inProgress: "RestoreInProgress",
  succeeded: "RestoreSucceeded",
  failed: "RestoreFailed",
  refused: "VerdictImpossible",
  risky: "VerdictRisky",
  sourceNotStopped: "SourceNotStopped",
  notAsSaved: "NotAsSaved",
} as const;

/** The kind `CheckpointRestore`, `cpr` for short. */
export const CheckpointRestores: CustomResource<CheckpointRestore> = {
  group: apiGroup,
  version: "v1alpha1",
  kind: "CheckpointRestore",
  plural: "checkpointrestores",
  singular: "checkpointrestore",
  namespaced: true,
  shortNames: ["cpr"],
  categories: ["fleetwright"],
  hasStatus: true,
  schema: Type.Object(
    { spec, status: Type.Optional(status) },
    { description: "One restore of a checkpoint into a pod." },
  ),
  columns: [
    { name: "Checkpoint", type: "string", jsonPath: ".spec.checkpointName" },
    { name: "Pod", type: "string", jsonPath: ".spec.podName" },
    { name: "Node", type: "string", jsonPath: ".status.nodeName" },
    { name: "Phase", type: "string", jsonPath: ".status.phase" },
    { name: "Reason", type: "string", jsonPath: ".status.conditions[?(@.type=='Ready')].reason" },
    {
      name: "Took",
      type: "integer",
      jsonPath: ".status.timeToRestoreMs",
      description: "milliseconds until it ran again",
    },
    { name: "Message", type: "string", jsonPath: ".status.conditions[?(@.type=='Ready')].message", priority: 1 },
    { name: "Age", type: "date", jsonPath: ".metadata.creationTimestamp" },
  ],
};
