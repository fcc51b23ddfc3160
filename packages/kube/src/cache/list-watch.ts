import type { Client, ListOptions, WatchEvent } from "../client/client.ts";
import type { Clock } from "../core/clock.ts";
import { TransportError } from "../core/errors.ts";
import type { KubeList, KubeObject } from "../core/object.ts";
import type { Random } from "../core/random.ts";
import type { Resource } from "../core/resource.ts";

/** A page that takes longer is given up; the client's own default is for small calls. */
const pageTimeoutMs = 60_000;
/** client-go's `minWatchTimeout`: each watch asks for 5 to 10 minutes, so that watches do not all end at once. */
const minWatchSeconds = 300;
/** The server ends the watch by itself; only a connection that is dead stays silent this much longer. */
const watchGraceMs = 30_000;
/** Between two initial events of a streaming list. A server that does not know them never says that they are all. */
const initialSilenceMs = 30_000;

/** What both kinds of request select. */
export type Selection = Pick<ListOptions, "namespace" | "labelSelector" | "fieldSelector">;

/** The requests that an informer makes. */
export interface ListWatch<T extends KubeObject> {
  /** Follows the pages; the last one's resource version is the list's. */
  list(limit: number | undefined, signal: AbortSignal): AsyncIterable<KubeList<T>>;
  watch(from: string, signal: AbortSignal): AsyncIterable<WatchEvent<T>>;
  /** A watch that begins with what is there. */
  stream(signal: AbortSignal): AsyncIterable<WatchEvent<T>>;
}

/** Marks the bookmark after the initial events of a streaming list (KEP-3157). */
const initialEventsEnd = "k8s.io/initial-events-end";

export const isInitialEventsEnd = (event: WatchEvent<KubeObject>): boolean =>
  event.type === "BOOKMARK" && event.object.metadata.annotations?.[initialEventsEnd] === "true";

/** Ends a watch that is silent beyond its own end. Not an error: the informer watches again from where it is. */
export class WatchOverdue extends Error {}

export function listWatch<T extends KubeObject>(
  client: Client,
  resource: Resource<T>,
  selection: Selection,
  clock: Clock,
  random: Random,
): ListWatch<T> {
  /** The only bound on silence is the watch's own end: quiet kinds are quiet for minutes, and that is no fault. */
  async function* bounded(
    options: { readonly resourceVersion?: string; readonly sendInitialEvents?: boolean },
    signal: AbortSignal,
  ): AsyncGenerator<WatchEvent<T>> {
    signal.throwIfAborted();
    const timeoutSeconds = minWatchSeconds + Math.floor(random.next() * minWatchSeconds);
    const controller = new AbortController();
    const stop = (): void => controller.abort(signal.reason);
    signal.addEventListener("abort", stop, { once: true });
    const overdue = clock.setTimer(timeoutSeconds * 1000 + watchGraceMs, () => controller.abort(new WatchOverdue()));
    const silence = options.sendInitialEvents === true ? initialSilence(clock, controller) : undefined;
    try {
      for await (const event of client.watch(resource, {
        ...selection,
        ...options,
        ...(options.sendInitialEvents === true ? { resourceVersionMatch: "NotOlderThan" } : {}),
        allowWatchBookmarks: true,
        timeoutSeconds,
        signal: controller.signal,
      })) {
        if (silence !== undefined) {
          if (isInitialEventsEnd(event)) silence.end();
          else silence.heard();
        }
        yield event;
      }
    } finally {
      silence?.end();
      overdue.cancel();
      signal.removeEventListener("abort", stop);
      // Whoever leaves this loop early, or an error in it, must not leave the connection open.
      controller.abort(new WatchOverdue());
    }
  }

  return {
    async *list(limit, signal) {
      let token: string | undefined;
      do {
        const page: KubeList<T> = await client.list(resource, {
          ...selection,
          ...(limit === undefined ? {} : { limit }),
          ...(token === undefined ? {} : { continue: token }),
          timeoutMs: pageTimeoutMs,
          signal,
        });
        yield page;
        token = page.metadata.continue;
      } while (token !== undefined && token !== "");
    },
    watch: (from, signal) => bounded({ resourceVersion: from }, signal),
    stream: (signal) => bounded({ sendInitialEvents: true }, signal),
  };
}

function initialSilence(clock: Clock, controller: AbortController): { heard(): void; end(): void } {
  let last = clock.now();
  const check = (): void => {
    const left = last + initialSilenceMs - clock.now();
    if (left > 0) timer = clock.setTimer(left, check);
    else {
      const seconds = initialSilenceMs / 1000;
      controller.abort(new TransportError(`the streaming list was silent for ${seconds} s before its end`));
    }
  };
  // One timer that looks back, not one per event: a streaming list has many.
  let timer = clock.setTimer(initialSilenceMs, check);
  return {
    heard() {
      last = clock.now();
    },
    end: () => timer.cancel(),
  };
}
