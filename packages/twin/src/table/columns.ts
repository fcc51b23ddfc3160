import type { TableColumn } from "../machinery/kind.ts";
import { clusterColumns } from "./cluster-columns.ts";
import { defaultColumns } from "./column.ts";
import { eventColumns } from "./event-columns.ts";
import { networkColumns } from "./network-columns.ts";
import { podColumns } from "./pod-columns.ts";
import { storageColumns } from "./storage-columns.ts";
import { workloadColumns } from "./workload-columns.ts";

const columns = new Map<string, readonly TableColumn[]>([
  ["/Pod", podColumns],
  ["/Event", eventColumns],
  ["events.k8s.io/Event", eventColumns],
  ...Object.entries(workloadColumns),
  ...Object.entries(networkColumns),
  ...Object.entries(storageColumns),
  ...Object.entries(clusterColumns),
]);

/** The columns of a built-in kind: kubernetes/pkg/printers/internalversion/printers.go; name and creation for kinds without. */
export const columnsOf = (group: string, kind: string): readonly TableColumn[] =>
  columns.get(`${group}/${kind}`) ?? defaultColumns;
