/** One HTTP exchange with an API server, without saying how: `HttpTransport` or a server in this process. */
export interface TransportRequest {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** Path and query, as sent. */
  readonly path: string;
  /** A name may repeat (`Impersonate-Group`). */
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: string | Uint8Array;
  /** What `body` says, for a server in this process, which takes it instead and changes nothing of it. */
  readonly json?: unknown;
  /** A watch gets a connection of its own and is not counted against QPS. Default `call`. */
  readonly kind?: "call" | "watch";
  /** A server in this process may leave out states that were overtaken before the watch's reader came to them. @default false */
  readonly newestOnly?: boolean;
}

export interface TransportResponse {
  readonly status: number;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  /** Must be read to its end or returned early (`for await` with `break` does). */
  readonly body: AsyncIterable<Uint8Array>;
  /** What `body` says, from a server in this process: `body` need not be read then. It belongs to all: nobody changes it. */
  readonly value?: unknown;
  /** A watch's events, likewise, as they would stand in `body`: either is read. */
  readonly events?: AsyncIterable<readonly unknown[]>;
}

/**
 * Answers with whatever status the server gave; throws `TransportError` when there was no answer,
 * and the signal's reason when it was aborted.
 */
export type Transport = (request: TransportRequest, signal?: AbortSignal) => Promise<TransportResponse>;
