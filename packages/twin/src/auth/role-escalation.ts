import {
  jsonEqual,
  type ClusterRole,
  type ClusterRoleBinding,
  type Json,
  type PolicyRule,
  type Role,
  type RoleBinding,
  type UserInfo,
} from "@fleetwright/kube";
import type { AdmissionAttributes, AdmissionPlugin } from "../machinery/admission.ts";
import type { Authorize } from "../machinery/authorizer.ts";
import { typed, type Draft } from "../machinery/draft.ts";
import type { RequestInfo, ServerAccess } from "../machinery/request.ts";
import { refusals } from "../machinery/status-error.ts";
import { createRoleRules } from "./rbac.ts";
import { missingRules, missingRulesText } from "./rules.ts";
import { isMaster } from "./user.ts";

const group = "rbac.authorization.k8s.io";
const fullAuthority: readonly PolicyRule[] = [
  { verbs: ["*"], apiGroups: ["*"], resources: ["*"] },
  { verbs: ["*"], nonResourceURLs: ["*"] },
];

/** Only what the garbage collector changes to get rid of an object. */
function onlyCollectorsChanges(object: Draft, old: Readonly<Draft>): boolean {
  const bare = (whole: Readonly<Draft>): Json => {
    const {
      ownerReferences: _owners,
      finalizers: _finalizers,
      managedFields: _managers,
      ...rest
    } = whole["metadata"] as Draft;
    return { ...whole, metadata: rest } as Json;
  };
  return jsonEqual(bare(object), bare(old));
}

/**
 * Nobody hands out rights that they have not: roles need the same rights or the verb `escalate`, bindings those of the
 * role or `bind` (pkg/registry/rbac/{clusterrole,role,clusterrolebinding,rolebinding}/policybased). Upstream does this in
 * the storage, after mutating admission: so it comes last in the chain.
 */
export function roleEscalationCheck({
  server,
  authorize,
}: {
  readonly server: Pick<ServerAccess, "objects">;
  readonly authorize: Authorize;
}): AdmissionPlugin {
  const roleRules = createRoleRules(server);

  function refuseEscalation(
    user: UserInfo,
    namespace: string,
    rules: readonly PolicyRule[],
    refuse: (reason: string) => never,
    short?: string,
  ): void {
    const { rules: held, problems } = roleRules.rulesFor(user, namespace);
    const missing = missingRules(held, rules);
    if (missing.length === 0) return;
    const groups = (user.groups ?? []).map((name) => JSON.stringify(name)).join(" ");
    const errors =
      problems.length === 0
        ? ""
        : `; resolution errors: [${problems.length === 1 ? problems[0] : `[${problems.join(", ")}]`}]`;
    refuse(
      short ??
        `user ${JSON.stringify(user.username ?? "")} (groups=[${groups}]) is attempting to grant RBAC permissions not currently held:\n${missingRulesText(missing)}${errors}`,
    );
  }

  const may = (user: UserInfo, verb: string, resource: string, namespace: string, name: string): boolean => {
    const info: RequestInfo = {
      isResource: true,
      path: "",
      verb,
      group,
      version: "*",
      namespace,
      resource,
      subresource: "",
      name,
    };
    return authorize(user, info).allowed;
  };

  function admit(attributes: AdmissionAttributes): void {
    const { resource, object, oldObject, user, namespace } = attributes;
    if (resource.group !== group || object === undefined || isMaster(user)) return;
    const creates = oldObject === undefined;
    if (!creates && onlyCollectorsChanges(object, oldObject)) return;
    // At an update upstream reads the name from the object, at a creation too.
    const name = typed<Role>(object).metadata.name ?? "";
    const refuse = (reason: string): never => {
      throw refusals.forbidden({ group, resource: resource.resource }, name, reason);
    };
    if (resource.resource === "roles" || resource.resource === "clusterroles") {
      if (may(user, "escalate", resource.resource, namespace, attributes.context.info.name)) return;
      const role = typed<ClusterRole>(object);
      refuseEscalation(user, namespace, role.rules ?? [], refuse);
      const aggregates = [object, oldObject].some(
        (one) =>
          one !== undefined && ((one as unknown as ClusterRole).aggregationRule?.clusterRoleSelectors ?? []).length > 0,
      );
      if (resource.resource === "clusterroles" && aggregates) {
        const short = "must have cluster-admin privileges to use the aggregationRule";
        refuseEscalation(user, namespace, fullAuthority, refuse, short);
      }
      return;
    }
    if (resource.resource !== "rolebindings" && resource.resource !== "clusterrolebindings") return;
    const { roleRef } = typed<ClusterRoleBinding | RoleBinding>(object);
    const roleResource =
      roleRef.kind === "ClusterRole" ? "clusterroles" : roleRef.kind === "Role" ? "roles" : undefined;
    if (roleResource === undefined) return;
    if (may(user, "bind", roleResource, namespace, roleRef.name)) return;
    let rules: readonly PolicyRule[];
    try {
      rules = roleRules.rulesOf(roleRef, namespace);
    } catch {
      // Upstream's answer names the binding's resource with the role's name.
      throw refusals.notFound({ group, resource: resource.resource }, roleRef.name);
    }
    refuseEscalation(user, namespace, rules, refuse);
  }

  return {
    name: "RoleEscalationCheck",
    handles: (operation) => operation === "CREATE" || operation === "UPDATE",
    admit,
  };
}
