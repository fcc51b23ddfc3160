import { Type, type Static } from "typebox";
import { conditions, unattended } from "./condition.ts";
import type { CustomResource } from "./custom-resource.ts";
import { apiGroup } from "./labels.ts";
import type { ResourceMeta } from "./object-meta.ts";
import { withRules } from "./schema.ts";

const name = (description: string) => Type.String({ minLength: 1, maxLength: 253, description });
const time = (description: string) => Type.String({ format: "date-time", description });
const count = (description: string) => Type.Integer({ format: "int64", minimum: 0, description });

/** Most containers of a pod that a checkpoint names; Kubernetes itself has no limit. */
const maxContainers = 64;

/** Where a checkpoint is stored beyond its node. */
export const CheckpointDestinationSchema = Type.Object(
  {
    repository: Type.String({
      minLength: 3,
      maxLength: 512,
      pattern: "^[^/@\\s]+/[^@\\s]+$",
      description: "The repository that checkpoints are pushed to: registry.example.com/team/checkpoints.",
    }),
    secretName: Type.Optional(
      name("A Secret of type kubernetes.io/dockerconfigjson in this namespace, for registries that ask who it is."),
    ),
    form: Type.Optional(
      Type.Unsafe<"Artifact" | "EngineImage">({
        type: "string",
        enum: ["Artifact", "EngineImage"],
        default: "Artifact",
        description:
          "Artifact: in chunks, so that what repeats is stored once. EngineImage: an image that container engines restore from by themselves.",
      }),
    ),
    recipients: Type.Optional(
      Type.Unsafe<readonly string[]>({
        type: "array",
        maxItems: 16,
        items: { type: "string", maxLength: 128, pattern: "^age1[0-9a-z]+$" },
        description:
          "age public keys: an artifact is encrypted to them. Not for an EngineImage, which engines must read.",
      }),
    ),
  },
  { description: "A registry that checkpoints are pushed to." },
);
export type CheckpointDestination = Readonly<Static<typeof CheckpointDestinationSchema>>;

const pin = Type.Object(
  {
    owner: Type.String({ minLength: 1, maxLength: 253, description: "Who keeps it, in words that others understand." }),
    until: Type.Optional(time("When the pin ends. Without it, when it is taken away.")),
  },
  { description: "Someone's claim that a checkpoint must be kept." },
);
export type CheckpointPin = Readonly<Static<typeof pin>>;

const verdict = Type.Object(
  {
    code: Type.String({ maxLength: 64, description: "A reason in CamelCase; docs/checkpoint-verdicts.md lists them." }),
    severity: Type.Unsafe<"info" | "warning" | "error">({ type: "string", enum: ["info", "warning", "error"] }),
    container: Type.Optional(Type.String({ maxLength: 253 })),
    message: Type.String({ maxLength: 4096, description: "What was found, and where." }),
    action: Type.Optional(Type.String({ maxLength: 4096, description: "What to do about it." })),
  },
  { description: "Something that speaks for or against a checkpoint or a restore." },
);
export type CheckpointVerdict = Readonly<Static<typeof verdict>>;

/** `status.verdicts` of a Checkpoint and of a CheckpointRestore. */
export const verdicts = Type.Unsafe<readonly CheckpointVerdict[]>({
  type: "array",
  maxItems: 64,
  items: verdict,
  description: "What was found before anything was done.",
});

const spec = withRules(
  Type.Object(
    {
      podName: name("The pod, in this namespace."),
      podUID: Type.Optional(
        Type.String({ maxLength: 128, description: "This very pod, and not a later one of its name." }),
      ),
      containers: Type.Optional(
        Type.Unsafe<readonly string[]>({
          type: "array",
          maxItems: maxContainers,
          items: { type: "string", minLength: 1, maxLength: 63 },
          description: "Names of containers. All that run, if not given.",
        }),
      ),
      timeoutSeconds: Type.Optional(
        Type.Integer({
          format: "int32",
          minimum: 1,
          maximum: 86_400,
          description:
            "Time for one container. Chosen from its memory if not given; never below two minutes, the engines' own.",
        }),
      ),
      acceptRisks: Type.Optional(
        Type.Boolean({
          default: false,
          description: "Take it although a verdict warns, such as that the freeze outlasts the liveness probe.",
        }),
      ),
      destination: Type.Optional(CheckpointDestinationSchema),
      keepOnNode: Type.Optional(
        Type.Boolean({ default: true, description: "Keep the archive on the node once it is in the registry." }),
      ),
      deletionPolicy: Type.Optional(
        Type.Unsafe<"Delete" | "Retain">({
          type: "string",
          enum: ["Delete", "Retain"],
          default: "Delete",
          description: "What becomes of archives and artifacts when this object is deleted.",
        }),
      ),
      pins: Type.Optional(
        Type.Unsafe<readonly CheckpointPin[]>({
          type: "array",
          maxItems: 32,
          items: pin,
          "x-kubernetes-list-type": "map",
          "x-kubernetes-list-map-keys": ["owner"],
          description: "Who demands that retention keeps it.",
        }),
      ),
    },
    { required: ["podName"], description: "What is checkpointed. Only pins and deletionPolicy can be changed." },
  ),
  [
    {
      rule: ["podUID", "timeoutSeconds", "containers", "destination"]
        .map(
          (field) =>
            `has(self.${field}) == has(oldSelf.${field}) && (!has(self.${field}) || self.${field} == oldSelf.${field})`,
        )
        .concat("self.podName == oldSelf.podName")
        .join(" && "),
      message: "a checkpoint is of one moment: create another Checkpoint instead",
      reason: "FieldValueForbidden",
    },
    {
      rule: "!has(self.destination) || !has(self.destination.recipients) || self.destination.?form.orValue('Artifact') == 'Artifact'",
      message: "engines cannot read an encrypted image: use form Artifact, or no recipients",
      fieldPath: ".destination.recipients",
    },
  ],
);

