import type { KubeObject, LabelSelector, Pod } from "@fleetwright/kube";
import type { TableColumn } from "../machinery/kind.ts";
import { since } from "./cells.ts";

type Cell = string | number | boolean | null;
type Make<T> = (object: T, nowMs: number) => Cell;

/** A column of objects that have been validated as the kind's. Wide ones are only shown with `-o wide`. */
function column<T extends KubeObject>(
  type: TableColumn["type"],
  name: string,
  description: string,
  cell: Make<T>,
  priority = 0,
  format = "",
): TableColumn {
  // What is stored has passed the kind's schema.
  return { name, type, format, description, priority, cell: cell as unknown as TableColumn["cell"] };
}

export const text = <T extends KubeObject>(name: string, description: string, cell: Make<T>): TableColumn =>
  column("string", name, description, cell);

export const wide = <T extends KubeObject>(name: string, description: string, cell: Make<T>): TableColumn =>
  column("string", name, description, cell, 1);

export const integer = <T extends KubeObject>(name: string, description: string, cell: Make<T>): TableColumn =>
  column("integer", name, description, cell);

export const boolean = <T extends KubeObject>(name: string, description: string, cell: Make<T>): TableColumn =>
  column("boolean", name, description, cell);

/** Another column that kubectl treats as a name. */
export const formatted = <T extends KubeObject>(
  name: string,
  description: string,
  cell: Make<T>,
  priority = 0,
): TableColumn => column("string", name, description, cell, priority, "name");

export const nameColumn = formatted("Name", "Name of the object, unique in its namespace.", nameOf);

export const ageColumn = text("Age", "Time since the object was created.", ({ metadata }, nowMs) =>
  since(metadata.creationTimestamp, nowMs),
);

/** What kinds without columns of their own have (k8s.io/apiserver/pkg/registry/rest/table.go). */
export const defaultColumns: readonly TableColumn[] = [
  nameColumn,
  column(
    "date",
    "Created At",
    "Time at which the object was created.",
    ({ metadata }) => metadata.creationTimestamp ?? "",
  ),
];

function nameOf({ metadata }: KubeObject): string {
  return metadata.name ?? "";
}

type Containers = NonNullable<Pod["spec"]>["containers"] | undefined;

/** The wide columns of what has a pod template. */
export const templateColumns = <T extends KubeObject>(
  containers: (object: T) => Containers,
): readonly TableColumn[] => [
  wide<T>("Containers", "Names of the template's containers.", (object) =>
    (containers(object) ?? []).map(({ name }) => name).join(","),
  ),
  wide<T>("Images", "Images of the template's containers.", (object) =>
    (containers(object) ?? []).map(({ image }) => image ?? "").join(","),
  ),
];

export const selectorColumn = <T extends KubeObject>(
  selector: (object: T) => LabelSelector | undefined,
  textOf: (selector: LabelSelector | undefined) => string,
): TableColumn =>
  wide<T>("Selector", "Labels of the pods that belong to the object.", (object) => textOf(selector(object)));
