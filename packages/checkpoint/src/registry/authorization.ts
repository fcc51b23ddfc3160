import type { Clock } from "@fleetwright/kube";
import { parseChallenges } from "./challenge.ts";
import type { FindCredential, RegistryCredential } from "./docker-config.ts";
import { quoted, RegistryError } from "./registry-error.ts";

/** What a call needs, as token servers read it: `repository:team/web:pull,push`. */
export type Scopes = readonly string[];

/** What a call needs in one repository. */
export const scopeOf = (repository: string, ...actions: readonly ("pull" | "push" | "delete")[]): string =>
  `repository:${repository}:${actions.join(",")}`;

/** Whether a scope is part of another one: what the call at hand needs is asked for, too, which may be less than what we need. */
function covers(scopes: Scopes, asked: string): boolean {
  const split = (scope: string): readonly [string, readonly string[]] => {
    const colon = scope.lastIndexOf(":");
    return [scope.slice(0, colon), scope.slice(colon + 1).split(",")];
  };
  const [name, actions] = split(asked);
  return scopes.some((scope) => {
    const [ownName, ownActions] = split(scope);
    return ownName === name && actions.every((action) => ownActions.includes(action));
  });
}

/** A call to a token server, answered with whatever status it gave. */
export type AskTokenServer = (call: {
  readonly method: "GET" | "POST";
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}) => Promise<{ readonly status: number; readonly body: string }>;

/** Convinces one registry. */
export interface Authorizer {
  /** The `Authorization` to send at first; `undefined`: none yet, the registry will say what it wants. */
  header(repository: string, scopes: Scopes): Promise<string | undefined>;
  /** Another one after a 401 to `refused`; `undefined`: there is nothing else to offer. */
  renew(
    repository: string,
    scopes: Scopes,
    answer: { readonly challenge: string; readonly refused: string | undefined },
  ): Promise<string | undefined>;
}

export interface AuthorizerOptions {
  readonly registry: string;
  readonly credentials: FindCredential;
  readonly ask: AskTokenServer;
  /** Whether a secret may be sent to this address: TLS, or plain text where that is allowed. */
  readonly mayAsk: (url: URL) => boolean;
  readonly clock: Clock;
}

type Method = { readonly kind: "basic" } | { readonly kind: "bearer"; readonly realm: URL; readonly service: string };

/** What to send, and for how long. */
interface Offer {
  readonly header: string;
  readonly lifetimeMs: number;
}

/** How long a credential is used before the configuration (or a helper) is asked again. */
const heldMs = 300_000;

/**
 * Basic, or tokens as the distribution project specifies them (docs/spec/auth/token.md, oauth.md): a password is sent to the token server by GET, an identity token by
 * POST. Tokens are kept until shortly before they expire; calls that need the same one at the same time wait for the same exchange.
 *
 * @throws RegistryError (from its functions)
 */
