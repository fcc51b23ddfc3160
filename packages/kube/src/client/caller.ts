import type { Clock } from "../core/clock.ts";
import { sleep } from "../core/clock.ts";
import { type ApiError, TransportError } from "../core/errors.ts";
import type { Logger } from "../core/logger.ts";
import { parseJson, readBytes } from "./body.ts";
import type { CallOptions, Impersonation } from "./client.ts";
import { startDeadline } from "./deadline.ts";
import { impersonationHeaders } from "./impersonation.ts";
import { responseError } from "./response-error.ts";
import type { Transport, TransportRequest, TransportResponse } from "./transport.ts";
import { parseWarnings } from "./warnings.ts";

/** One call, before headers and deadlines are put on it. */
export interface Call {
  readonly method: TransportRequest["method"];
  /** Path and query. */
  readonly path: string;
  readonly body?: string | Uint8Array | undefined;
  /** A body that is JSON, not yet text. */
  readonly json?: unknown;
  readonly contentType?: string | undefined;
  /** @default "application/json" */
  readonly accept?: string | undefined;
  /** Take the answer compressed. */
  readonly gzip?: boolean | undefined;
  readonly kind?: "call" | "watch" | undefined;
  readonly options?: CallOptions | undefined;
}

export interface CallerSettings {
  readonly transport: Transport;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly userAgent: string;
  /** Of calls without one of their own; watches have none. */
  readonly timeoutMs: number;
  /** How often one call is sent again because of `Retry-After`. */
  readonly maxRetries: number;
  readonly impersonate?: Impersonation | undefined;
  readonly onWarning: (text: string, call: Pick<Call, "method" | "path">) => void;
}

/** The answer to a call, read to its end. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly bytes: Buffer;
  /** In place of `bytes`, which are empty then: the answer of a server in this process. */
  readonly value?: unknown;
}

const noBytes = Buffer.alloc(0);

/** Sends calls: headers, deadline, `Retry-After`, warnings, errors. What the calls mean is `ApiClient`'s. */
export class Caller {
  readonly #settings: CallerSettings;

  constructor(settings: CallerSettings) {
    this.#settings = settings;
  }

  async json(call: Call): Promise<unknown> {
    const { bytes, value } = await this.answer(call);
    return value ?? parseJson(bytes, `${call.method} ${call.path}`);
  }

  /**
   * @throws ApiError for any status but 2xx
   * @throws TransportError when there was no whole answer before the deadline
   */
  async answer(call: Call): Promise<Answer> {
    const { clock, timeoutMs: defaultTimeoutMs } = this.#settings;
    const timeoutMs = call.options?.timeoutMs ?? defaultTimeoutMs;
    const deadline = startDeadline(clock, timeoutMs, call.options?.signal, () => timedOut(call, timeoutMs));
    try {
      for (let retries = 0; ; retries++) {
        const response = await this.#settings.transport(this.#request(call), deadline.signal);
        this.#warn(call, response);
        const { status, headers, value } = response;
        if (isSuccess(status) && value !== undefined) return { status, headers, bytes: noBytes, value };
        const bytes = await readBytes(response.body);
        if (isSuccess(status)) return { status, headers, bytes };
        const error = responseError(call, response, bytes.toString("utf8"), clock.now());
        const waitMs = this.#retryAfter(error, response, retries);
        // Waiting past the deadline would turn the server's word into a timeout that says less.
        if (waitMs === undefined || waitMs >= deadline.remainingMs()) throw error;
        await sleep(clock, waitMs, deadline.signal);
      }
    } finally {
      deadline.clear();
    }
  }

  /** An answer whose body is read as it comes, without a deadline. The caller reads or leaves it by `for await`. */
  async stream(call: Call): Promise<TransportResponse> {
    const response = await this.#settings.transport(this.#request({ ...call, kind: "watch" }), call.options?.signal);
    this.#warn(call, response);
    if (isSuccess(response.status)) return response;
    const text = (await readBytes(response.body)).toString("utf8");
    throw responseError(call, response, text, this.#settings.clock.now());
  }

  #request(call: Call): TransportRequest {
    const { userAgent } = this.#settings;
    const impersonate = call.options?.impersonate ?? this.#settings.impersonate;
    const { method, path, body, json, kind = "call" } = call;
    const hasBody = body !== undefined || json !== undefined;
    const headers: Record<string, string | readonly string[]> = {
      accept: call.accept ?? "application/json",
      "user-agent": userAgent,
    };
    if (hasBody) headers["content-type"] = call.contentType ?? "application/json";
    if (call.gzip === true) headers["accept-encoding"] = "gzip";
    if (impersonate !== undefined) Object.assign(headers, impersonationHeaders(impersonate));
    if (json === undefined) return { method, path, headers, kind, ...(body === undefined ? {} : { body }) };
    return {
      method,
      path,
      headers,
      kind,
      json,
      get body() {
        return JSON.stringify(json);
      },
    };
  }

  /**
   * client-go's rule (`rest/with_retry.go`): 429 and 5xx are sent again when, and when only, the server says after how
   * long; it does so for calls that it did not begin.
   */
  #retryAfter(error: ApiError, response: TransportResponse, retries: number): number | undefined {
    const retryable = error.httpStatus === 429 || error.httpStatus >= 500;
    if (!retryable || response.headers["retry-after"] === undefined) return undefined;
    return retries < this.#settings.maxRetries ? error.retryAfterMs : undefined;
  }

  #warn(call: Call, response: TransportResponse): void {
    const header = response.headers["warning"];
    if (header === undefined) return;
    for (const text of parseWarnings(header)) this.#settings.onWarning(text, call);
  }
}

const isSuccess = (status: number): boolean => status >= 200 && status < 300;

const timedOut = (call: Call, timeoutMs: number): TransportError =>
  new TransportError(
    `${call.method} ${call.path}: no whole answer within ${timeoutMs} ms; ` +
      `the call may or may not have been carried out; check that the API server is well`,
  );
