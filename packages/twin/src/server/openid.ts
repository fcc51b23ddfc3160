import type { ServiceAccountTokens } from "../auth/service-account-tokens.ts";
import type { Call, Reply } from "../machinery/request.ts";
import { methodNotAllowed, statusError } from "../machinery/status-error.ts";

const keySetType = "application/jwk-set+json";

const reply = (type: string, value: object): Reply => ({
  status: 200,
  headers: { "content-type": type, "cache-control": "public, max-age=3600" },
  body: JSON.stringify(value),
});

/**
 * How others check service account tokens (kubernetes pkg/routes/openidmetadata.go).
 *
 * @throws StatusError 405, 406
 */
export function openidReply(call: Call, tokens: ServiceAccountTokens): Reply | undefined {
  const path = call.path.replace(/\/$/, "");
  if (path !== "/.well-known/openid-configuration" && path !== "/openid/v1/jwks") return undefined;
  if (call.method !== "GET") throw methodNotAllowed();
  const { keys } = tokens.keySet();
  if (path === "/openid/v1/jwks") {
    if (!accepts(call, keySetType)) {
      const message = `406: Not Acceptable\n\nAvailable representations: ${keySetType}`;
      throw statusError(406, "NotAcceptable", message, {});
    }
    return reply(keySetType, { keys });
  }
  const host = call.headers["host"];
  return reply("application/json", {
    issuer: tokens.issuer,
    jwks_uri: `https://${typeof host === "string" ? host : "127.0.0.1"}/openid/v1/jwks`,
    response_types_supported: ["id_token"],
    subject_types_supported: ["public"],
    id_token_signing_alg_values_supported: [...new Set(keys.map(({ alg }) => alg))],
  });
}

function accepts(call: Call, type: string): boolean {
  const accept = call.headers["accept"];
  const text = typeof accept === "string" ? accept : (accept?.[0] ?? "");
  return text === "" || text.split(",").some((clause) => ["*/*", type].includes((clause.split(";")[0] ?? "").trim()));
}