const containerStatus = Type.Object(
  {
    name: Type.String({ maxLength: 63 }),
    containerID: Type.Optional(Type.String({ maxLength: 256, description: "As in the pod's status: engine://id." })),
    attemptTime: Type.Optional(time("When the kubelet was asked last.")),
    attempts: Type.Optional(Type.Integer({ format: "int32", minimum: 0, description: "How often it was asked." })),
    timeoutSeconds: Type.Optional(
      Type.Integer({ format: "int32", minimum: 0, description: "The time that it was given." }),
    ),
    archive: Type.Optional(Type.String({ maxLength: 1024, description: "The archive's file in the node's store." })),
    digest: Type.Optional(Type.String({ maxLength: 128, description: "Of the archive: sha256:…" })),
    image: Type.Optional(
      Type.String({
        maxLength: 128,
        description: "Digest of the engine image: localhost:<port>/checkpoint@<image> on the node.",
      }),
    ),
    sizeBytes: Type.Optional(count("Of the archive.")),
    memoryBytes: Type.Optional(count("Memory pages in it.")),
    frozenMicroseconds: Type.Optional(count("How long the container stood still.")),
    artifact: Type.Optional(Type.String({ maxLength: 1024, description: "Where it was pushed: repository@sha256:…" })),
  },
  { description: "The checkpoint of one container." },
);
export type ContainerCheckpoint = Readonly<Static<typeof containerStatus>>;

/** How far a checkpoint is. `Stored`: on its node, the registry is still to come. */
export type CheckpointPhase = "Pending" | "InProgress" | "Stored" | "Completed" | "Failed";

/** What objects of all three kinds say until a manager has seen them. */
export const waitingForManager = unattended(
  "no manager that looks after checkpoints (--agent-cert-dir) has seen it yet",
);

const status = Type.Object(
  {
    phase: Type.Optional(
      Type.Unsafe<CheckpointPhase>({
        type: "string",
        enum: ["Pending", "InProgress", "Stored", "Completed", "Failed"],
        description: "How far it is.",
      }),
    ),
    nodeName: Type.Optional(
      Type.String({ maxLength: 253, description: "Where the pod ran, and where the archives are." }),
    ),
    podUID: Type.Optional(Type.String({ maxLength: 128, description: "Of the pod that was checkpointed." })),
    startTime: Type.Optional(time("When the first container's turn came.")),
    completionTime: Type.Optional(time("When the archives were whole, or it failed.")),
    containers: Type.Optional(
      Type.Unsafe<readonly ContainerCheckpoint[]>({
        type: "array",
        maxItems: maxContainers,
        items: containerStatus,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
        description: "The checkpoint of each container.",
      }),
    ),
    copies: Type.Optional(
      Type.Unsafe<readonly string[]>({
        type: "array",
        maxItems: 256,
        items: { type: "string", maxLength: 253 },
        "x-kubernetes-list-type": "set",
        description: "Other nodes that restores have brought the archives to.",
      }),
    ),
    template: Type.Optional(
      Type.Unsafe<Readonly<Record<string, unknown>>>({
        type: "object",
        "x-kubernetes-preserve-unknown-fields": true,
        description: "The pod as it was, for restores: metadata and spec of a PodTemplateSpec.",
      }),
    ),
    verdicts: Type.Optional(verdicts),
    conditions: Type.Optional(conditions),
  },
  {
    default: { phase: "Pending", conditions: [waitingForManager] },
    description: "How far it is. Written by the manager only.",
  },
);

export type CheckpointSpec = Readonly<Static<typeof spec>>;
export type CheckpointStatus = Readonly<Static<typeof status>>;

/** A checkpoint of a pod's containers at one moment. Close to KEP-5823's PodCheckpoint. */
export interface Checkpoint {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: ResourceMeta;
  readonly spec: CheckpointSpec;
  readonly status?: CheckpointStatus;
}

/** Reasons of the condition `Ready`: KEP-5823's, and ours of after the archive. */
export const checkpointReasons = {
  pending: "Pending",
  inProgress: "CheckpointInProgress",
  completed: "CheckpointCompleted",
  failed: "CheckpointFailed",
  podReplaced: "SourcePodReplaced",
  refused: "VerdictImpossible",
  risky: "VerdictRisky",
  pushing: "PushInProgress",
  pushFailed: "PushFailed",
} as const;

/** The kind `Checkpoint`, `cp` for short. */
export const Checkpoints: CustomResource<Checkpoint> = {
  group: apiGroup,
  version: "v1alpha1",
  kind: "Checkpoint",
  plural: "checkpoints",
  singular: "checkpoint",
  namespaced: true,
  shortNames: ["cp"],
  categories: ["fleetwright"],
  hasStatus: true,
  schema: Type.Object(
    { spec, status: Type.Optional(status) },
    {
      description:
        "A checkpoint of a pod's running containers at one moment. They run on meanwhile, but for a short freeze.",
    },
  ),
  columns: [
    { name: "Pod", type: "string", jsonPath: ".spec.podName" },
    { name: "Node", type: "string", jsonPath: ".status.nodeName" },
    { name: "Phase", type: "string", jsonPath: ".status.phase" },
    { name: "Reason", type: "string", jsonPath: ".status.conditions[?(@.type=='Ready')].reason" },
    { name: "Message", type: "string", jsonPath: ".status.conditions[?(@.type=='Ready')].message", priority: 1 },
    { name: "Artifact", type: "string", jsonPath: ".status.containers[*].artifact", priority: 1 },
    { name: "Age", type: "date", jsonPath: ".metadata.creationTimestamp" },
  ],
};
