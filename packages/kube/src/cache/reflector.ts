import { ApiError, isExpired, isForbidden, isTooManyRequests } from "../core/errors.ts";
import type { Random } from "../core/random.ts";

/** Page size of a list: client-go's default. */
const pageLimit = 500;
/** A watch that held this long was a good one: what went wrong before it is forgiven. */
const steadyMs = 30_000;
/** client-go's reflector: 800 ms doubling to 30 s. */
const firstDelayMs = 800;
const maxDelayMs = 30_000;
/** A watch that brings events and breaks is useful: it is not kept waiting longer than `firstDelayMs` × 2^(this − 1). */
const maxSetbacksWithEvents = 4;
/** After this many broken streaming lists in a row, pages are asked for. */
const maxStreamFailures = 2;
/** After this many expired tokens in a row, the whole list is asked for at once: one answer cannot expire midway. */
const maxExpiredPages = 2;
/** A server that restarts is behind for a moment; one that stays behind has lost its history (etcd was restored). */
const maxTooNew = 3;

/** What an informer does next. */
export type ReflectorStep =
  /** Fetch everything, by pages of `limit` (`undefined`: in one answer). */
  | { readonly kind: "list"; readonly delayMs: number; readonly limit: number | undefined }
  /** Fetch everything as a watch with `sendInitialEvents`, and go on watching on the same connection. */
  | { readonly kind: "stream"; readonly delayMs: number }
  | { readonly kind: "watch"; readonly delayMs: number; readonly from: string };

/** Why a step did not go well, as far as it matters for the next one. */
export type ReflectorFailure =
  /** 410: the version or token is older than the server's history. */
  | { readonly kind: "expired" }
  /** The version is newer than the server's history. */
  | { readonly kind: "too-new" }
  /** The server does not know what was asked for (streaming lists). */
  | { readonly kind: "unsupported" }
  /** Refused, cut off, unreadable, unreachable. */
  | { readonly kind: "broken"; readonly retryAfterMs: number };

/** How a step ended. */
export type ReflectorOutcome =
  | { readonly kind: "list"; readonly failure?: ReflectorFailure; readonly resourceVersion: string }
  | {
      readonly kind: "stream" | "watch";
      /** Absent: the server closed the watch, or our own bound did. */
      readonly failure?: ReflectorFailure;
      /** The newest that is reflected in the store; `""` when a streaming list did not get to its end. */
      readonly resourceVersion: string;
      readonly events: number;
      readonly lastedMs: number;
    };

/** Everything that decides the next step. Plain data; {@link advance} makes the next one. */
export interface ReflectorState {
  /** `""`: a full list is due. */
  readonly resourceVersion: string;
  /** How full lists are asked for. */
  readonly listing: "stream" | "pages";
  /** Steps in a row that did not lead to a steady watch. */
  readonly setbacks: number;
  readonly streamFailures: number;
  readonly expiredPages: number;
  readonly tooNew: number;
}

export function initialState(listing: "stream" | "pages"): ReflectorState {
  return { resourceVersion: "", listing, setbacks: 0, streamFailures: 0, expiredPages: 0, tooNew: 0 };
}

/** What the state asks for, without waiting. */
export function stepOf(state: ReflectorState, delayMs = 0): ReflectorStep {
  if (state.resourceVersion !== "") return { kind: "watch", delayMs, from: state.resourceVersion };
  if (state.listing === "stream") return { kind: "stream", delayMs };
  return { kind: "list", delayMs, limit: state.expiredPages >= maxExpiredPages ? undefined : pageLimit };
}

/**
 * The informer's whole judgement: what to do after a step ended, and how long to wait before. It never gives up, and
 * it never asks without a delay but right after a list that went well: however a server behaves, the number of
 * requests per minute is bounded.
 */
export function advance(
  state: ReflectorState,
  outcome: ReflectorOutcome,
  random: Random,
): { readonly state: ReflectorState; readonly step: ReflectorStep } {
  const next = outcome.kind === "list" ? afterList(state, outcome) : afterWatch(state, outcome);
  const listed = outcome.kind === "list" && outcome.failure === undefined;
  const asked = outcome.failure?.kind === "broken" ? outcome.failure.retryAfterMs : 0;
  const delayMs = listed ? 0 : Math.max(asked * (1 + 0.1 * random.next()), backoffMs(next.setbacks, random));
  return { state: next, step: stepOf(next, delayMs) };
}

function afterList(state: ReflectorState, outcome: ReflectorOutcome): ReflectorState {
  const { failure, resourceVersion } = outcome;
  if (failure === undefined) return { ...state, resourceVersion, expiredPages: 0, tooNew: 0 };
  const expiredPages = failure.kind === "expired" ? state.expiredPages + 1 : state.expiredPages;
  return { ...state, resourceVersion: "", setbacks: state.setbacks + 1, expiredPages };
}

function afterWatch(state: ReflectorState, outcome: ReflectorOutcome & { kind: "stream" | "watch" }): ReflectorState {
  const { failure, resourceVersion } = outcome;
  const setbacks = setbacksAfter(state.setbacks, outcome);
  if (outcome.kind === "stream" && resourceVersion === "") {
    const streamFailures = state.streamFailures + (failure?.kind === "expired" ? 0 : 1);
    const refused = failure?.kind === "unsupported" || streamFailures >= maxStreamFailures;
    return { ...state, setbacks, streamFailures, listing: refused ? "pages" : state.listing };
  }
  const reached = { ...state, setbacks, streamFailures: 0 };
  if (failure?.kind === "expired") return { ...reached, resourceVersion: "", tooNew: 0 };
  if (failure?.kind === "too-new") {
    const tooNew = state.tooNew + 1;
    return tooNew >= maxTooNew
      ? { ...reached, resourceVersion: "", tooNew: 0 }
      : { ...reached, resourceVersion, tooNew };
  }
  return { ...reached, resourceVersion, tooNew: 0 };
}

function setbacksAfter(before: number, outcome: { readonly events: number; readonly lastedMs: number }): number {
  if (outcome.lastedMs >= steadyMs) return 0;
  return outcome.events > 0 ? Math.min(before + 1, maxSetbacksWithEvents) : before + 1;
}

/** Half of it is jitter, so that a thousand informers do not come back to a restarted server at once. */
function backoffMs(setbacks: number, random: Random): number {
  const base = setbacks === 0 ? firstDelayMs / 2 : Math.min(maxDelayMs, firstDelayMs * 2 ** Math.min(setbacks - 1, 16));
  return base * (0.5 + 0.5 * random.next());
}

/** Which {@link ReflectorFailure} an error is. */
export function failureOf(error: unknown): ReflectorFailure {
  if (isExpired(error)) return { kind: "expired" };
  if (!(error instanceof ApiError)) return { kind: "broken", retryAfterMs: 0 };
  if (error.status.details?.causes?.some((cause) => cause.reason === "ResourceVersionTooLarge")) {
    return { kind: "too-new" };
  }
  // 422 is the apiserver's word for options that it knows but has switched off; 400 is for those that it cannot read.
  const unsupported = error.httpStatus === 400 || error.httpStatus === 422 || error.reason === "Invalid";
  return unsupported ? { kind: "unsupported" } : { kind: "broken", retryAfterMs: error.retryAfterMs ?? 0 };
}

/** What an operator reads about an error of a list or watch. */
export function adviceFor(error: unknown): string {
  if (isForbidden(error)) return "grant get, list and watch on it, or do not ask for it";
  if (isTooManyRequests(error)) return "the server sheds load; it is asked again after the time it names";
  return "it is tried again";
}
