import type { UserInfo } from "@fleetwright/kube";
import type { Authenticate } from "../machinery/authorizer.ts";
import type { Call } from "../machinery/request.ts";
import { refusals } from "../machinery/status-error.ts";
import type { ServiceAccountTokens, TokenIdentity } from "./service-account-tokens.ts";
import { anonymousName, authenticatedGroup, unauthenticatedGroup } from "./user.ts";

export interface TokenAuthenticator {
  /** Whose bearer token it is. Throws with what is wrong with it; `undefined` when nobody knows it. */
  identify(token: string, audiences?: readonly string[]): TokenIdentity | undefined;
}

/** Which credential it was, for audits (k8s.io/apiserver/pkg/authentication/user). */
const credentialId = "authentication.kubernetes.io/credential-id";
const rememberedUsers = 10_000;

const anonymous: UserInfo = { username: anonymousName, groups: [unauthenticatedGroup] };

function bearerTokenOf(headers: Call["headers"]): string | undefined {
  const header = headers["authorization"];
  const [scheme = "", token = ""] = (typeof header === "string" ? header : (header?.[0] ?? "")).trim().split(" ", 2);
  return scheme.toLowerCase() === "bearer" && token !== "" ? token : undefined;
}

function withAuthenticatedGroup(user: UserInfo): UserInfo {
  const groups = user.groups ?? [];
  if (user.username === anonymousName) return user;
  if (groups.includes(authenticatedGroup) || groups.includes(unauthenticatedGroup)) return user;
  return { ...user, groups: [...groups, authenticatedGroup] };
}

/** Static tokens first, then service accounts': both are bearer tokens. */
export function createTokenAuthenticator(options: {
  readonly tokens?: ReadonlyMap<string, UserInfo>;
  readonly serviceAccountTokens?: ServiceAccountTokens;
}): TokenAuthenticator {
  const { tokens, serviceAccountTokens } = options;
  return {
    identify(token, audiences) {
      const user = tokens?.get(token);
      if (user === undefined) return serviceAccountTokens?.identify(token, audiences);
      return { user: withAuthenticatedGroup(user), audiences: audiences ?? serviceAccountTokens?.audiences ?? [] };
    },
  };
}

/**
 * Who is calling, as kube-apiserver finds out: callers in this process, a verified client certificate, a bearer token,
 * else `system:anonymous`. Throws 401 for a token that does not hold.
 *
 * The same credentials give the same object, so that what is known about a user can be kept beside it.
 */
export function createAuthenticator({ tokens }: { readonly tokens: TokenAuthenticator }): Authenticate {
  const users = new Map<string, UserInfo>();
  const known = new WeakMap<object, UserInfo>();

  function remembered(user: UserInfo): UserInfo {
    const key = JSON.stringify([user.username, user.uid, user.groups, user.extra]);
    let same = users.get(key);
    if (same === undefined) {
      same = withAuthenticatedGroup(user);
      if (users.size >= rememberedUsers) users.clear();
      users.set(key, same);
    }
    return same;
  }

  /** By what stands for the credentials as long as the connection lasts. */
  function rememberedFor(credentials: object, make: () => UserInfo): UserInfo {
    let user = known.get(credentials);
    if (user === undefined) {
      user = remembered(make());
      known.set(credentials, user);
    }
    return user;
  }

  return (call) => {
    const { user, clientCertificate } = call;
    if (user !== undefined) return rememberedFor(user, () => user);
    if (clientCertificate !== undefined && clientCertificate.commonName !== "") {
      return rememberedFor(clientCertificate, () => ({
        username: clientCertificate.commonName,
        groups: clientCertificate.organizations,
        ...(clientCertificate.fingerprint === undefined
          ? {}
          : { extra: { [credentialId]: [`X509SHA256=${clientCertificate.fingerprint}`] } }),
      }));
    }
    const token = bearerTokenOf(call.headers);
    if (token === undefined) return anonymous;
    let identity: TokenIdentity | undefined;
    try {
      identity = tokens.identify(token);
    } catch {
      // Upstream logs why and tells the client nothing.
      throw refusals.unauthorized();
    }
    if (identity === undefined) throw refusals.unauthorized();
    return remembered(identity.user);
  };
}
