import type { Pod } from "@fleetwright/kube";

/** The index of pods by the node that they are bound to. */
export const nodeIndex = "node";

export const byNode = ({ spec }: Pod): readonly string[] => [spec?.nodeName ?? ""];
