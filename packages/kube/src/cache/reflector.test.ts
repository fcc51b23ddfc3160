import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ApiError, TransportError } from "../core/errors.ts";
import { seededRandom } from "../core/random.ts";
import {
  advance,
  failureOf,
  initialState,
  stepOf,
  type ReflectorFailure,
  type ReflectorOutcome,
  type ReflectorState,
} from "./reflector.ts";

const random = seededRandom(1);
const broken: ReflectorFailure = { kind: "broken", retryAfterMs: 0 };

const listed = (resourceVersion = "10"): ReflectorOutcome => ({ kind: "list", resourceVersion });
const watched = (outcome: Partial<ReflectorOutcome & { kind: "watch" }> = {}): ReflectorOutcome => ({
  kind: "watch",
  resourceVersion: "10",
  events: 0,
  lastedMs: 400_000,
  ...outcome,
});
const streamed = (outcome: Partial<ReflectorOutcome & { kind: "stream" }> = {}): ReflectorOutcome => ({
  kind: "stream",
  resourceVersion: "",
  events: 0,
  lastedMs: 100,
  ...outcome,
});

function after(listing: "stream" | "pages", ...outcomes: readonly ReflectorOutcome[]) {
  let state: ReflectorState = initialState(listing);
  let step = stepOf(state);
  for (const outcome of outcomes) ({ state, step } = advance(state, outcome, random));
  return { state, step };
}

describe("advance", () => {
  const expired: ReflectorFailure = { kind: "expired" };
  const cases: readonly [string, ReturnType<typeof after>, object][] = [
    ["begins with pages", after("pages"), { kind: "list", limit: 500, delayMs: 0 }],
    ["begins with a streaming list", after("stream"), { kind: "stream", delayMs: 0 }],
    ["watches from the list at once", after("pages", listed("7")), { kind: "watch", from: "7", delayMs: 0 }],
    [
      "watches again where it was",
      after("pages", listed(), watched({ resourceVersion: "12" })),
      { kind: "watch", from: "12" },
    ],
    [
      "resumes after a break without a list",
      after("pages", listed(), watched({ failure: broken })),
      { kind: "watch", from: "10" },
    ],
    ["lists again after 410", after("pages", listed(), watched({ failure: expired })), { kind: "list", limit: 500 }],
    [
      "streams again after 410 where that works",
      after("stream", streamed({ resourceVersion: "5" }), watched({ failure: expired })),
      { kind: "stream" },
    ],
    [
      "asks for pages once streaming is refused",
      after("stream", streamed({ failure: { kind: "unsupported" } })),
      { kind: "list", limit: 500 },
    ],
    ["tries streaming a second time after a break", after("stream", streamed({ failure: broken })), { kind: "stream" }],
    [
      "asks for pages after two broken streaming lists",
      after("stream", streamed({ failure: broken }), streamed()),
      { kind: "list", limit: 500 },
    ],
    [
      "asks for the whole list after two expired tokens",
      after("pages", { ...listed(""), failure: expired }, { ...listed(""), failure: expired }),
      { kind: "list", limit: undefined },
    ],
    [
      "waits for a server that is behind",
      after("pages", listed(), watched({ failure: { kind: "too-new" } })),
      { kind: "watch", from: "10" },
    ],
    [
      "lists again when the server stays behind: its history was lost",
      after("pages", listed(), ...Array.from({ length: 3 }, () => watched({ failure: { kind: "too-new" } }))),
      { kind: "list", limit: 500 },
    ],
  ];
  it.each(cases)("%s", (_name, { step }, expected) => {
    expect(step).toMatchObject(expected);
  });

  it("waits longer from failure to failure, up to half a minute, and forgives after a steady watch", () => {
    const failing = (count: number) =>
      after("pages", ...Array.from({ length: count }, () => ({ ...listed(""), failure: broken })));
    expect(failing(1).step.delayMs).toBeLessThanOrEqual(800);
    expect(failing(4).step.delayMs).toBeGreaterThanOrEqual(3200);
    expect(failing(50).step.delayMs).toBeGreaterThanOrEqual(15_000);
    expect(failing(50).step.delayMs).toBeLessThanOrEqual(30_000);
    const { state } = failing(50);
    expect(advance(state, watched({ failure: broken }), random).step.delayMs).toBeLessThanOrEqual(400);
  });

  it("never comes sooner than Retry-After says", () => {
    const { step } = after("pages", { ...listed(""), failure: { kind: "broken", retryAfterMs: 45_000 } });
    expect(step.delayMs).toBeGreaterThanOrEqual(45_000);
  });

  it("always has a next step, and never asks 40 times a minute, whatever the server does", () => {
    const failure = fc.constantFrom<ReflectorFailure | undefined>(
      undefined,
      broken,
      { kind: "expired" },
      { kind: "too-new" },
      { kind: "unsupported" },
    );
    const script = fc.array(fc.record({ failure, events: fc.nat(1), lastedMs: fc.nat(500) }), {
      minLength: 200,
      maxLength: 200,
    });
    fc.assert(
      fc.property(script, fc.integer(), (outcomes, seed) => {
        const seeded = seededRandom(seed);
        let state = initialState("stream");
        let step = stepOf(state);
        let now = 0;
        const times: number[] = [];
        for (const { failure: why, events, lastedMs } of outcomes) {
          now += step.delayMs;
          times.push(now);
          now += lastedMs;
          const problem = why === undefined ? {} : { failure: why };
          const outcome: ReflectorOutcome =
            step.kind === "list"
              ? { kind: "list", resourceVersion: why === undefined ? "9" : "", ...problem }
              : { kind: step.kind, resourceVersion: step.kind === "watch" ? "9" : "", events, lastedMs, ...problem };
          ({ state, step } = advance(state, outcome, seeded));
        }
        // The first few come quickly; from then on the backoff holds: events at once every ~5 s, lists double it.
        const settled = times.slice(10);
        const minutes = ((settled.at(-1) ?? 0) - (settled[0] ?? 0)) / 60_000;
        expect(settled.length / minutes).toBeLessThan(40);
      }),
      { numRuns: 50 },
    );
  });
});

describe("failureOf", () => {
  const api = (httpStatus: number, reason: string, cause?: string, retryAfterMs?: number): ApiError =>
    new ApiError(
      httpStatus,
      { reason, ...(cause === undefined ? {} : { details: { causes: [{ reason: cause }] } }) },
      { retryAfterMs },
    );
  it.each([
    [api(410, "Expired"), { kind: "expired" }],
    [api(410, "Gone"), { kind: "expired" }],
    [api(504, "Timeout", "ResourceVersionTooLarge"), { kind: "too-new" }],
    [api(422, "Invalid"), { kind: "unsupported" }],
    [api(400, "BadRequest"), { kind: "unsupported" }],
    [api(429, "TooManyRequests", undefined, 3000), { kind: "broken", retryAfterMs: 3000 }],
    [new TransportError("cut"), { kind: "broken", retryAfterMs: 0 }],
    ["not even an error", { kind: "broken", retryAfterMs: 0 }],
  ])("%s", (error, expected) => {
    expect(failureOf(error)).toEqual(expected);
  });
});
