import type { ObjectReference } from "../builtin/core-v1.generated.ts";
import type { EventsEvent } from "../builtin/events-v1.generated.ts";
import type { KubeObject } from "../core/object.ts";
import { microTime } from "../manager/micro-time.ts";

/** What happened, as a caller says it. */
export interface EventInput {
  /** The object that it is about. Objects from lists need their kind: those of informers have it. */
  readonly regarding: KubeObject;
  /** Another one that it involves: the Pod that a ReplicaSet made. */
  readonly related?: KubeObject;
  readonly type: "Normal" | "Warning";
  /** CamelCase, for machines: `QuotaExceeded`. At most 128 characters. */
  readonly reason: string;
  /** What was done or failed: `Admit`. At most 128 characters. */
  readonly action: string;
  /** For people; cut at 1024 bytes. */
  readonly note: string;
}

/** Who says it. */
export interface EventReporter {
  /** `fleetwright.dev/quota` */
  readonly controller: string;
  /** The pod or process. */
  readonly instance: string;
}

export function referenceTo(object: KubeObject): ObjectReference {
  const { namespace, name, uid, resourceVersion } = object.metadata;
  return {
    ...(object.apiVersion === undefined ? {} : { apiVersion: object.apiVersion }),
    ...(object.kind === undefined ? {} : { kind: object.kind }),
    ...(namespace === undefined ? {} : { namespace }),
    ...(name === undefined ? {} : { name }),
    ...(uid === undefined ? {} : { uid }),
    ...(resourceVersion === undefined ? {} : { resourceVersion }),
  };
}

/** The object's identity, without its version: an event about it recurs while it changes. */
export function objectId(object: KubeObject): string {
  const { namespace = "", name = "", uid = "" } = object.metadata;
  return [object.apiVersion, object.kind, namespace, name, uid].join("|");
}

/** Events with the same key within six minutes are one series. */
export function seriesKey(input: EventInput): string {
  const related = input.related === undefined ? "" : objectId(input.related);
  return JSON.stringify([objectId(input.regarding), related, input.type, input.reason, input.action, input.note]);
}

/**
 * The Event as the server takes it (`events.k8s.io/v1`, validated by `validation.ValidateEventCreate`).
 *
 * @param suffix makes the name unique
 */
export function eventObject(
  input: EventInput,
  reporter: EventReporter,
  now: number,
  suffix: string,
): EventsEvent & { readonly metadata: { readonly namespace: string; readonly name: string } } {
  const { name = "unknown", namespace } = input.regarding.metadata;
  return {
    apiVersion: "events.k8s.io/v1",
    kind: "Event",
    // Events about cluster-scoped objects live in "default", as the server demands.
    metadata: { namespace: namespace || "default", name: `${name.slice(0, 253 - suffix.length - 1)}.${suffix}` },
    eventTime: microTime(now),
    type: input.type,
    reason: input.reason.slice(0, 128),
    action: input.action.slice(0, 128),
    note: cutToBytes(input.note, 1024),
    regarding: referenceTo(input.regarding),
    ...(input.related === undefined ? {} : { related: referenceTo(input.related) }),
    reportingController: reporter.controller,
    reportingInstance: reporter.instance.slice(0, 128),
  };
}

/** The server counts bytes; a character is never cut in two. */
export function cutToBytes(text: string, limit: number): string {
  if (Buffer.byteLength(text) <= limit) return text;
  const room = limit - Buffer.byteLength("…");
  const cut = Buffer.from(text).subarray(0, room).toString("utf8");
  return `${cut.replace(/\uFFFD$/u, "")}…`;
}
