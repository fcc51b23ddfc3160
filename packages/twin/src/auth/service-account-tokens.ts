import { createHash, createPublicKey, sign, timingSafeEqual, verify, type KeyObject } from "node:crypto";
import {
  Nodes,
  Pods,
  Secrets,
  ServiceAccounts,
  type Clock,
  type KubeObject,
  type Resource,
  type UserInfo,
} from "@fleetwright/kube";
import type { ServerAccess } from "../machinery/request.ts";
import { serviceAccountGroups, serviceAccountOf, serviceAccountUsername } from "./user.ts";

/** What service account tokens are signed with, and whom they are for. */
export interface ServiceAccountKeys {
  /** An EC (P-256) or RSA private key. */
  readonly signingKey: KeyObject;
  /** Public keys of earlier signers whose tokens still hold. @default none */
  readonly verificationKeys?: readonly KeyObject[];
  /** @default "https://kubernetes.default.svc" */
  readonly issuer?: string;
  /** @default the issuer */
  readonly audiences?: readonly string[];
}

interface Reference {
  readonly name: string;
  readonly uid: string;
}

/** Who a token is for, and what it lives and dies with. */
export interface TokenSubject {
  readonly namespace: string;
  readonly serviceAccount: Reference;
  readonly pod?: Reference;
  readonly secret?: Reference;
  readonly node?: { readonly name: string; readonly uid?: string };
}

export interface TokenIdentity {
  readonly user: UserInfo;
  /** Those asked for that the token has. */
  readonly audiences: readonly string[];
}

export interface ServiceAccountTokens {
  readonly issuer: string;
  readonly audiences: readonly string[];
  /** A signed token; `warnAfterSeconds` is when clients should have taken a new one. */
  issue(
    subject: TokenSubject,
    options: {
      readonly audiences: readonly string[];
      readonly expirationSeconds: number;
      readonly warnAfterSeconds?: number;
      readonly id: string;
    },
  ): string;
  /** A token without an end, as `kubernetes.io/service-account-token` Secrets hold it. */
  issueLegacy(namespace: string, serviceAccount: Reference, secretName: string): string;
  /**
   * Whose token it is; `undefined` when it is none of ours. Throws with what is wrong with one of ours.
   *
   * @param audiences whom it must be for. Default: this server
   */
  identify(token: string, audiences?: readonly string[]): TokenIdentity | undefined;
  /** `/openid/v1/jwks` */
  keySet(): { readonly keys: readonly Readonly<Record<string, unknown>>[] };
}

const legacyIssuer = "kubernetes/serviceaccount";
/** What clocks may differ by. */
const leewayMs = 60_000;
const rememberedTokens = 4096;
const maxTokenBytes = 64 * 1024;
const credentialId = "authentication.kubernetes.io/credential-id";

interface Claims {
  readonly iss?: string;
  readonly sub?: string;
  readonly aud?: string | readonly string[];
  readonly exp?: number;
  readonly nbf?: number;
  readonly iat?: number;
  readonly jti?: string;
  readonly "kubernetes.io"?: {
    readonly namespace?: string;
    readonly serviceaccount?: Reference;
    readonly pod?: Reference;
    readonly secret?: Reference;
    readonly node?: { readonly name: string; readonly uid?: string };
  };
  readonly "kubernetes.io/serviceaccount/namespace"?: string;
  readonly "kubernetes.io/serviceaccount/service-account.name"?: string;
  readonly "kubernetes.io/serviceaccount/service-account.uid"?: string;
  readonly "kubernetes.io/serviceaccount/secret.name"?: string;
}

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");

function decode(part: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, "base64url").toString());
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

/** Not to be reversed: nobody can take the identifier for the key. */
const keyIdOf = (key: KeyObject): string =>
  createHash("sha256")
    .update(key.export({ type: "spki", format: "der" }))
    .digest("base64url");

const algorithmOf = (key: KeyObject): "ES256" | "RS256" => (key.asymmetricKeyType === "ec" ? "ES256" : "RS256");

/** As Go writes a map. */
const inOrder = <T>(map: Readonly<Record<string, T>>): Readonly<Record<string, T>> =>
  Object.fromEntries(Object.entries(map).toSorted(([left], [right]) => (left < right ? -1 : 1)));

