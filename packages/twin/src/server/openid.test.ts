import { describe, expect, it } from "vitest";
import type { ServiceAccountTokens } from "../auth/service-account-tokens.ts";
import type { Call, Reply } from "../machinery/request.ts";
import { openidReply } from "./openid.ts";

const tokens = {
  issuer: "https://kubernetes.default.svc",
  keySet: () => ({ keys: [{ kid: "k", kty: "EC", alg: "ES256" }] }),
} as unknown as ServiceAccountTokens;

function ask(path: string, accept = "*/*", method = "GET"): Reply | undefined {
  const call: Call = {
    method,
    path,
    query: new URLSearchParams(),
    headers: { accept, host: "twin:6443" },
    body: () => Promise.resolve(Buffer.alloc(0)),
    signal: new AbortController().signal,
  };
  return openidReply(call, tokens);
}

const read = (reply: Reply | undefined): unknown => JSON.parse((reply?.body ?? "null") as string);

describe("how others check tokens", () => {
  it("tells where the keys are, and which there are", () => {
    expect(read(ask("/.well-known/openid-configuration/"))).toEqual({
      issuer: "https://kubernetes.default.svc",
      jwks_uri: "https://twin:6443/openid/v1/jwks",
      response_types_supported: ["id_token"],
      subject_types_supported: ["public"],
      id_token_signing_alg_values_supported: ["ES256"],
    });
    expect(read(ask("/openid/v1/jwks", "application/jwk-set+json"))).toEqual({
      keys: [{ kid: "k", kty: "EC", alg: "ES256" }],
    });
  });

  it("gives keys in their own media type only, to GET only", () => {
    expect(() => ask("/openid/v1/jwks", "application/json")).toThrow("406: Not Acceptable");
    expect(() => ask("/openid/v1/jwks", "*/*", "POST")).toThrow(/does not allow this method/);
  });

  it("says nothing about other paths", () => {
    expect(ask("/openid/v2/jwks")).toBeUndefined();
  });
});
