import type { KubeList, KubeObject, ObjectKey } from "../core/object.ts";
import type { Resource } from "../core/resource.ts";

/** Act as someone else: the `Impersonate-*` headers. */
export interface Impersonation {
  readonly user: string;
  readonly uid?: string;
  readonly groups?: readonly string[];
  readonly extra?: Readonly<Record<string, readonly string[]>>;
}

/** What every call takes. */
export interface CallOptions {
  readonly signal?: AbortSignal;
  /** Deadline of the whole call in milliseconds. @default the client's (30_000); watches have none */
  readonly timeoutMs?: number;
  readonly impersonate?: Impersonation;
}

export interface WriteOptions extends CallOptions {
  readonly fieldManager?: string;
  readonly fieldValidation?: "Ignore" | "Warn" | "Strict";
  /** Go through admission and validation, store nothing. */
  readonly dryRun?: boolean;
}

export interface ListOptions extends CallOptions {
  /** Absent: all namespaces. */
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  /** Page size. @default none: one page */
  readonly limit?: number;
  readonly continue?: string;
  readonly resourceVersion?: string;
  readonly resourceVersionMatch?: "Exact" | "NotOlderThan";
}

export interface WatchOptions extends Omit<ListOptions, "limit" | "continue" | "timeoutMs"> {
  /** @default true */
  readonly allowWatchBookmarks?: boolean;
  readonly sendInitialEvents?: boolean;
  /** The server ends the watch after this many seconds. */
  readonly timeoutSeconds?: number;
}

/** One line of a watch. A BOOKMARK's object has only `metadata.resourceVersion` (and annotations). */
export type WatchEvent<T extends KubeObject> =
  | { readonly type: "ADDED" | "MODIFIED" | "DELETED"; readonly object: T }
  | { readonly type: "BOOKMARK"; readonly object: KubeObject };

export type PatchBody =
  | { readonly type: "json"; readonly operations: readonly JsonPatchOperation[] }
  | { readonly type: "merge" | "strategic"; readonly patch: unknown };

export type JsonPatchOperation =
  | { readonly op: "add" | "replace" | "test"; readonly path: string; readonly value: unknown }
  | { readonly op: "remove"; readonly path: string }
  | { readonly op: "move" | "copy"; readonly from: string; readonly path: string };

export interface PatchOptions extends WriteOptions {
  /** `status`, `scale`, `resize`, … */
  readonly subresource?: string;
}

export interface ApplyOptions extends PatchOptions {
  readonly fieldManager: string;
  /** Take over fields that others own. @default false: a conflict is a 409 that names the owners */
  readonly force?: boolean;
}

export interface DeleteOptions extends CallOptions {
  readonly preconditions?: { readonly uid?: string; readonly resourceVersion?: string };
  readonly propagationPolicy?: "Orphan" | "Background" | "Foreground";
  readonly gracePeriodSeconds?: number;
  readonly dryRun?: boolean;
}

/** `autoscaling/v1` Scale. */
export interface Scale extends KubeObject {
  readonly spec?: { readonly replicas?: number };
  readonly status?: { readonly replicas: number; readonly selector?: string };
}

export interface LogOptions extends CallOptions {
  readonly container?: string;
  readonly follow?: boolean;
  readonly previous?: boolean;
  readonly sinceSeconds?: number;
  readonly tailLines?: number;
  readonly timestamps?: boolean;
}

export interface TokenRequestOptions extends CallOptions {
  readonly audiences?: readonly string[];
  /** @default 3600 */
  readonly expirationSeconds?: number;
  readonly boundObject?: {
    readonly apiVersion: string;
    readonly kind: string;
    readonly name: string;
    readonly uid?: string;
  };
}

/**
 * Everything that is said to an API server. Refusals are `ApiError` with the server's `Status`; a connection that
 * failed is `TransportError`. Objects come back as the server sent them: unknown fields are kept.
 */
export interface Client {
  get<T extends KubeObject>(
    resource: Resource<T>,
    key: ObjectKey,
    options?: CallOptions & { resourceVersion?: string },
  ): Promise<T>;
  list<T extends KubeObject>(resource: Resource<T>, options?: ListOptions): Promise<KubeList<T>>;
  /** Follows `continue` to the end. A token that expired mid-way is an `ApiError` with 410. */
  pages<T extends KubeObject>(resource: Resource<T>, options?: ListOptions): AsyncIterable<KubeList<T>>;
  /** Ends when the server ends it. An ERROR event is thrown as `ApiError`, a broken or truncated stream as `TransportError`. */
  watch<T extends KubeObject>(resource: Resource<T>, options?: WatchOptions): AsyncIterable<WatchEvent<T>>;
  create<T extends KubeObject>(resource: Resource<T>, object: T, options?: WriteOptions): Promise<T>;
  /** PUT: only for objects that are wholly ours. Sends `metadata.resourceVersion` as the precondition when set. */
  update<T extends KubeObject>(resource: Resource<T>, object: T, options?: PatchOptions): Promise<T>;
  /** PUT on `/status`. */
  updateStatus<T extends KubeObject>(resource: Resource<T>, object: T, options?: WriteOptions): Promise<T>;
  patch<T extends KubeObject>(
    resource: Resource<T>,
    key: ObjectKey,
    body: PatchBody,
    options?: PatchOptions,
  ): Promise<T>;
  /** Server-side apply; `object` holds only the fields that the manager owns. */
  apply<T extends KubeObject>(resource: Resource<T>, object: KubeObject, options: ApplyOptions): Promise<T>;
  /** Resolves with the object (it is still going) or the server's Status (it is gone). */
  delete(resource: Resource, key: ObjectKey, options?: DeleteOptions): Promise<unknown>;
  deleteCollection(
    resource: Resource,
    options?: DeleteOptions & Pick<ListOptions, "namespace" | "labelSelector" | "fieldSelector">,
  ): Promise<void>;
  getScale(resource: Resource, key: ObjectKey, options?: CallOptions): Promise<Scale>;
  updateScale(resource: Resource, key: ObjectKey, scale: Scale, options?: WriteOptions): Promise<Scale>;
  /** `policy/v1` Eviction; a PodDisruptionBudget's no is a 429. */
  evict(pod: ObjectKey, options?: DeleteOptions): Promise<void>;
  bind(pod: ObjectKey, nodeName: string, options?: WriteOptions & { uid?: string }): Promise<void>;
  createToken(
    serviceAccount: ObjectKey,
    options?: TokenRequestOptions,
  ): Promise<{ token: string; expirationTimestamp: string }>;
  logs(pod: ObjectKey, options?: LogOptions): AsyncIterable<Uint8Array>;
  /** A JSON call outside the resources (`/version`, `/readyz` as text, discovery). */
  raw(
    method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE",
    path: string,
    options?: CallOptions & { body?: unknown; contentType?: string; accept?: string },
  ): Promise<unknown>;
  /** Ends connections; calls in flight fail. */
  close(): Promise<void>;
}
