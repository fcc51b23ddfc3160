import { metadataAlone } from "../kinds/form-annotations.ts";
import type { ServedKind } from "../machinery/kind.ts";
import type { Draft, DraftValue } from "../machinery/draft.ts";
import { defaultColumns } from "./column.ts";

export interface TableRequest {
  readonly kind: Pick<ServedKind, "group" | "kind" | "columns">;
  /** In the kind's served version, with `kind` and `apiVersion`. */
  readonly objects: readonly Draft[];
  /** What each row has of its object. */
  readonly includeObject: "None" | "Metadata" | "Object";
  /** Milliseconds since the epoch: ages count up to it. */
  readonly nowMs: number;
  /** `resourceVersion`, `continue`, `remainingItemCount` of the list, or of the one object. */
  readonly listMetadata?: Draft;
  /** Events of a watch name the columns only once. @default false */
  readonly noHeaders?: boolean;
}

const completed: Readonly<Record<string, Draft>> = {
  Succeeded: { type: "Completed", status: "True", reason: "Succeeded", message: "The pod has completed successfully." },
  Failed: { type: "Completed", status: "True", reason: "Failed", message: "The pod failed." },
};

/** kubectl hides rows of pods that are done when it is asked to. */
function conditionOf(kind: TableRequest["kind"], object: Draft): Draft | undefined {
  if (kind.group !== "" || kind.kind !== "Pod") return undefined;
  const status = object["status"];
  const phase = typeof status === "object" && status !== null && !Array.isArray(status) ? status["phase"] : undefined;
  return typeof phase === "string" && Object.hasOwn(completed, phase) ? completed[phase] : undefined;
}

function objectOf(object: Draft, include: TableRequest["includeObject"]): DraftValue {
  if (include === "None") return null;
  if (include === "Object") return object;
  return { kind: "PartialObjectMetadata", apiVersion: "meta.k8s.io/v1", metadata: metadataAlone(object) };
}

/** Flow schemas are shown in the order in which they are tried; all others as they come. */
function inOrder({ group, kind }: TableRequest["kind"], objects: readonly Draft[]): readonly Draft[] {
  if (group !== "flowcontrol.apiserver.k8s.io" || kind !== "FlowSchema") return objects;
  const precedence = ({ spec }: Draft): number => Number((spec as Draft | undefined)?.["matchingPrecedence"]);
  return objects.toSorted((left, right) => precedence(left) - precedence(right));
}

/** A `meta.k8s.io/v1` Table of objects, as `kubectl get` prints it (k8s.io/apiserver/pkg/endpoints/handlers/response.go). */
export function renderTable(request: TableRequest): Draft {
  const { kind, objects, includeObject, nowMs, listMetadata = {}, noHeaders = false } = request;
  return {
    kind: "Table",
    apiVersion: "meta.k8s.io/v1",
    metadata: listMetadata,
    columnDefinitions: noHeaders
      ? null
      : kind.columns.map(({ name, type, format, description, priority }) => ({
          name,
          type,
          format,
          description,
          priority,
        })),
    // Upstream's convertor for kinds without columns has no rows where others have an empty list.
    rows:
      objects.length === 0 && kind.columns === defaultColumns
        ? null
        : inOrder(kind, objects).map((object) => {
            const condition = conditionOf(kind, object);
            return {
              cells: kind.columns.map((column) => column.cell(object, nowMs)),
              ...(condition === undefined ? {} : { conditions: [{ ...condition }] }),
              object: objectOf(object, includeObject),
            };
          }),
  };
}