export function createAuthorizer({ registry, credentials, ask, mayAsk, clock }: AuthorizerOptions): Authorizer {
  let method: Method | undefined;
  const offers = new Map<string, { readonly header: string; readonly expiresAt: number }>();
  const underway = new Map<string, Promise<string | undefined>>();

  const offer = async (repository: string, wanted: Scopes): Promise<Offer | undefined> => {
    const credential = await credentials(registry, repository);
    if (credential?.kind === "registry-token") return { header: `Bearer ${credential.token}`, lifetimeMs: heldMs };
    if (method?.kind === "bearer") return fetchToken(ask, method, credential, wanted);
    return credential?.kind === "password" ? { header: basic(credential), lifetimeMs: heldMs } : undefined;
  };
  const renewed = (repository: string, scopes: Scopes, wanted: Scopes): Promise<string | undefined> => {
    const key = wanted.join(" ");
    const running =
      underway.get(key) ??
      offer(repository, wanted)
        .then((offered) => {
          if (offered === undefined) return undefined;
          const now = clock.now();
          for (const [old, { expiresAt }] of offers) if (expiresAt <= now) offers.delete(old);
          // A tenth early: it must still hold when it arrives.
          offers.set(scopes.join(" "), { header: offered.header, expiresAt: now + offered.lifetimeMs * 0.9 });
          return offered.header;
        })
        .finally(() => underway.delete(key));
    underway.set(key, running);
    return running;
  };
  const current = (scopes: Scopes): string | undefined => {
    const known = offers.get(scopes.join(" "));
    return known !== undefined && known.expiresAt > clock.now() ? known.header : undefined;
  };

  return {
    header: async (repository, scopes) =>
      current(scopes) ?? (method === undefined ? undefined : renewed(repository, scopes, scopes)),
    async renew(repository, scopes, { challenge, refused }) {
      const challenges = parseChallenges(challenge);
      const bearer = challenges.find(({ scheme }) => scheme === "bearer")?.parameters;
      if (bearer !== undefined) {
        const realm = bearer["realm"] ?? "";
        const url = URL.canParse(realm) ? new URL(realm) : undefined;
        if (url === undefined || !mayAsk(url))
          throw new RegistryError(
            "FW_CHECKPOINT_REGISTRY_REFUSED",
            `${registry}: wants a token from ${JSON.stringify(quoted(realm))}, ${url === undefined ? "which is no URL" : "where secrets would be sent in plain text"}; correct the registry's configuration`,
          );
        method = { kind: "bearer", realm: url, service: bearer["service"] ?? "" };
      } else if (challenges.some(({ scheme }) => scheme === "basic")) method = { kind: "basic" };
      else return undefined;
      const newer = current(scopes);
      if (newer !== undefined && newer !== refused) return newer;
      offers.delete(scopes.join(" "));
      const asked = bearer?.["scope"]?.split(" ").filter((scope) => scope !== "" && !covers(scopes, scope)) ?? [];
      const header = await renewed(repository, scopes, [...scopes, ...asked]);
      return header === refused ? undefined : header;
    },
  };
}

const basic = ({ username, password }: { readonly username: string; readonly password: string }): string =>
  `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;

/** What a token lasts when its server does not say (token.md). */
const defaultLifetimeMs = 60_000;

async function fetchToken(
  ask: AskTokenServer,
  { realm, service }: { readonly realm: URL; readonly service: string },
  credential: RegistryCredential | undefined,
  scopes: Scopes,
): Promise<Offer> {
  const url = new URL(realm);
  let answer: Awaited<ReturnType<AskTokenServer>>;
  if (credential?.kind === "identity-token") {
    const form = new URLSearchParams({
      grant_type: "refresh_token",
      service,
      client_id: "fleetwright",
      scope: scopes.join(" "),
      refresh_token: credential.token,
    });
    const headers = { "content-type": "application/x-www-form-urlencoded" };
    answer = await ask({ method: "POST", url, headers, body: form.toString() });
  } else {
    if (service !== "") url.searchParams.set("service", service);
    for (const scope of scopes) url.searchParams.append("scope", scope);
    if (credential?.kind === "password") url.searchParams.set("account", credential.username);
    answer = await ask({
      method: "GET",
      url,
      headers: credential?.kind === "password" ? { authorization: basic(credential) } : {},
    });
  }
  const place = `${realm.origin}${realm.pathname}`;
  if (answer.status !== 200) {
    const who = credential === undefined ? "us without credentials" : "the credentials";
    throw new RegistryError(
      "FW_CHECKPOINT_REGISTRY_REFUSED",
      `${place}: the token server refused ${who} (${answer.status}) for ${scopes.join(" ")}; log in to the registry, or have the right granted`,
      { status: answer.status },
    );
  }
  let value: unknown;
  try {
    value = JSON.parse(answer.body);
  } catch {
    value = undefined;
  }
  const { token, access_token: accessToken, expires_in: seconds } = (value ?? {}) as Record<string, unknown>;
  const text = typeof token === "string" && token !== "" ? token : accessToken;
  // A token goes into a header: nothing else may come along.
  if (typeof text !== "string" || !/^[\u0021-\u007e]+$/.test(text))
    throw new RegistryError(
      "FW_CHECKPOINT_REGISTRY",
      `${place}: the token server's answer holds no token; look at its log`,
    );
  return {
    header: `Bearer ${text}`,
    lifetimeMs: typeof seconds === "number" && seconds > 0 ? seconds * 1000 : defaultLifetimeMs,
  };
}
