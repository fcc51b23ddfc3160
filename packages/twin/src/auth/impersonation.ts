import type { UserInfo } from "@fleetwright/kube";
import type { Authorize } from "../machinery/authorizer.ts";
import type { Call, RequestInfo } from "../machinery/request.ts";
import { refusals } from "../machinery/status-error.ts";
import { forbidden } from "./rbac.ts";
import {
  anonymousName,
  authenticatedGroup,
  mastersGroup,
  serviceAccountGroups,
  serviceAccountOf,
  unauthenticatedGroup,
} from "./user.ts";

interface Wanted {
  readonly username: string;
  readonly uid: string;
  readonly groups: readonly string[];
  readonly extra: Readonly<Record<string, readonly string[]>>;
}

interface Mode {
  /** `undefined`: as it was before constrained impersonation, by the verb `impersonate` alone. */
  readonly name: "associated-node" | "arbitrary-node" | "serviceaccount" | "user-info" | undefined;
  applies(wanted: Wanted, requester: UserInfo): boolean;
}

const extraPrefix = "impersonate-extra-";
/** From so many values on, one check for all of them is tried first. */
const manyChecks = 4;

const valuesOf = (headers: Call["headers"], name: string): readonly string[] => {
  const value = headers[name];
  return value === undefined ? [] : typeof value === "string" ? [value] : value;
};

function impersonates(headers: Call["headers"]): boolean {
  for (const name in headers) if (name.startsWith("impersonate-")) return true;
  return false;
}

function wantedUser(headers: Call["headers"]): Wanted | undefined {
  if (!impersonates(headers)) return undefined;
  const username = valuesOf(headers, "impersonate-user")[0] ?? "";
  const uid = valuesOf(headers, "impersonate-uid")[0] ?? "";
  const groups = valuesOf(headers, "impersonate-group");
  const extra: Record<string, readonly string[]> = Object.create(null) as Record<string, readonly string[]>;
  for (const name of Object.keys(headers)) {
    if (!name.startsWith(extraPrefix)) continue;
    const encoded = name.slice(extraPrefix.length);
    let key = encoded;
    try {
      key = decodeURIComponent(encoded);
    } catch {
      // A malformed name counts as it is.
    }
    extra[key] = [...(extra[key] ?? []), ...valuesOf(headers, name)];
  }
  if (username !== "") return { username, uid, groups, extra };
  if (uid === "" && groups.length === 0 && Object.keys(extra).length === 0) return undefined;
  const items = groups.map((group) => JSON.stringify(group)).join(", ");
  const extras = Object.entries(extra)
    .map(
      ([key, values]) => `${JSON.stringify(key)}:[]string{${values.map((value) => JSON.stringify(value)).join(", ")}}`,
    )
    .join(", ");
  // As Go prints the struct.
  throw refusals.badRequest(
    `requested &user.DefaultInfo{Name:"", UID:${JSON.stringify(uid)}, Groups:[]string${
      groups.length === 0 ? "(nil)" : `{${items}}`
    }, Extra:map[string][]string${extras === "" ? "(nil)" : `{${extras}}`}} without impersonating a user name`,
  );
}

