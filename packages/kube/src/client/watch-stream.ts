import { ApiError, TransportError } from "../core/errors.ts";
import type { KubeObject, Status } from "../core/object.ts";
import { lines } from "./body.ts";
import type { WatchEvent } from "./client.ts";

/**
 * The events of a watch's body.
 *
 * @param what the call, for errors: `GET /api/v1/pods`
 * @throws ApiError for an ERROR event, with its `Status`; TransportError for a line that is no event or a cut stream
 */
export async function* watchEvents<T extends KubeObject>(
  body: AsyncIterable<Uint8Array>,
  what: string,
): AsyncGenerator<WatchEvent<T>, void, undefined> {
  for await (const line of lines(body, what)) {
    yield parseEvent<T>(line, what);
  }
}

/** The events of a watch on a server in this process. Throws as {@link watchEvents}. */
export async function* givenEvents<T extends KubeObject>(
  batches: AsyncIterable<readonly unknown[]>,
  what: string,
): AsyncGenerator<WatchEvent<T>, void, undefined> {
  for await (const batch of batches) {
    for (const event of batch) yield checked<T>(event as SentEvent, what);
  }
}

interface SentEvent {
  readonly type?: unknown;
  readonly object?: unknown;
}

function parseEvent<T extends KubeObject>(line: string, what: string): WatchEvent<T> {
  let event: SentEvent;
  try {
    event = JSON.parse(line) as SentEvent;
  } catch (error) {
    throw new TransportError(`${what}: a line of the watch is not JSON: ${excerpt(line)}; watch again`, {
      cause: error,
    });
  }
  return checked(event, what);
}

function checked<T extends KubeObject>(event: SentEvent, what: string): WatchEvent<T> {
  const { type, object } = event;
  if (type === "ERROR") {
    const status = (object ?? {}) as Status;
    throw new ApiError(status.code ?? 500, status, { retryAfterMs: retryAfterOf(status) });
  }
  const known = type === "ADDED" || type === "MODIFIED" || type === "DELETED" || type === "BOOKMARK";
  if (!known || typeof object !== "object" || object === null) {
    throw new TransportError(
      `${what}: a line of the watch is no event: ${excerpt(JSON.stringify(event))}; watch again`,
    );
  }
  return event as WatchEvent<T>;
}

const retryAfterOf = (status: Status): number | undefined =>
  status.details?.retryAfterSeconds === undefined ? undefined : status.details.retryAfterSeconds * 1000;

const excerpt = (line: string): string => JSON.stringify(line.length > 120 ? `${line.slice(0, 120)}…` : line);