/** Service account tokens: pkg/serviceaccount (jwt.go, claims.go, legacy.go). */
export function createServiceAccountTokens({
  server: { objects },
  clock,
  keys,
}: {
  readonly server: Pick<ServerAccess, "objects">;
  readonly clock: Clock;
  readonly keys: ServiceAccountKeys;
}): ServiceAccountTokens {
  const issuer = keys.issuer ?? "https://kubernetes.default.svc";
  const audiences = keys.audiences ?? [issuer];
  const own = createPublicKey(keys.signingKey);
  const publicKeys = new Map([own, ...(keys.verificationKeys ?? [])].map((key) => [keyIdOf(key), key]));
  const header = encode({ alg: algorithmOf(own), kid: keyIdOf(own) });
  // A signature costs a hundred times what everything else does, and clients send the same token for an hour.
  const verified = new Map<string, Claims>();

  function signed(claims: object): string {
    const text = `${header}.${encode(claims)}`;
    const signature = sign("sha256", Buffer.from(text), { key: keys.signingKey, dsaEncoding: "ieee-p1363" });
    return `${text}.${signature.toString("base64url")}`;
  }

  function claimsOf(token: string): Claims | undefined {
    const known = verified.get(token);
    if (known !== undefined) return known;
    if (token.length > maxTokenBytes) return undefined;
    const [head = "", payload = "", signature = "", ...rest] = token.split(".");
    if (rest.length > 0 || signature === "") return undefined;
    const claims = decode(payload) as Claims | undefined;
    if (claims?.iss !== issuer && claims?.iss !== legacyIssuer) return undefined;
    const headers = decode(head);
    if (headers === undefined) return undefined;
    const candidates =
      typeof headers["kid"] === "string" && headers["kid"] !== ""
        ? [publicKeys.get(headers["kid"])]
        : [...publicKeys.values()];
    if (candidates.every((key) => key === undefined)) throw new Error("invalid signature, no keys found");
    const good = candidates.some(
      (key) =>
        key !== undefined &&
        headers["alg"] === algorithmOf(key) &&
        verify(
          "sha256",
          Buffer.from(`${head}.${payload}`),
          { key, dsaEncoding: "ieee-p1363" },
          Buffer.from(signature, "base64url"),
        ),
    );
    if (!good) throw new Error("go-jose/go-jose: error in cryptographic primitive");
    if (verified.size >= rememberedTokens) verified.clear();
    verified.set(token, claims);
    return claims;
  }

  /** Deleted, and not just now. */
  const isGone = (object: KubeObject): boolean => {
    const { deletionTimestamp } = object.metadata;
    return deletionTimestamp !== undefined && Date.parse(deletionTimestamp) < clock.now() - leewayMs;
  };

  function checkTimes({ exp, nbf, iat }: Claims): void {
    const now = clock.now();
    if (nbf !== undefined && now + leewayMs < nbf * 1000) throw new Error("service account token is not valid yet");
    if (exp !== undefined && now - leewayMs > exp * 1000) throw new Error("service account token has expired");
    if (iat !== undefined && now + leewayMs < iat * 1000) {
      throw new Error("service account token is issued in the future");
    }
  }

  function checkBound(
    resource: Resource,
    word: string,
    namespace: string,
    reference: { readonly name: string; readonly uid?: string },
  ): void {
    const object = objects.get(resource, resource.namespaced ? { namespace, name: reference.name } : reference);
    if (object === undefined) throw new Error("service account token has been invalidated");
    if (object.metadata.uid !== reference.uid) {
      throw new Error(
        `${resource.kind === "Secret" ? "secret" : resource.kind} UID (${object.metadata.uid}) does not match service account ${word} ref claim (${reference.uid})`,
      );
    }
    if (isGone(object)) throw new Error("service account token has been invalidated");
  }

  function boundUser(claims: Claims): UserInfo {
    checkTimes(claims);
    const { namespace = "", serviceaccount, pod, secret, node } = claims["kubernetes.io"] ?? {};
    const name = serviceaccount?.name ?? "";
    const account = objects.get(ServiceAccounts, { namespace, name });
    if (account === undefined) throw new Error(`serviceaccounts ${JSON.stringify(name)} not found`);
    if (account.metadata.uid !== serviceaccount?.uid) {
      throw new Error(
        `service account UID (${account.metadata.uid}) does not match claim (${serviceaccount?.uid ?? ""})`,
      );
    }
    if (isGone(account)) throw new Error(`service account ${namespace}/${name} has been deleted`);
    if (secret !== undefined) checkBound(Secrets, "secret", namespace, secret);
    if (pod !== undefined) checkBound(Pods, "pod", namespace, pod);
    if (node !== undefined && pod === undefined) checkBound(Nodes, "node", "", node);
    const extra: Record<string, readonly string[]> = {
      ...(pod === undefined
        ? {}
        : {
            "authentication.kubernetes.io/pod-name": [pod.name],
            "authentication.kubernetes.io/pod-uid": [pod.uid],
          }),
      ...(claims.jti === undefined || claims.jti === "" ? {} : { [credentialId]: [`JTI=${claims.jti}`] }),
      ...(node === undefined ? {} : { "authentication.kubernetes.io/node-name": [node.name] }),
      ...(node?.uid === undefined ? {} : { "authentication.kubernetes.io/node-uid": [node.uid] }),
    };
    return {
      username: serviceAccountUsername(namespace, name),
      uid: serviceaccount?.uid ?? "",
      groups: serviceAccountGroups(namespace),
      ...(Object.keys(extra).length === 0 ? {} : { extra: inOrder(extra) }),
    };
  }

  function legacyUser(token: string, claims: Claims): UserInfo {
    const namespace = claims["kubernetes.io/serviceaccount/namespace"] ?? "";
    const name = claims["kubernetes.io/serviceaccount/service-account.name"] ?? "";
    const uid = claims["kubernetes.io/serviceaccount/service-account.uid"] ?? "";
    const secretName = claims["kubernetes.io/serviceaccount/secret.name"] ?? "";
    for (const [claim, value] of Object.entries({
      sub: claims.sub ?? "",
      namespace,
      secretName,
      serviceAccountName: name,
      serviceAccountUID: uid,
    })) {
      if (value === "") throw new Error(`${claim} claim is missing`);
    }
    const subject = serviceAccountOf(claims.sub ?? "");
    if (subject?.namespace !== namespace || subject.name !== name) throw new Error("sub claim is invalid");
    const secret = objects.get(Secrets, { namespace, name: secretName });
    if (secret === undefined || secret.metadata.deletionTimestamp !== undefined) {
      throw new Error("Token has been invalidated");
    }
    const stored = Buffer.from(secret.data?.["token"] ?? "", "base64");
    const sent = Buffer.from(token);
    if (stored.length !== sent.length || !timingSafeEqual(stored, sent)) {
      throw new Error("Token does not match server's copy");
    }
    const account = objects.get(ServiceAccounts, { namespace, name });
    if (account === undefined) throw new Error(`serviceaccounts ${JSON.stringify(name)} not found`);
    if (account.metadata.deletionTimestamp !== undefined) {
      throw new Error(`ServiceAccount ${namespace}/${name} has been deleted`);
    }
    if (account.metadata.uid !== uid) {
      throw new Error(`ServiceAccount UID (${account.metadata.uid}) does not match claim (${uid})`);
    }
    const label = "kubernetes.io/legacy-token-invalid-since";
    if ((secret.metadata.labels?.[label] ?? "") !== "") {
      throw new Error(
        `the token in secret ${namespace}/${secretName} for service account ${namespace}/${name} has been marked invalid. Use tokens from the TokenRequest API or manually created secret-based tokens, or remove the '${label}' label from the secret to temporarily allow use of this token`,
      );
    }
    return { username: serviceAccountUsername(namespace, name), uid, groups: serviceAccountGroups(namespace) };
  }

  return {
    issuer,
    audiences,
    issue(subject, options) {
      const now = Math.floor(clock.now() / 1000);
      const { namespace, serviceAccount, pod, secret, node } = subject;
      return signed({
        aud: options.audiences,
        exp: now + options.expirationSeconds,
        iat: now,
        iss: issuer,
        jti: options.id,
        "kubernetes.io": {
          namespace,
          ...(node === undefined ? {} : { node }),
          ...(pod === undefined ? {} : { pod }),
          ...(secret === undefined ? {} : { secret }),
          serviceaccount: serviceAccount,
          ...(options.warnAfterSeconds === undefined ? {} : { warnafter: now + options.warnAfterSeconds }),
        },
        nbf: now,
        sub: serviceAccountUsername(namespace, serviceAccount.name),
      });
    },
    issueLegacy: (namespace, { name, uid }, secretName) =>
      signed({
        iss: legacyIssuer,
        "kubernetes.io/serviceaccount/namespace": namespace,
        "kubernetes.io/serviceaccount/secret.name": secretName,
        "kubernetes.io/serviceaccount/service-account.name": name,
        "kubernetes.io/serviceaccount/service-account.uid": uid,
        sub: serviceAccountUsername(namespace, name),
      }),
    identify(token, wanted = audiences) {
      const claims = claimsOf(token);
      if (claims === undefined) return undefined;
      const said = claims.aud === undefined ? [] : typeof claims.aud === "string" ? [claims.aud] : claims.aud;
      const has = said.length === 0 ? audiences : said;
      const both = has.filter((audience) => wanted.includes(audience));
      if (both.length === 0) {
        const list = (items: readonly string[]): string => `[${items.map((item) => JSON.stringify(item)).join(" ")}]`;
        throw new Error(`token audiences ${list(has)} is invalid for the target audiences ${list(wanted)}`);
      }
      return {
        user: claims.iss === legacyIssuer ? legacyUser(token, claims) : boundUser(claims),
        audiences: both,
      };
    },
    keySet: () => ({
      keys: [...publicKeys].map(([kid, key]) => ({
        use: "sig",
        ...key.export({ format: "jwk" }),
        kid,
        alg: algorithmOf(key),
      })),
    }),
  };
}
