import { describe, expect, it } from "vitest";
import { responseError, retryAfterMs } from "./response-error.ts";

describe("Retry-After", () => {
  const now = Date.UTC(2026, 10, 21, 0, 0, 0);
  it.each([
    ["3", 3000],
    [" 0 ", 0],
    ["Sat, 21 Nov 2026 00:00:10 GMT", 10_000],
    ["Fri, 20 Nov 2026 00:00:00 GMT", 0],
    ["soon", undefined],
    [undefined, undefined],
  ])("%s is %s ms", (header, expected) => {
    expect(retryAfterMs(header, now)).toBe(expected);
  });
});

describe("an answer that is no success", () => {
  const request = { method: "POST", path: "/api/v1/pods" } as const;
  const errorOf = (
    status: number,
    body: string,
    headers: Record<string, string> = {},
  ): ReturnType<typeof responseError> => responseError(request, { status, headers }, body, 0);

  it("keeps the server's Status as it is", () => {
    const status = { kind: "Status", code: 403, reason: "Forbidden", message: "no", details: { retryAfterSeconds: 7 } };
    const error = errorOf(403, JSON.stringify(status));
    expect(error.status).toEqual(status);
    expect([error.message, error.reason, error.retryAfterMs]).toEqual(["no", "Forbidden", 7000]);
  });

  it.each([
    [401, "Unauthorized"],
    [404, "NotFound"],
    [409, "AlreadyExists"],
    [410, "Gone"],
    [422, "Invalid"],
    [429, "TooManyRequests"],
    [500, "InternalError"],
    [502, "InternalError"],
    [503, "ServiceUnavailable"],
    [418, ""],
  ])("%d without a Status has the reason %j", (code, reason) => {
    expect(errorOf(code, "").reason).toBe(reason);
    expect(errorOf(code, "").message).toBe(`POST /api/v1/pods: the server answered ${code} without saying why`);
  });

  it("quotes no more than the beginning of a page, and takes no other JSON for a Status", () => {
    expect(errorOf(500, "x".repeat(10_000)).message.length).toBeLessThan(600);
    expect(errorOf(500, '{"kind":"Pod"}').message).toContain('{"kind":"Pod"}');
    expect(errorOf(500, '{"kind":').message).toContain('{"kind":');
  });
});
