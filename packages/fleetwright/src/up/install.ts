import { customResourceDefinition, customResources } from "@fleetwright/api";
import {
  createRestMapper,
  CustomResourceDefinitions,
  FleetwrightError,
  isNotFound,
  sleep,
  type Client,
  type Clock,
  type KubeObject,
  type Resource,
} from "@fleetwright/kube";
import type { ManifestObject } from "../manifest.ts";

/** Looks again until there is something, or the deadline has passed. */
export async function eventually<T>(
  what: string,
  clock: Clock,
  deadlineMs: number,
  signal: AbortSignal,
  probe: () => Promise<T | undefined>,
): Promise<T> {
  const end = clock.now() + deadlineMs;
  for (;;) {
    const value = await probe();
    if (value !== undefined) return value;
    if (clock.now() >= end)
      throw new FleetwrightError("FW_UP_TIMEOUT", `${what}: not within ${Math.round(deadlineMs / 1000)} s`);
    await sleep(clock, 100, signal);
  }
}

/** Applies our CustomResourceDefinitions and waits until the server serves them. */
export async function installCustomResources(client: Client, clock: Clock, signal: AbortSignal): Promise<void> {
  for (const resource of customResources) {
    const definition = customResourceDefinition(resource) as unknown as KubeObject;
    await client.apply(CustomResourceDefinitions, definition, { fieldManager: "fleetwright", force: true, signal });
  }
  for (const resource of customResources) {
    await eventually(`${resource.plural}.${resource.group} is served`, clock, 30_000, signal, async () => {
      try {
        return await client.list(resource as Resource, { limit: 1, signal });
      } catch (error) {
        if (isNotFound(error)) return undefined;
        throw error;
      }
    });
  }
}

/** Server-side applies objects of any kind, in their order. */
export async function applyObjects(
  client: Client,
  objects: readonly ManifestObject[],
  signal: AbortSignal,
): Promise<void> {
  const mapper = createRestMapper(client);
  for (const { object } of objects) {
    const resource = await mapper.kindFor(object, { signal });
    await client.apply(resource, object, { fieldManager: "fleetwright-up", force: true, signal });
  }
}
