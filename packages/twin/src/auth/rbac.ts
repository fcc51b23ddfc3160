import {
  ClusterRoleBindings,
  ClusterRoles,
  RoleBindings,
  Roles,
  type ClusterRoleBinding,
  type PolicyRule,
  type RoleBinding,
  type RoleRef,
  type Subject,
  type UserInfo,
} from "@fleetwright/kube";
import type { Authorize, Decision } from "../machinery/authorizer.ts";
import type { RequestInfo, ServerAccess } from "../machinery/request.ts";
import { refusals, type StatusError } from "../machinery/status-error.ts";
import { createNodeAuthorizer } from "./node-authorizer.ts";
import { ruleAllows } from "./rules.ts";
import { isMaster, serviceAccountUsername } from "./user.ts";

const allowed: Decision = { allowed: true, reason: "" };
const refused: Decision = { allowed: false, reason: "" };

/** Decisions that are kept for one user between writes to roles and bindings. */
const decisionsPerUser = 4096;

interface ResolvedRules {
  readonly rules: readonly PolicyRule[];
  /** What each rule comes from, at the same index: `ClusterRoleBinding "b" of ClusterRole "r" to User "u"`. */
  readonly sources: readonly string[];
  /** What is wrong with bindings that apply to the user. */
  readonly problems: readonly string[];
}

/** Who a list of subjects names, for look-ups by user instead of walks over all bindings. */
interface BoundRole {
  readonly roleRef: RoleRef;
  /** Of the binding among all; a user may be named by several of its subjects. */
  readonly order: number;
  readonly source: string;
}

type SubjectIndex = ReadonlyMap<string, readonly BoundRole[]>;

const noBindings: SubjectIndex = new Map();

/** Rights as Role-Based Access Control grants them. */
export interface RoleRules {
  /** All rules that apply to a user in a namespace (`""`: cluster-wide alone). */
  rulesFor(user: UserInfo, namespace: string): ResolvedRules;
  /** The rules of a role. Throws 404. */
  rulesOf(roleRef: RoleRef, namespace: string): readonly PolicyRule[];
}

/** The key that a user, group or service account is found by; `undefined` for a subject that names nobody. */
function subjectKey(subject: Subject, namespace: string): string | undefined {
  switch (subject.kind) {
    case "User":
      return `u:${subject.name}`;
    case "Group":
      return `g:${subject.name}`;
    case "ServiceAccount": {
      const home = subject.namespace === undefined || subject.namespace === "" ? namespace : subject.namespace;
      return home === "" ? undefined : `u:${serviceAccountUsername(home, subject.name)}`;
    }
    default:
      return undefined;
  }
}

const quotedName = (name: string | undefined, namespace: string): string =>
  JSON.stringify(namespace === "" ? (name ?? "") : `${name ?? ""}/${namespace}`);

function indexOf(bindings: readonly (ClusterRoleBinding | RoleBinding)[], namespace: string): SubjectIndex {
  const index = new Map<string, BoundRole[]>();
  const word = namespace === "" ? "ClusterRoleBinding" : "RoleBinding";
  for (const [order, { metadata, roleRef, subjects = [] }] of bindings.entries()) {
    const seen = new Set<string>();
    const what = `${word} ${quotedName(metadata.name, namespace)} of ${roleRef.kind} ${JSON.stringify(roleRef.name)}`;
    for (const subject of subjects) {
      const key = subjectKey(subject, namespace);
      if (key === undefined || seen.has(key)) continue;
      seen.add(key);
      const home = subject.kind === "ServiceAccount" ? subject.namespace || namespace : "";
      const bound = { roleRef, order, source: `${what} to ${subject.kind} ${quotedName(subject.name, home)}` };
      const list = index.get(key);
      if (list === undefined) index.set(key, [bound]);
      else list.push(bound);
    }
  }
  return index;
}

function boundRoles(index: SubjectIndex, user: UserInfo): readonly BoundRole[] {
  const found = new Map<number, BoundRole>();
  for (const key of [`u:${user.username ?? ""}`, ...(user.groups ?? []).map((group) => `g:${group}`)]) {
    for (const bound of index.get(key) ?? []) if (!found.has(bound.order)) found.set(bound.order, bound);
  }
  return [...found.values()].toSorted((left, right) => left.order - right.order);
}

/** Reads roles and bindings as they are now (pkg/registry/rbac/validation/rule.go). */
export function createRoleRules({ objects }: Pick<ServerAccess, "objects">): RoleRules {
  let clusterRevision = -1;
  let cluster = noBindings;
  let namespacedRevision = -1;
  const namespaced = new Map<string, SubjectIndex>();

  function clusterIndex(): SubjectIndex {
    const revision = objects.revisionOf(ClusterRoleBindings);
    if (revision !== clusterRevision) {
      cluster = indexOf(objects.list(ClusterRoleBindings), "");
      clusterRevision = revision;
    }
    return cluster;
  }

  function namespaceIndex(namespace: string): SubjectIndex {
    const revision = objects.revisionOf(RoleBindings);
    if (revision !== namespacedRevision) {
      namespaced.clear();
      namespacedRevision = revision;
    }
    let index = namespaced.get(namespace);
    if (index === undefined) {
      index = indexOf(objects.list(RoleBindings, namespace), namespace);
      namespaced.set(namespace, index);
    }
    return index;
  }

  function rulesOf({ kind, name }: RoleRef, namespace: string): readonly PolicyRule[] {
    const group = "rbac.authorization.k8s.io";
    if (kind === "Role") {
      const role = objects.get(Roles, { namespace, name });
      if (role === undefined) throw refusals.notFound({ group, resource: "role" }, name);
      return role.rules ?? [];
    }
    if (kind !== "ClusterRole") throw refusals.internal(`unsupported role reference kind: ${JSON.stringify(kind)}`);
    const role = objects.get(ClusterRoles, { name });
    if (role === undefined) throw refusals.notFound({ group, resource: "clusterrole" }, name);
    return role.rules ?? [];
  }

  return {
    rulesOf,
    rulesFor(user, namespace) {
      const rules: PolicyRule[] = [];
      const sources: string[] = [];
      const problems = new Set<string>();
      const gather = (index: SubjectIndex, home: string): void => {
        for (const { roleRef, source } of boundRoles(index, user)) {
          try {
            for (const rule of rulesOf(roleRef, home)) {
              rules.push(rule);
              sources.push(source);
            }
          } catch (error) {
            problems.add((error as StatusError).message);
          }
        }
      };
      gather(clusterIndex(), "");
      if (namespace !== "") gather(namespaceIndex(namespace), namespace);
      return { rules, sources, problems: [...problems] };
    },
  };
}

