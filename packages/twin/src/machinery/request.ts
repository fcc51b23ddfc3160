import type { Kubelets } from "./kubelets.ts";
import type { Clock, KubeObject, Logger, Random, Resource, UserInfo } from "@fleetwright/kube";
import type { Draft, Mutable } from "./draft.ts";
import type { ServedKind } from "./kind.ts";

/** One HTTP exchange, however it came in. */
export interface Call {
  readonly method: string;
  /** Path without query, percent-encoded as sent. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** Lower-case names; a repeated header's values in order. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  /** Read at most once. Throws 413 above the limit and 400 when the client breaks off. */
  body(): Promise<Buffer>;
  /** What the body says, from who is in this process and owns it. */
  readonly json?: unknown;
  /** A copy of that for the server; `undefined` where only the text says what it is. */
  copyJson?(): unknown;
  /** A watch may leave out states that were overtaken. */
  readonly newestOnly?: boolean;
  /** Who is in this process takes values in place of JSON, and changes nothing of them. */
  readonly takesValues?: boolean;
  /** Aborted when the client has gone or the server stops. */
  readonly signal: AbortSignal;
  /** A verified client certificate: its common name, organizations (groups), and uid (the 1.3.6.1.4.1.57683.2 attribute). */
  readonly clientCertificate?: {
    readonly commonName: string;
    readonly organizations: readonly string[];
    /** SHA-256 of the certificate, in hexadecimal digits. */ readonly fingerprint?: string;
  };
  /** Who it is, when the caller is in this process and needs no proof. */
  readonly user?: UserInfo;
}

export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  /** A stream is a watch or a long list; each chunk is written as it comes. */
  readonly body: Buffer | string | AsyncIterable<Buffer>;
  /** In place of a body of JSON, for who takes values. */
  readonly value?: unknown;
  /** A watch's, likewise. */
  readonly events?: AsyncIterable<readonly SentEvent[]>;
}

/** An event of a watch, as it goes out. */
export interface SentEvent {
  readonly type: string;
  readonly object: unknown;
}

/** What a call asks for: upstream's RequestInfo (k8s.io/apiserver/pkg/endpoints/request/requestinfo.go). */
export interface RequestInfo {
  readonly isResource: boolean;
  readonly path: string;
  /** `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`, `proxy`; for other paths the lower-case method. */
  readonly verb: string;
  readonly group: string;
  readonly version: string;
  readonly namespace: string;
  /** The plural, without the subresource. */
  readonly resource: string;
  readonly subresource: string;
  readonly name: string;
  /** Of the query, as sent: nodes may list what is theirs. */
  readonly fieldSelector?: string;
}

/** What belongs to one request on its way through the server. */
export interface RequestContext {
  readonly info: RequestInfo;
  readonly user: UserInfo;
  /** `dryRun=All`: everything happens but the write and what has side effects. */
  readonly dryRun: boolean;
  /** Of the query, or the first part of the user agent: as managedFields names the writer. */
  readonly fieldManager: string;
  readonly signal: AbortSignal;
  /** Milliseconds since the epoch. */
  readonly nowMs: number;
  /** Goes out as a `Warning: 299 - "text"` header; the same text only once. */
  warn(text: string): void;
}

/** Reads of the server itself: no HTTP, no authorisation, always current. What comes back must not be changed. */
export interface Objects {
  get<T extends KubeObject>(
    resource: Resource<T>,
    key: { readonly namespace?: string; readonly name: string },
  ): T | undefined;
  /** In key order. */
  list<T extends KubeObject>(resource: Resource<T>, namespace?: string): readonly T[];
  /** Grows whenever an object of the kind is written: compiled forms are kept as long as it stays. */
  revisionOf(resource: Resource): number;
}

/** What parts of the server may do to it. */
export interface ServerAccess {
  readonly objects: Objects;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** The nodes' side; absent: there is none. */
  readonly kubelets?: Kubelets;
  /** The kinds served now, custom ones included; `undefined` when there is none. */
  kindOf(group: string, version: string, plural: string): ServedKind | undefined;
  /** All of them, in discovery's order. */
  kinds(): readonly ServedKind[];
  /**
   * Changes a stored object as the server itself: retried on conflict, validated by nothing, seen by watchers.
   * `change` returns false to leave it; of metadata and spec it replaces fields, and changes nothing below them. Resolves with what is
   * stored then; throws 404.
   */
  modify<T extends KubeObject>(
    resource: Resource<T>,
    key: { readonly namespace?: string; readonly name: string },
    change: (object: Mutable<T>) => boolean | void,
    options?: { readonly dryRun?: boolean },
  ): Promise<T>;
  /** Creates an object as the server itself, unvalidated (default namespaces, bootstrap roles). Answers false when it is there. */
  create(resource: Resource, object: KubeObject): Promise<boolean>;
  /** Deletes as the pipeline would after admission: grace, finalizers, preconditions. Throws a StatusError. */
  delete(
    resource: Resource,
    key: { readonly namespace?: string; readonly name: string },
    options: Draft,
    context: RequestContext,
  ): Promise<Draft>;
}
