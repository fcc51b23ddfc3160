import type { GroupVersionKind, KubeObject } from "@fleetwright/kube";
import type { Draft, Mutable } from "./draft.ts";
import type { RequestContext, ServerAccess } from "./request.ts";
import type { Schema } from "./schema.ts";
import type { FieldError } from "./status-error.ts";

export type Verb = "create" | "delete" | "deletecollection" | "get" | "list" | "patch" | "update" | "watch";

/** A kind as one of its versions serves it: built in, or from a CustomResourceDefinition. Plain data with its rules. */
export interface ServedKind {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly listKind: string;
  readonly plural: string;
  readonly singular: string;
  readonly namespaced: boolean;
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  readonly verbs: readonly Verb[];
  readonly schema: Schema;
  readonly strategy: Strategy;
  readonly subresources: ReadonlyMap<string, Subresource>;
  readonly columns: readonly TableColumn[];
  /** The version whose form is stored, and how objects get there and back; absent where this version is stored. */
  readonly conversion?: Conversion;
  /** Takes away what the structure of a custom resource does not know and names it (`spec.foo`), for `fieldValidation`. */
  readonly prune?: (object: Draft) => readonly string[];
  /** Why nothing of it can be created now. */
  readonly creationRefusal?: string;
  /** The warning that every request about it gets. */
  readonly deprecation?: string;
  /** Where it is stored: `pods`, `deployments.apps`. Versions of a kind, and aliases (`events`), share one. */
  readonly collection: string;
  /** Built-in kinds' list items come without `apiVersion` and `kind`, and only they take strategic merge patches. */
  readonly builtin: boolean;
  /** Unknown fields are dropped (with `fieldValidation`'s warning or error), or kept where the schema says so. */
  readonly storageVersion: string;
}

/** To and from the stored version; may call a webhook, so both are asynchronous. Objects may come back in the same order only. */
export interface Conversion {
  toStorage(objects: readonly Draft[]): Promise<readonly Draft[]> | readonly Draft[];
  fromStorage(objects: readonly Draft[]): Promise<readonly Draft[]> | readonly Draft[];
}

/**
 * What is special about a kind: upstream's `pkg/registry/<group>/<kind>/strategy.go`, `pkg/apis/<group>/<version>/defaults.go`
 * and `pkg/apis/<group>/validation`. The pipeline calls, on create: decode → defaults → prepareForCreate → admission
 * (mutating) → defaults → validate → admission (validating) → stored; on update likewise. Objects are of the served version.
 *
 * The pipeline itself does: names and `generateName`, ObjectMeta's validation and immutability, uid, times,
 * resourceVersion, managedFields, `generation` and the division between spec and status as the flags below say.
 */
export interface Strategy<T extends KubeObject = KubeObject> {
  /** `metadata.generation` is 1 at creation and grows when anything but metadata and status changes. @default false */
  readonly hasGeneration?: boolean;
  /** Annotations count for the generation, too: Deployments. @default false */
  readonly countsAnnotations?: boolean;
  /** Status is dropped at creation, kept by updates of the object, and the only thing that updates of `/status` change. @default false */
  readonly hasStatus?: boolean;
  /** A status that comes with the creation is kept (nodes, which kubelets create). @default false */
  readonly keepsStatusAtCreation?: boolean;
  /** PUT on a name that does not exist creates it. @default false */
  readonly allowCreateOnUpdate?: boolean;
  /** PUT without a resourceVersion is taken. @default true */
  readonly allowUnconditionalUpdate?: boolean;
  /** Objects stay for a grace period when deleted (pods). Returns seconds; absent or 0: gone at once. */
  graceSeconds?(object: Readonly<T>, requested: number | undefined): number;
  /** What a served object looks like after decoding: `SetDefaults_*` of the whole object. Must be idempotent. */
  defaults?(object: Mutable<T>): void;
  /** Also sets an initial status where upstream does (`pod.status.phase = Pending`). */
  prepareForCreate?(object: Mutable<T>, context: RequestContext): void;
  validate?(object: Readonly<T>, context: RequestContext): readonly FieldError[];
  prepareForUpdate?(object: Mutable<T>, old: Readonly<T>, context: RequestContext): void;
  /** Includes what `validate` checks wherever upstream's `ValidateUpdate` does. @default `validate` of the new object */
  validateUpdate?(object: Readonly<T>, old: Readonly<T>, context: RequestContext): readonly FieldError[];
  prepareForStatusUpdate?(object: Mutable<T>, old: Readonly<T>, context: RequestContext): void;
  validateStatusUpdate?(object: Readonly<T>, old: Readonly<T>, context: RequestContext): readonly FieldError[];
  /** Texts for `Warning` headers; `old` is absent at creation. */
  warnings?(object: Readonly<T>, old: Readonly<T> | undefined, context: RequestContext): readonly string[];
  /**
   * How often the kind's own validation checks metadata besides the server itself: new objects as a whole, updates for
   * what changed. @default whole at creation, changes in updates
   */
  readonly metadataChecks?: {
    readonly creation?: "none" | "whole";
    readonly update?: "none" | "changes" | "whole" | "wholeTwice" | "both";
    readonly status?: "none" | "changes" | "both";
    /** Finalizers need no domain. @default false */
    readonly anyFinalizers?: boolean;
  };
  /** What is wrong with a name (or, with `prefix`, with a `generateName`). @default a DNS-1123 subdomain */
  nameProblems?(name: string, prefix: boolean): readonly string[];
  /** Fields that `fieldSelector` may name besides `metadata.name` and `metadata.namespace`, with their values as text. */
  readonly selectableFields?: readonly string[];
  fieldValue?(object: Readonly<T>, field: string): string;
  /** Held by something that is no finalizer of its metadata: a namespace by `spec.finalizers`. */
  isHeld?(object: Readonly<T>): boolean;
  /** What else a held object is marked with when its deletion begins, in place of a grace period: a namespace's phase. */
  markDeleting?(object: Mutable<T>, context: RequestContext): void;
  /** Whether a PodDisruptionBudget-like precondition forbids deletion etc. Throws a StatusError. Called before graceful deletion. */
  checkDelete?(object: Readonly<T>, context: RequestContext): void;
  /** Reserves what must be unique in the cluster (a Service's cluster IP); called last before storing, synchronously. */
  beforeStore?(object: Mutable<T>, old: Readonly<T> | undefined, server: ServerAccess, context: RequestContext): void;
  /** The value that watches with a field selector are indexed by: a pod's `spec.nodeName`. */
  watchIndex?(object: Readonly<T>): string;
  /** The field that `watchIndex` is the value of. */
  readonly watchIndexField?: string;
  /** DELETE answers with the object instead of a Status (`ReturnDeletedObject`). @default false */
  readonly returnsDeletedObject?: boolean;
  /** Texts for `Warning` headers of a DELETE that says nothing about dependents. */
  readonly deleteWarnings?: readonly string[];
  /** What DELETE does without a word about dependents. @default "background" */
  readonly defaultPropagation?: "background" | "orphan" | "unsupported";
  /** Seconds after which a stored object goes by itself (events). */
  readonly ttlSeconds?: number;
}

