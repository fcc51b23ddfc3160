import {
  jsonEqual,
  labelKeyProblems,
  type Event,
  type EventsEvent,
  type Json,
  type ObjectReference,
} from "@fleetwright/kube";
import { copyJson, type Draft } from "../machinery/draft.ts";
import { defineStrategy, type Conversion } from "../machinery/kind.ts";
import { fieldErrors, type FieldError } from "../machinery/status-error.ts";
import { dns1123SubdomainProblems } from "./name-checks.ts";
import { immutableErrors, invalidFor } from "./value-checks.ts";

/** kube-apiserver's `--event-ttl`. */
const ttlSeconds = 3600;

/** How the two APIs name the same (pkg/apis/events/v1/conversion.go); what is not here has one name. */
const names = [
  { core: "involvedObject", events: "regarding" },
  { core: "message", events: "note" },
  { core: "source", events: "deprecatedSource" },
  { core: "firstTimestamp", events: "deprecatedFirstTimestamp" },
  { core: "lastTimestamp", events: "deprecatedLastTimestamp" },
  { core: "count", events: "deprecatedCount" },
  { core: "reportingComponent", events: "reportingController" },
] as const;

function renamed(object: Draft, from: "core" | "events", to: "core" | "events", apiVersion: string): Draft {
  const map = new Map<string, string>(names.map((name) => [name[from], name[to]]));
  const result: Draft = {};
  for (const [key, value] of Object.entries(object)) result[map.get(key) ?? key] = copyJson(value);
  return { ...result, apiVersion, kind: "Event" };
}

/** Events of events.k8s.io/v1 are stored as those of v1: one collection, two names for each field. */
export const eventConversion: Conversion = {
  toStorage: (objects) => objects.map((object) => renamed(object, "events", "core", "v1")),
  fromStorage: (objects) => objects.map((object) => renamed(object, "core", "events", "events.k8s.io/v1")),
};

const toCore = (event: EventsEvent): Event =>
  renamed(event as unknown as Draft, "events", "core", "v1") as unknown as Event;

const isSet = (time: string | null | undefined): boolean => time !== undefined && time !== null && time !== "";

/** `legacyValidateEvent` (pkg/apis/core/validation/events.go); both APIs hold to it. */
function legacyErrors(event: Event, reporter: string): FieldError[] {
  const errors: FieldError[] = [];
  const { namespace = "" } = event.metadata;
  const { reportingComponent = "", reportingInstance = "", action = "", reason = "", message = "" } = event;
  const involved = event.involvedObject?.namespace ?? "";
  const mismatch = (): void => {
    errors.push(fieldErrors.invalid("involvedObject.namespace", involved, "does not match event.namespace"));
  };
  if (isSet(event.eventTime)) {
    if (involved === "" && namespace !== "default" && namespace !== "kube-system") mismatch();
    const need = (field: string, value: string, maximum?: number): void => {
      if (value === "") errors.push(fieldErrors.required(field));
      if (maximum !== undefined) atMost(field, value, maximum);
    };
    const atMost = (field: string, value: string, maximum: number): void => {
      if (Buffer.byteLength(value) > maximum) {
        errors.push(fieldErrors.invalid(field, "", `can have at most ${maximum} characters`));
      }
    };
    need(reporter, reportingComponent);
    errors.push(...invalidFor(reporter, reportingComponent, labelKeyProblems(reportingComponent)));
    need("reportingInstance", reportingInstance, 128);
    need("action", action, 128);
    need("reason", reason, 128);
    atMost("message", message, 1024);
  } else if (involved === "") {
    if (namespace !== "" && namespace !== "default") mismatch();
  } else if (involved !== namespace) mismatch();
  errors.push(...invalidFor("namespace", namespace, dns1123SubdomainProblems(namespace)));
  return errors;
}

const seriesErrors = (event: Event): FieldError[] => {
  if (event.series === undefined) return [];
  return [
    ...((event.series.count ?? 0) < 2 ? [fieldErrors.invalid("series.count", "", "should be at least 2")] : []),
    ...(isSet(event.series.lastObservedTime) ? [] : [fieldErrors.required("series.lastObservedTime")]),
  ];
};

