import { sleep, TransportError } from "@fleetwright/kube";
import type { Clock, Random, Transport, TransportRequest, TransportResponse } from "@fleetwright/kube";

/** How often things go wrong, as shares from 0 to 1. All are 0 by default. */
export interface FaultRates {
  /** 429 with `Retry-After: 1`, before the server sees the call. */
  readonly tooManyRequests?: number;
  /** 500, 503 or 504, before the server sees the call. */
  readonly serverError?: number;
  /** 409 to an update or patch, as if somebody else had written first. */
  readonly conflict?: number;
  /** The connection breaks before the server sees the call. */
  readonly reset?: number;
  /** The call is carried out, and the connection breaks before its answer. */
  readonly lostAnswer?: number;
  /** The call waits up to {@link slowMs} before it is carried out, and its answer again. */
  readonly slow?: number;
  /** @default 2000 */
  readonly slowMs?: number;
  /** A watch or list is told that its version is too old (410). */
  readonly expired?: number;
  /** A watch breaks after a piece of events. */
  readonly droppedWatch?: number;
  /** A piece of a watch's events comes up to {@link slowMs} late; the order stays. */
  readonly delayedWatch?: number;
}

/** A transport on which things go wrong. */
export interface FaultyTransport {
  readonly transport: Transport;
  /** Changes the rates of calls to come, and of watches that run. */
  setRates(rates: FaultRates): void;
  /** Nothing gets through any more, running watches included, until it is healed. */
  setCutOff(isCutOff: boolean): void;
}

const refusals = {
  tooManyRequests: { status: 429, reason: "TooManyRequests", message: "the server has received too many requests" },
  conflict: {
    status: 409,
    reason: "Conflict",
    message: "the object has been modified; please apply your changes to the latest version",
  },
  expired: { status: 410, reason: "Expired", message: "too old resource version" },
} as const;

const serverErrors = [
  { status: 500, reason: "InternalError", message: "an internal error occurred" },
  { status: 503, reason: "ServiceUnavailable", message: "the server is currently unable to handle the request" },
  { status: 504, reason: "Timeout", message: "the server was unable to return a response in the time allotted" },
] as const;

/**
 * Lets calls fail at random, at every await of whoever makes them. The same sequence of calls with the same `random` fails the same way.
 */
export function createFaultyTransport(
  inner: Transport,
  options: { readonly rates: FaultRates; readonly clock: Clock; readonly random: Random },
): FaultyTransport {
  const { clock, random } = options;
  let { rates } = options;
  let isCutOff = false;
  const happens = (rate: number | undefined): boolean => rate !== undefined && rate > 0 && random.next() < rate;
  const lateness = (): number => random.next() * (rates.slowMs ?? 2_000);
  const broken = ({ method, path }: TransportRequest, when: string): TransportError =>
    new TransportError(`${method} ${path}: connection reset ${when}`);

  async function* faultyEvents<Piece>(
    request: TransportRequest,
    pieces: AsyncIterable<Piece>,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<Piece> {
    for await (const piece of pieces) {
      if (happens(rates.delayedWatch)) await sleep(clock, lateness(), signal);
      if (isCutOff) throw broken(request, "by a partition");
      yield piece;
      if (happens(rates.droppedWatch)) throw broken(request, "in the middle of a watch");
    }
  }

  return {
    setRates: (next) => void (rates = next),
    setCutOff: (next) => void (isCutOff = next),
    async transport(request, signal) {
      const isWatch = request.kind === "watch";
      const isWrite = request.method !== "GET";
      if (happens(rates.slow)) await sleep(clock, lateness(), signal);
      if (isCutOff || happens(rates.reset)) throw broken(request, "before the call was sent");
      if (happens(rates.tooManyRequests)) return refused(refusals.tooManyRequests, { "retry-after": "1" });
      if (happens(rates.serverError)) {
        return refused(serverErrors[Math.floor(random.next() * serverErrors.length)] ?? serverErrors[0]);
      }
      if ((request.method === "PUT" || request.method === "PATCH") && happens(rates.conflict))
        return refused(refusals.conflict);
      if (!isWrite && /[?&]resourceVersion=[1-9]/.test(request.path) && happens(rates.expired))
        return refused(refusals.expired);
      const response = await inner(request, signal);
      if (isWatch) {
        const { status, headers, body, events } = response;
        if (events === undefined) return { status, headers, body: faultyEvents(request, body, signal) };
        return { status, headers, body, events: faultyEvents(request, events, signal) };
      }
      if (happens(rates.slow)) await sleep(clock, lateness(), signal);
      if (isCutOff || happens(rates.lostAnswer)) {
        if (response.value === undefined) for await (const chunk of response.body) void chunk;
        throw broken(request, "before the answer came");
      }
      return response;
    },
  };
}

function refused(
  { status, reason, message }: { readonly status: number; readonly reason: string; readonly message: string },
  headers: Readonly<Record<string, string>> = {},
): TransportResponse {
  const body = JSON.stringify({
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Failure",
    message,
    reason,
    code: status,
  });
  return { status, headers: { "content-type": "application/json", ...headers }, body: once(Buffer.from(body)) };
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
