import type { Registry } from "prom-client";
import type { Client } from "../client/client.ts";
import type { Clock } from "../core/clock.ts";
import type { Logger } from "../core/logger.ts";
import type { KubeObject } from "../core/object.ts";
import type { Random } from "../core/random.ts";
import { apiVersionOf, groupResourceOf, type Resource } from "../core/resource.ts";
import { cacheMetrics } from "./cache-metrics.ts";
import type { Cache, Informer, InformerOptions } from "./informer.ts";
import { listWatch } from "./list-watch.ts";
import { LiveInformer } from "./live-informer.ts";

export interface CacheOptions {
  readonly client: Client;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Counts lists, watches, events, errors and objects by kind. @default none */
  readonly metrics?: Registry;
  /**
   * Ask for streaming lists (KEP-3157) first: the server sends what is there as events and needs no memory for the
   * whole. Where it does not know them or breaks them, pages are asked for. @default true
   */
  readonly streamingLists?: boolean;
  /** Of informers that name none. @default drops `metadata.managedFields` */
  readonly transform?: <T extends KubeObject>(object: T) => T;
}

/** What a running informer is to its cache, whatever its objects are. */
type Runnable = Pick<LiveInformer<KubeObject>, "run" | "waitForSync">;

/**
 * A cache of whole kinds. Informers with the same kind, namespace, selectors and transform are one; their indexes are
 * joined.
 *
 * @example
 * const cache = createCache({ client, clock: systemClock, random: systemRandom, logger });
 * const pods = cache.informer(Pods, { indexes: { node: (pod) => [pod.spec?.nodeName ?? ""] } });
 * const running = cache.run(stop.signal);
 * await cache.waitForSync();
 * pods.byIndex("node", "gpu-1");
 */
export function createCache(options: CacheOptions): Cache {
  const { client, clock, random, logger } = options;
  const metrics = options.metrics === undefined ? undefined : cacheMetrics(options.metrics);
  const informers = new Map<string, LiveInformer<KubeObject>>();
  const transforms = new Map<unknown, number>();
  const running = new Set<Promise<void>>();
  let started: AbortSignal | undefined;

  const start = (informer: Runnable, signal: AbortSignal): void => {
    const run = informer.run(signal).finally(() => running.delete(run));
    running.add(run);
  };

  /** Two transforms are the same when they are the same function. */
  const transformId = (transform: unknown): number => {
    const id = transforms.get(transform) ?? transforms.size;
    transforms.set(transform, id);
    return id;
  };

  return {
    informer<T extends KubeObject>(resource: Resource<T>, informerOptions: InformerOptions<T> = {}): Informer<T> {
      const { namespace, labelSelector, fieldSelector, indexes = {} } = informerOptions;
      const transform = informerOptions.transform ?? options.transform;
      const selection = {
        ...(namespace ? { namespace } : {}),
        ...(labelSelector ? { labelSelector } : {}),
        ...(fieldSelector ? { fieldSelector } : {}),
      };
      const kind = [apiVersionOf(resource), groupResourceOf(resource)];
      const id = JSON.stringify([kind, namespace, labelSelector, fieldSelector, transformId(transform)]);
      // The key names the kind and its version, and so the type.
      const present = informers.get(id) as unknown as LiveInformer<T> | undefined;
      const informer =
        present ??
        new LiveInformer<T>({
          resource,
          listWatch: listWatch(client, resource, selection, clock, random),
          transform,
          streaming: options.streamingLists ?? true,
          clock,
          random,
          logger,
          metrics,
        });
      for (const [name, valuesOf] of Object.entries(indexes)) informer.addIndex(name, valuesOf);
      if (present === undefined) {
        informers.set(id, informer as unknown as LiveInformer<KubeObject>);
        if (started !== undefined) start(informer as unknown as Runnable, started);
      }
      return informer;
    },

    async run(signal) {
      started = signal;
      for (const informer of informers.values()) start(informer, signal);
      if (!signal.aborted) {
        await new Promise<void>((resolve) => {
          signal.addEventListener("abort", () => resolve(), { once: true });
        });
      }
      started = undefined;
      await Promise.all(running);
    },

    async waitForSync(signal) {
      await Promise.all(Array.from(informers.values(), (informer) => informer.waitForSync(signal)));
    },
  };
}
