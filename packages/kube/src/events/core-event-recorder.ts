import { Events } from "../builtin/core-v1.generated.ts";
import type { Event, EventSource } from "../builtin/core-v1.generated.ts";
import type { Client } from "../client/client.ts";
import type { Clock } from "../core/clock.ts";
import { isNotFound } from "../core/errors.ts";
import type { Logger } from "../core/logger.ts";
import type { KubeObject } from "../core/object.ts";
import { timeText } from "../core/time-text.ts";
import { cutToBytes, objectId, referenceTo } from "./event-object.ts";
import { createSpamFilter } from "./spam-filter.ts";

export interface CoreEventRecorderOptions {
  readonly client: Client;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly source: EventSource;
}

/** What happened, in the words of the older API: no action, nothing related. */
export interface CoreEventInput {
  /** The object, with `apiVersion` and `kind` (those of informers have them). */
  readonly about: KubeObject;
  /** A part of it: `spec.containers{main}`. */
  readonly fieldPath?: string;
  readonly type: "Normal" | "Warning";
  readonly reason: string;
  readonly message: string;
}

/** Records events as kube-controller-manager and the kubelet still do: `v1` Events that count up. Never blocks, never fails. */
export interface CoreEventRecorder {
  event(input: CoreEventInput): void;
}

/** client-go's LRU size. */
const maxKnown = 4096;

/** Ten events that differ only in their message within ten minutes: from then on they are one (`EventAggregator`). */
const maxSimilar = 10;
const similarMs = 600_000;

interface Similar {
  readonly messages: Set<string>;
  at: number;
}

interface Known {
  readonly namespace: string;
  readonly name: string;
  count: number;
  /** Writes of one event follow each other. */
  write: Promise<void>;
}

/**
 * The legacy recorder of client-go (`tools/record`): the same event again is counted on the first one; a burst of 25
 * for one object, then one in five minutes.
 */
export function createCoreEventRecorder(options: CoreEventRecorderOptions): CoreEventRecorder {
  const { client, clock, logger, source } = options;
  const mayRecord = createSpamFilter(clock);
  const known = new Map<string, Known>();
  const similar = new Map<string, Similar>();
  let sequence = 0;

  /** Whether the event is one too many of its kind. */
  function isCombined({ about, fieldPath, type, reason, message }: CoreEventInput, now: number): boolean {
    const key = JSON.stringify([objectId(about), fieldPath, type, reason]);
    const group = similar.get(key);
    similar.delete(key);
    const present =
      group === undefined || now - group.at > similarMs ? { messages: new Set<string>(), at: now } : group;
    similar.set(key, present);
    for (const oldest of similar.keys()) {
      if (similar.size <= maxKnown) break;
      similar.delete(oldest);
    }
    present.at = now;
    present.messages.add(message);
    if (present.messages.size < maxSimilar) return false;
    present.messages.delete(message);
    return true;
  }

  async function write(input: CoreEventInput, entry: Known, count: number, now: number): Promise<void> {
    const { namespace, name } = entry;
    const at = timeText(now);
    if (count > 1) {
      try {
        const patch = { count, lastTimestamp: at, message: input.message };
        await client.patch(Events, { namespace, name }, { type: "strategic", patch });
        return;
      } catch (error) {
        if (!isNotFound(error)) throw error;
      }
    }
    const involvedObject = {
      ...referenceTo(input.about),
      ...(input.fieldPath === undefined ? {} : { fieldPath: input.fieldPath }),
    };
    const event: Event = {
      metadata: { namespace, name },
      involvedObject,
      reason: input.reason,
      message: cutToBytes(input.message, 1024),
      source,
      firstTimestamp: at,
      lastTimestamp: at,
      count,
      type: input.type,
      reportingComponent: source.component ?? "",
      ...(source.host === undefined ? {} : { reportingInstance: source.host }),
    };
    await client.create(Events, event);
  }

  return {
    event(given) {
      const now = clock.now();
      const { about } = given;
      if (!mayRecord(objectId(about))) return;
      const combined = isCombined(given, now);
      const input = combined ? { ...given, message: `(combined from similar events): ${given.message}` } : given;
      const key = JSON.stringify([
        objectId(about),
        input.fieldPath,
        input.type,
        input.reason,
        combined ? "" : input.message,
      ]);
      let entry = known.get(key);
      if (entry === undefined) {
        const { namespace = "", name = "unknown" } = about.metadata;
        // client-go's names: the object's, and the time in hexadecimal nanoseconds; here made unique by counting.
        const suffix = (BigInt(Math.floor(now)) * 1_000_000n + BigInt(sequence++ % 1_000_000)).toString(16);
        entry = {
          namespace: namespace || "default",
          name: `${name.slice(0, 253 - suffix.length - 1)}.${suffix}`,
          count: 0,
          write: Promise.resolve(),
        };
      }
      known.delete(key);
      known.set(key, entry);
      for (const oldest of known.keys()) {
        if (known.size <= maxKnown) break;
        known.delete(oldest);
      }
      const count = ++entry.count;
      const { write: before } = entry;
      const recorded = entry;
      entry.write = before
        .then(() => write(input, recorded, count, now))
        .catch((error: unknown) => logger.debug({ error, reason: input.reason }, "an event could not be recorded"));
    },
  };
}