function nodeNameOf(username: string): string | undefined {
  const name = /^system:node:([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*)$/.exec(username)?.[1];
  return name !== undefined && name.length <= 253 ? name : undefined;
}

const nameOnly = ({ uid, groups, extra }: Wanted): boolean =>
  uid === "" && groups.length === 0 && Object.keys(extra).length === 0;

const modes: readonly Mode[] = [
  {
    name: "associated-node",
    applies: (wanted, requester) => {
      const node = nodeNameOf(wanted.username);
      const associated = requester.extra?.["authentication.kubernetes.io/node-name"] ?? [];
      return (
        nameOnly(wanted) &&
        node !== undefined &&
        serviceAccountOf(requester.username ?? "") !== undefined &&
        associated.length === 1 &&
        associated[0] === node
      );
    },
  },
  { name: "arbitrary-node", applies: (wanted) => nameOnly(wanted) && nodeNameOf(wanted.username) !== undefined },
  { name: "serviceaccount", applies: (wanted) => nameOnly(wanted) && serviceAccountOf(wanted.username) !== undefined },
  {
    name: "user-info",
    applies: ({ username }) => nodeNameOf(username) === undefined && serviceAccountOf(username) === undefined,
  },
  { name: undefined, applies: () => true },
];

/** What is wrong with extra values; legacy impersonation takes them all. */
function extraProblem(extra: Wanted["extra"]): string | undefined {
  for (const [key, values] of Object.entries(extra)) {
    if (key === "") return "impersonating the empty string key in extra is not allowed";
    if (!/^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/[^/]/.test(key)) {
      return `impersonating an invalid key in extra is not allowed: extra.key: Invalid value: ${JSON.stringify(key)}: must be a domain-prefixed path (such as "acme.io/foo")`;
    }
    if (key !== key.toLowerCase()) {
      return `impersonating a non-lowercase key in extra is not allowed: ${JSON.stringify(key)}`;
    }
    if (values.length === 0) return "impersonating empty values in extra is not allowed";
    if (values.includes("")) return "impersonating the empty string value in extra is not allowed";
  }
  return undefined;
}

/** The user as this mode lets the requester be. Throws 403. */
function impersonated(
  mode: Mode,
  requester: UserInfo,
  wanted: Wanted,
  info: RequestInfo,
  authorize: Authorize,
): UserInfo {
  const constrained = mode.name !== undefined;
  const verb = constrained ? `impersonate:${mode.name}` : "impersonate";
  const check = (target: RequestInfo): void => {
    const decision = authorize(requester, target);
    if (!decision.allowed) throw forbidden(requester, target, decision.reason);
  };
  const target = (
    group: string,
    resource: string,
    name: string,
    more: Partial<Pick<RequestInfo, "namespace" | "subresource">> = {},
  ): RequestInfo => ({
    isResource: true,
    path: "",
    verb,
    group,
    version: "v1",
    namespace: "",
    resource,
    subresource: "",
    name,
    ...more,
  });
  const mayAll = (all: RequestInfo): boolean => authorize(requester, all).allowed;

  const authenticationGroup = "authentication.k8s.io";
  const subjects = constrained ? authenticationGroup : "";
  if (constrained) check({ ...info, verb: `impersonate-on:${mode.name}:${info.verb}` });

  let { groups } = wanted;
  const account = serviceAccountOf(wanted.username);
  const node = constrained ? nodeNameOf(wanted.username) : undefined;
  if (account !== undefined) {
    if (groups.length === 0) groups = serviceAccountGroups(account.namespace);
    check(target(subjects, "serviceaccounts", account.name, { namespace: account.namespace }));
  } else if (node === undefined) check(target(subjects, "users", wanted.username));
  else {
    groups = ["system:nodes"];
    check(target(subjects, "nodes", mode.name === "associated-node" ? "*" : node));
  }
  if (wanted.uid !== "") check(target(authenticationGroup, "uids", wanted.uid));

  if (constrained && wanted.groups.includes("")) {
    throw forbidden(requester, target(subjects, "groups", ""), "impersonating the empty string group is not allowed");
  }
  if (constrained && wanted.groups.includes(mastersGroup)) {
    throw forbidden(
      requester,
      target(subjects, "groups", mastersGroup),
      "impersonating the system:masters group is not allowed",
    );
  }
  const everyGroup = constrained && wanted.groups.length >= manyChecks && mayAll(target(subjects, "groups", "*"));
  if (!everyGroup) for (const group of wanted.groups) check(target(subjects, "groups", group));

  const extras = Object.entries(wanted.extra);
  const problem = constrained ? extraProblem(wanted.extra) : undefined;
  if (problem !== undefined) throw forbidden(requester, target(authenticationGroup, "userextras", ""), problem);
  const many = extras.length >= manyChecks || extras.reduce((sum, [, { length }]) => sum + length, 0) >= manyChecks;
  const everyExtra =
    constrained && many && mayAll(target(authenticationGroup, "userextras", "*", { subresource: "*" }));
  if (!everyExtra) {
    for (const [key, values] of extras) {
      for (const value of values) check(target(authenticationGroup, "userextras", value, { subresource: key }));
    }
  }

  const known =
    wanted.username === anonymousName
      ? unauthenticatedGroup
      : groups.includes(unauthenticatedGroup)
        ? undefined
        : authenticatedGroup;
  if (known !== undefined && !groups.includes(known)) groups = [...groups, known];
  return {
    username: wanted.username,
    ...(wanted.uid === "" ? {} : { uid: wanted.uid }),
    groups,
    ...(extras.length === 0 ? {} : { extra: Object.fromEntries(extras) }),
  };
}

/**
 * Who the caller wants to be by `Impersonate-*` headers, when it may (KEP-5284;
 * apiserver/pkg/endpoints/filters/impersonation). Without headers the caller itself. Throws 400 and 403.
 */
export function impersonate(
  requester: UserInfo,
  headers: Call["headers"],
  info: RequestInfo,
  authorize: Authorize,
): UserInfo {
  const wanted = wantedUser(headers);
  if (wanted === undefined) return requester;
  let refusal: unknown;
  for (const mode of modes) {
    if (!mode.applies(wanted, requester)) continue;
    try {
      return impersonated(mode, requester, wanted, info, authorize);
    } catch (error) {
      refusal ??= error;
    }
  }
  throw refusal;
}