interface UserView {
  /** Of roles and bindings: what was decided holds as long as they stay. */
  revision: string;
  readonly rules: Map<string, ResolvedRules>;
  readonly decisions: Map<string, Decision>;
}

const aggregateText = (problems: readonly string[]): string =>
  problems.length === 1 ? (problems[0] ?? "") : `[${problems.join(", ")}]`;

/**
 * Who may do what, as kube-apiserver with `--authorization-mode=Node,RBAC` decides: `system:masters`, then nodes by what
 * they run, then RBAC. A decision is remembered per user until a role or a binding changes.
 */
export function createAuthorizer({ server }: { readonly server: Pick<ServerAccess, "objects"> }): Authorize {
  const { objects } = server;
  const roleRules = createRoleRules(server);
  const authorizeNode = createNodeAuthorizer(server);
  // Callers hand in the same UserInfo for the same credentials, so that finding their view costs nothing.
  const views = new WeakMap<UserInfo, UserView>();
  let seen: readonly number[] = [];
  let stamp = "";

  function revisionNow(): string {
    const now = [
      objects.revisionOf(ClusterRoles),
      objects.revisionOf(ClusterRoleBindings),
      objects.revisionOf(Roles),
      objects.revisionOf(RoleBindings),
    ];
    if (now.some((revision, index) => revision !== seen[index])) {
      seen = now;
      stamp = now.join(":");
    }
    return stamp;
  }

  function viewOf(user: UserInfo): UserView {
    const revision = revisionNow();
    const known = views.get(user);
    if (known !== undefined && known.revision === revision) return known;
    const view: UserView = { revision, rules: new Map(), decisions: new Map() };
    views.set(user, view);
    return view;
  }

  function decide(user: UserInfo, info: RequestInfo): Decision {
    const view = viewOf(user);
    const key = info.isResource
      ? `${info.verb}\n${info.group}\n${info.resource}\n${info.subresource}\n${info.namespace}\n${info.name}`
      : `${info.verb}\n${info.path}`;
    const remembered = view.decisions.get(key);
    if (remembered !== undefined) return remembered;
    let resolved = view.rules.get(info.namespace);
    if (resolved === undefined) {
      resolved = roleRules.rulesFor(user, info.namespace);
      if (view.rules.size >= decisionsPerUser) view.rules.clear();
      view.rules.set(info.namespace, resolved);
    }
    const granting = resolved.rules.findIndex((rule) => ruleAllows(rule, info));
    const decision: Decision =
      granting >= 0
        ? { allowed: true, reason: `RBAC: allowed by ${resolved.sources[granting] ?? ""}` }
        : resolved.problems.length === 0
          ? refused
          : { allowed: false, reason: `RBAC: ${aggregateText(resolved.problems)}` };
    if (view.decisions.size >= decisionsPerUser) view.decisions.clear();
    view.decisions.set(key, decision);
    return decision;
  }

  return (user, info) => {
    if (isMaster(user)) return allowed;
    const byNode = authorizeNode(user, info);
    if (byNode?.allowed === true) return byNode;
    const decision = decide(user, info);
    if (byNode === undefined || byNode.reason === "" || decision.allowed) return decision;
    return { allowed: false, reason: decision.reason === "" ? byNode.reason : `${byNode.reason}\n${decision.reason}` };
  };
}

/** The 403 for a request that was not allowed (apiserver/pkg/endpoints/handlers/responsewriters/errors.go). */
export function forbidden(user: UserInfo, info: RequestInfo, reason: string): StatusError {
  // No answer may look like HTML.
  const clean = (text: string): string => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  const who = `User ${JSON.stringify(user.username ?? "")} cannot ${info.verb}`;
  if (!info.isResource) {
    const message = clean(`${who} path ${JSON.stringify(info.path)}`);
    return refusals.forbidden({ group: "", resource: "" }, "", reason === "" ? message : `${message}: ${reason}`);
  }
  const resource = info.subresource === "" ? info.resource : `${info.resource}/${info.subresource}`;
  const where = info.namespace === "" ? "at the cluster scope" : `in the namespace ${JSON.stringify(info.namespace)}`;
  const message = clean(
    `${who} resource ${JSON.stringify(resource)} in API group ${JSON.stringify(info.group)} ${where}`,
  );
  return refusals.forbidden(
    { group: info.group, resource: info.resource },
    info.name,
    reason === "" ? message : `${message}: ${reason}`,
  );
}