/** What events.k8s.io/v1 asks for besides. */
function strictErrors(event: Event): FieldError[] {
  const errors = seriesErrors(event);
  if (!isSet(event.eventTime)) errors.push(fieldErrors.required("eventTime"));
  const { type = "", source = {} } = event;
  if (type !== "Normal" && type !== "Warning") {
    errors.push(fieldErrors.invalid("type", "", `has invalid value: ${type}`));
  }
  const unset = (field: string, isGiven: boolean): void => {
    if (isGiven) errors.push(fieldErrors.invalid(field, "", "needs to be unset"));
  };
  unset("firstTimestamp", isSet(event.firstTimestamp));
  unset("lastTimestamp", isSet(event.lastTimestamp));
  unset("count", (event.count ?? 0) !== 0);
  unset("source", (source.component ?? "") !== "" || (source.host ?? "") !== "");
  return errors;
}

/** Structs without JSON names, as Go prints them. */
const goReference = (reference: Partial<ObjectReference> = {}): object => ({
  Kind: reference.kind ?? "",
  Namespace: reference.namespace ?? "",
  Name: reference.name ?? "",
  UID: reference.uid ?? "",
  APIVersion: reference.apiVersion ?? "",
  ResourceVersion: reference.resourceVersion ?? "",
  FieldPath: reference.fieldPath ?? "",
});
const goSource = ({ source }: Event): object => ({ Component: source?.component ?? "", Host: source?.host ?? "" });

function strictUpdateErrors(event: Event, old: Event): FieldError[] {
  const errors = jsonEqual((event.series ?? null) as unknown as Json, (old.series ?? null) as unknown as Json)
    ? []
    : seriesErrors(event);
  const keep = (field: string, now: unknown, before: unknown): void => {
    errors.push(...immutableErrors(field, now, before));
  };
  keep("involvedObject", goReference(event.involvedObject), goReference(old.involvedObject));
  keep("reason", event.reason ?? "", old.reason ?? "");
  keep("message", event.message ?? "", old.message ?? "");
  keep("source", goSource(event), goSource(old));
  keep("firstTimestamp", event.firstTimestamp ?? null, old.firstTimestamp ?? null);
  keep("lastTimestamp", event.lastTimestamp ?? null, old.lastTimestamp ?? null);
  keep("count", event.count ?? 0, old.count ?? 0);
  keep("type", event.type ?? "", old.type ?? "");
  keep("eventTime", event.eventTime ?? null, old.eventTime ?? null);
  keep("action", event.action ?? "", old.action ?? "");
  keep("related", event.related ? goReference(event.related) : null, old.related ? goReference(old.related) : null);
  keep("reportingController", event.reportingComponent ?? "", old.reportingComponent ?? "");
  keep("reportingInstance", event.reportingInstance ?? "", old.reportingInstance ?? "");
  return errors;
}

const involvedParts = ["kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath"] as const;

function selectable(event: Event, field: string): string {
  const part = involvedParts.find((candidate) => field === `involvedObject.${candidate}`);
  if (part) return event.involvedObject?.[part] ?? "";
  switch (field) {
    case "reason":
      return event.reason ?? "";
    case "reportingComponent":
      return event.reportingComponent ?? "";
    case "source":
      return (event.source?.component ?? "") || (event.reportingComponent ?? "");
    default:
      return event.type ?? "";
  }
}

/** pkg/registry/core/event, in core/v1's words. */
export const eventStrategy = defineStrategy<Event>({
  allowCreateOnUpdate: true,
  ttlSeconds,
  selectableFields: [
    ...involvedParts.map((part) => `involvedObject.${part}`),
    "reason",
    "reportingComponent",
    "source",
    "type",
  ],
  fieldValue: selectable,
  validate: (event) => legacyErrors(event, "reportingComponent"),
});

/** The same in the words of events.k8s.io/v1, with stricter rules. */
export const eventsEventStrategy = defineStrategy<EventsEvent>({
  allowCreateOnUpdate: true,
  ttlSeconds,
  selectableFields: [...involvedParts.map((part) => `regarding.${part}`), "reason", "reportingController", "type"],
  fieldValue: (event, field) =>
    selectable(
      toCore(event),
      field.replace(/^regarding\./, "involvedObject.").replace(/^reportingController$/, "reportingComponent"),
    ),
  validate(event) {
    const core = toCore(event);
    return [...legacyErrors(core, "reportingController"), ...strictErrors(core)];
  },
  validateUpdate(event, old) {
    const core = toCore(event);
    return [...legacyErrors(core, "reportingController"), ...strictUpdateErrors(core, toCore(old))];
  },
});
