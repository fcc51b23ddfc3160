import type { Informer, Node } from "@fleetwright/kube";
import { createAgentClient } from "./agent-client.ts";
import type { AgentClient, AgentIdentity } from "./agent-client.ts";

/** The agents of the cluster's nodes. */
export interface Agents {
  /** `undefined` when there is no such node, or it has no address yet. */
  of(nodeName: string): AgentClient | undefined;
}

/** Where a node can be reached, for programs of the cluster: its `InternalIP`. */
export const internalAddress = (node: Node | undefined): string | undefined =>
  node?.status?.addresses?.find(({ type }) => type === "InternalIP")?.address;

export function createAgents(options: {
  readonly nodes: Informer<Node>;
  readonly port: number;
  readonly identity: AgentIdentity;
}): Agents {
  return {
    of(nodeName) {
      const host = internalAddress(options.nodes.get({ name: nodeName }));
      return host === undefined
        ? undefined
        : createAgentClient({ host, port: options.port, nodeName }, options.identity);
    },
  };
}
