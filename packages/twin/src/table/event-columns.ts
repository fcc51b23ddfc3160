import type { Event, EventsEvent, KubeObject } from "@fleetwright/kube";
import type { TableColumn } from "../machinery/kind.ts";
import { since } from "./cells.ts";
import { formatted, text, wide } from "./column.ts";

/** An event, whichever of its two groups it is served by. */
interface EventView {
  readonly firstSeen: string | undefined;
  readonly lastSeen: string | undefined;
  readonly type: string;
  readonly reason: string;
  readonly about: { readonly kind?: string; readonly name?: string; readonly fieldPath?: string };
  readonly source: string;
  readonly message: string;
  readonly count: number;
}

function viewOf(object: KubeObject): EventView {
  const core = object as Event;
  const events = object as EventsEvent;
  const { series, eventTime } = core;
  const [first, last, count, source, controller, reportingInstance] =
    "involvedObject" in object
      ? [
          core.firstTimestamp,
          core.lastTimestamp,
          core.count,
          core.source,
          core.reportingComponent,
          core.reportingInstance,
        ]
      : [
          events.deprecatedFirstTimestamp,
          events.deprecatedLastTimestamp,
          events.deprecatedCount,
          events.deprecatedSource,
          events.reportingController,
          events.reportingInstance,
        ];
  const firstSeen = first ?? eventTime ?? undefined;
  const component = source?.component || controller || "";
  const instance = source?.host || reportingInstance || "";
  return {
    firstSeen,
    lastSeen: series === undefined ? (last ?? firstSeen) : series.lastObservedTime,
    type: core.type ?? "",
    reason: core.reason ?? "",
    about: core.involvedObject ?? events.regarding ?? {},
    source: instance === "" ? component : `${component}, ${instance}`,
    message: (core.message ?? events.note ?? "").trim(),
    count: series?.count ?? (count || 1),
  };
}

function target({ kind = "", name = "" }: EventView["about"]): string {
  return name === "" ? kind.toLowerCase() : `${kind.toLowerCase()}/${name}`;
}

export const eventColumns: readonly TableColumn[] = [
  text("Last Seen", "Time since it happened last.", (event, nowMs) => since(viewOf(event).lastSeen, nowMs)),
  text("Type", "Normal or a warning.", (event) => viewOf(event).type),
  text("Reason", "Why, in a word.", (event) => viewOf(event).reason),
  text("Object", "What it is about.", (event) => target(viewOf(event).about)),
  wide("Subobject", "Which part of it.", (event) => viewOf(event).about.fieldPath ?? ""),
  wide("Source", "Who says so.", (event) => viewOf(event).source),
  text("Message", "What happened.", (event) => viewOf(event).message),
  wide("First Seen", "Time since it happened first.", (event, nowMs) => since(viewOf(event).firstSeen, nowMs)),
  wide("Count", "How often it happened.", (event) => viewOf(event).count),
  formatted("Name", "Name of the event.", ({ metadata }) => metadata.name ?? "", 1),
];
