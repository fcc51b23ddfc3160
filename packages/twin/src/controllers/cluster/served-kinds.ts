import { discover, groupResourceOf } from "@fleetwright/kube";
import type { Client, DiscoveredResource } from "@fleetwright/kube";

/** One version of every kind that the server has: of each group the preferred one that has it. */
export async function servedKinds(
  client: Client,
  verbs: readonly string[],
  signal?: AbortSignal,
): Promise<readonly DiscoveredResource[]> {
  const { groups } = await discover(client, signal === undefined ? {} : { signal });
  const kinds = new Map<string, DiscoveredResource>();
  for (const { versions } of groups) {
    for (const resource of versions.flatMap(({ resources }) => resources)) {
      const name = groupResourceOf(resource);
      if (!kinds.has(name) && verbs.every((verb) => resource.verbs.includes(verb))) kinds.set(name, resource);
    }
  }
  return [...kinds.values()];
}
