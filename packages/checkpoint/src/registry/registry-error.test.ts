import { describe, expect, it } from "vitest";
import { answerError, connectionError } from "./registry-error.ts";

const now = Date.UTC(2026, 10, 27, 12, 0, 0);

describe("an answer that is an error", () => {
  it.each([
    ["12", 12_000],
    ["Fri, 27 Nov 2026 12:01:00 GMT", 60_000],
    ["Fri, 27 Nov 2026 11:00:00 GMT", 0],
    ["soon", undefined],
    [undefined, undefined],
  ])("with Retry-After %s says when to come again", (retryAfter, expected) => {
    expect(answerError("GET x", { status: 503, body: "", retryAfter }, now).retryAfterMs).toBe(expected);
  });

  it.each([
    [
      JSON.stringify({ errors: [{ code: "DENIED", message: "no\u001b[31m\nred" }] }),
      "400 (DENIED: no [31m red)",
      ["DENIED"],
    ],
    [JSON.stringify({ errors: [{}, { code: 1, message: {} }] }), "(UNKNOWN: ; UNKNOWN: )", ["UNKNOWN", "UNKNOWN"]],
    [JSON.stringify({ errors: 5 }), "GET x: 400; ", []],
    ["null", "GET x: 400; ", []],
    ["<html>", "GET x: 400; ", []],
  ])("says %s in one line", (body, message, reasons) => {
    const error = answerError("GET x", { status: 400, body, retryAfter: undefined }, now);
    expect(error.message).toContain(message);
    expect(error.reasons).toEqual(reasons);
  });
});

describe("a connection that failed", () => {
  it.each([
    ["ECONNRESET", "the connection broke (why)", true],
    ["ECONNREFUSED", "connection refused", true],
    ["DEPTH_ZERO_SELF_SIGNED_CERT", "signed by an unknown authority", false],
    ["ERR_SSL_WRONG_VERSION_NUMBER", "does not speak TLS", false],
  ])("by %s says so, however deep it lies", (code, message, transient) => {
    const cause = new Error("outer", { cause: new AggregateError([Object.assign(new Error("why"), { code })]) });
    expect(connectionError("GET x", cause)).toMatchObject({
      message: expect.stringContaining(message.replace("why", "outer")) as string,
      transient,
    });
  });
});
