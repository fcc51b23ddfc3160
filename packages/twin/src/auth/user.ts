import type { UserInfo } from "@fleetwright/kube";

export const anonymousName = "system:anonymous";
export const authenticatedGroup = "system:authenticated";
export const unauthenticatedGroup = "system:unauthenticated";
/** May do everything, whatever RBAC says. */
export const mastersGroup = "system:masters";

const serviceAccountPrefix = "system:serviceaccount:";
const nodePrefix = "system:node:";

export const serviceAccountUsername = (namespace: string, name: string): string =>
  `${serviceAccountPrefix}${namespace}:${name}`;

export const serviceAccountGroups = (namespace: string): string[] => [
  "system:serviceaccounts",
  `system:serviceaccounts:${namespace}`,
];

/** The service account that a user name is of (apiserver/pkg/authentication/serviceaccount `SplitUsername`). */
export function serviceAccountOf(username: string): { readonly namespace: string; readonly name: string } | undefined {
  if (!username.startsWith(serviceAccountPrefix)) return undefined;
  const parts = username.slice(serviceAccountPrefix.length).split(":");
  const [namespace, name] = parts;
  if (parts.length !== 2 || namespace === undefined || name === undefined) return undefined;
  const label = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
  const subdomain = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
  if (namespace.length > 63 || name.length > 253 || !label.test(namespace) || !subdomain.test(name)) return undefined;
  return { namespace, name };
}

/** The node that a kubelet's credentials are of; `""` when they do not say which; `undefined` for all others. */
export function nodeOf(user: UserInfo): string | undefined {
  const name = user.username ?? "";
  if (!name.startsWith(nodePrefix) || !(user.groups ?? []).includes("system:nodes")) return undefined;
  return name.slice(nodePrefix.length);
}

export const isMaster = (user: UserInfo): boolean => (user.groups ?? []).includes(mastersGroup);
