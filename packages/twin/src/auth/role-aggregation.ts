import { ClusterRoles, jsonEqual, type ClusterRole, type Json } from "@fleetwright/kube";
import type { ServerAccess } from "../machinery/request.ts";
import { aggregateRules } from "./rules.ts";

/**
 * Fills aggregated ClusterRoles from those that they select: what kube-controller-manager's ClusterRoleAggregator does.
 * Call it after each write of a ClusterRole; resolves when roles gather what they should.
 */
export function createRoleAggregation(server: Pick<ServerAccess, "objects" | "modify">): () => Promise<void> {
  const rulesJson = (role: ClusterRole): Json => (role.rules ?? []) as unknown as Json;

  return async () => {
    // An aggregate may be part of another, so one round may call for a next; a chain is no longer than the roles are.
    for (let round = server.objects.list(ClusterRoles).length; round > 0; round -= 1) {
      const roles = server.objects.list(ClusterRoles);
      const stale = roles.filter((role) => {
        const rules = aggregateRules(role, roles);
        return rules !== undefined && !jsonEqual(rules as unknown as Json, rulesJson(role));
      });
      if (stale.length === 0) return;
      for (const { metadata } of stale) {
        await server.modify(ClusterRoles, { name: metadata.name ?? "" }, (role) => {
          const rules = aggregateRules(role as ClusterRole, server.objects.list(ClusterRoles));
          if (rules === undefined || jsonEqual(rules as unknown as Json, rulesJson(role as ClusterRole))) return false;
          role.rules = structuredClone(rules) as typeof role.rules & object;
          return true;
        });
      }
    }
  };
}
