import { FleetwrightError, SelfSubjectAccessReviews, type Client, type PolicyRule } from "@fleetwright/kube";

/** Rules of a ClusterRole, or of a Role in one namespace. */
export interface Rights {
  readonly rules: readonly PolicyRule[];
  /** Absent: everywhere. */
  readonly namespace?: string;
}

/** One thing that a rule grants. */
export interface Access {
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
  readonly subresource?: string;
  readonly namespace?: string;
}

/** Every single permission in the rules. */
export function accessesOf({ rules, namespace }: Rights): readonly Access[] {
  return rules.flatMap(({ apiGroups = [], resources = [], verbs }) =>
    apiGroups.flatMap((group) =>
      resources.flatMap((name) => {
        const [resource = name, subresource] = name.split("/");
        return verbs.map((verb) => ({
          verb,
          group,
          resource,
          ...(subresource === undefined ? {} : { subresource }),
          ...(namespace === undefined ? {} : { namespace }),
        }));
      }),
    ),
  );
}

/** `list deployments.apps in all namespaces`. */
export function describeAccess(access: Access): string {
  const name = access.subresource === undefined ? access.resource : `${access.resource}/${access.subresource}`;
  const where = access.namespace === undefined ? "in all namespaces" : `in namespace "${access.namespace}"`;
  return `${access.verb} ${name}${access.group === "" ? "" : `.${access.group}`} ${where}`;
}

/**
 * Asks the server about each permission, so that a manager without rights says so at its start and not in the middle of work.
 *
 * @throws {FleetwrightError} `FW_ACCESS_MISSING` naming every verb and resource that is lacking
 */
export async function requireAccess(client: Client, rights: readonly Rights[], signal?: AbortSignal): Promise<void> {
  const answers = await Promise.all(
    rights.flatMap(accessesOf).map(async (access) => {
      const review = await client.create(
        SelfSubjectAccessReviews,
        {
          apiVersion: "authorization.k8s.io/v1",
          kind: "SelfSubjectAccessReview",
          metadata: {},
          spec: { resourceAttributes: access },
        },
        signal ? { signal } : {},
      );
      return { access, allowed: review.status?.allowed === true };
    }),
  );
  const missing = answers.filter(({ allowed }) => !allowed).map(({ access }) => describeAccess(access));
  if (missing.length > 0) {
    throw new FleetwrightError(
      "FW_ACCESS_MISSING",
      `the manager's user may not ${missing.join(", ")}; grant it with config/rbac/manager.yaml`,
    );
  }
}