/** Gives the compiler a kind's type where the strategy is written, and takes it away where strategies are collected. */
export const defineStrategy = <T extends KubeObject>(strategy: Strategy<T>): Strategy =>
  strategy as unknown as Strategy;

/** A column of `kubectl get`: `meta.k8s.io/v1` TableColumnDefinition with how a cell is made. */
export interface TableColumn {
  readonly name: string;
  readonly type: "string" | "integer" | "number" | "boolean" | "date";
  readonly format: string;
  readonly description: string;
  /** 0: always shown; above: only with `-o wide`. */
  readonly priority: number;
  /** `nowMs` is for ages. */
  cell(object: Draft, nowMs: number): string | number | boolean | null;
}

/** `status` is known to the pipeline and needs no entry beyond its verbs. */
export interface Subresource {
  readonly name: string;
  /** Of what is sent and answered. */
  readonly kind: GroupVersionKind;
  readonly schema: Schema;
  readonly verbs: readonly ("create" | "get" | "patch" | "update" | "delete")[];
  /** A part of the object that is read and written as an object of its own (`scale`), or the object itself (`resize`, `approval`). */
  readonly view?: {
    read(parent: Readonly<Draft>): Draft;
    /** Puts a changed view into the object. Throws a StatusError. */
    write(parent: Draft, view: Draft, context: RequestContext): void;
    /** What is wrong with the object afterwards. @default the strategy's `validateUpdate` */
    validate?(object: Readonly<Draft>, old: Readonly<Draft>, context: RequestContext): readonly FieldError[];
    readonly defaults?: (view: Draft) => void;
    /** Refuses a GET of a view that cannot be shown. */
    readonly missing?: (parent: Readonly<Draft>) => Error | undefined;
    /** Of `scale`: where each version (`apps/v1`) has its replicas, null where it has no scale. Their owners own them in the object. */
    readonly replicasPaths?: Readonly<Record<string, readonly string[] | null>>;
  };
  /** POST (`binding`, `eviction`, `token`): answers with the body to send, usually the decoded body or a Status. */
  create?(call: SubresourceCall): Promise<Draft>;
  /** What this server has not got (`log` without nodes, `exec`, `proxy`): answers any other request. Throws a StatusError. */
  connect?(call: SubresourceCall): Promise<Draft | string | AsyncIterable<Buffer>>;
}

export interface SubresourceCall {
  readonly kind: ServedKind;
  readonly subresource: string;
  readonly namespace: string;
  readonly name: string;
  /** Decoded, defaulted and admitted; empty for `connect`. */
  readonly body: Draft;
  /** Of `connect`. */
  readonly query?: URLSearchParams;
  readonly context: RequestContext;
  readonly server: ServerAccess;
}
