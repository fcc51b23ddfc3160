import { describe, expect, it } from "vitest";
import { StatusError } from "../machinery/status-error.ts";
import { decodeContinue, encodeContinue, expiredContinuation } from "./continue-token.ts";

const raw = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");

describe("continue tokens", () => {
  it("come back as they went", () => {
    for (const after of ["a", "ns/name.with-dots"]) {
      expect(decodeContinue(encodeContinue({ revision: 7, after }))).toEqual({ revision: 7, after });
    }
  });

  it.each([
    ["not base64", "%%%"],
    ["not JSON", Buffer.from("x").toString("base64url")],
    ["another version", raw({ v: "meta.k8s.io/v2", rv: 1, start: "a" })],
    ["no revision", raw({ v: "meta.k8s.io/v1", rv: 0, start: "a" })],
    ["no start", raw({ v: "meta.k8s.io/v1", rv: 1, start: "" })],
    ["a way out of the collection", raw({ v: "meta.k8s.io/v1", rv: 1, start: "../secrets/a" })],
  ])("are refused with 400: %s", (_, token) => {
    expect(() => decodeContinue(token)).toThrow(StatusError);
    expect(() => decodeContinue(token)).toThrow(/continue key is not valid/);
  });

  it("that are too old come with one that goes on without a revision", () => {
    const refusal = expiredContinuation("ns/a") as StatusError;
    expect(refusal.code).toBe(410);
    expect(decodeContinue(refusal.status.metadata?.continue ?? "")).toEqual({ revision: -1, after: "ns/a" });
  });
});
