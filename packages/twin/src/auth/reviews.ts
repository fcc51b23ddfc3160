import {
  labelSelectorText,
  selectorOf,
  type LocalSubjectAccessReview,
  type SelfSubjectAccessReview,
  type SelfSubjectRulesReview,
  type SubjectAccessReview,
  type SubjectAccessReviewSpec,
  type TokenReview,
  type UserInfo,
} from "@fleetwright/kube";
import type { Authorize } from "../machinery/authorizer.ts";
import { typed, untyped, type Draft } from "../machinery/draft.ts";
import type { RequestContext, RequestInfo, ServerAccess } from "../machinery/request.ts";
import { fieldErrors, refusals, type FieldError } from "../machinery/status-error.ts";
import type { TokenAuthenticator } from "./authenticator.ts";
import { createRoleRules } from "./rbac.ts";
import { nodeOf } from "./user.ts";

/** Answers a POST of a kind that is never stored. */
export type ReviewHandler = (body: Draft, context: RequestContext) => Promise<Draft>;

const authorizationGroup = "authorization.k8s.io";

type AccessSpec = Pick<SubjectAccessReviewSpec, "resourceAttributes" | "nonResourceAttributes">;

/** The internal type has no names for JSON but Go's. */
const inGo = ({ path = "", verb = "" }: NonNullable<AccessSpec["nonResourceAttributes"]>): object => ({
  Path: path,
  Verb: verb,
});

function specErrors(spec: AccessSpec): FieldError[] {
  const errors: FieldError[] = [];
  if (spec.resourceAttributes !== undefined && spec.nonResourceAttributes !== undefined) {
    errors.push(
      fieldErrors.invalid(
        "spec.nonResourceAttributes",
        inGo(spec.nonResourceAttributes),
        "cannot be specified in combination with resourceAttributes",
      ),
    );
  }
  if (spec.resourceAttributes === undefined && spec.nonResourceAttributes === undefined) {
    errors.push(
      fieldErrors.invalid(
        "spec.resourceAttributes",
        null,
        "exactly one of nonResourceAttributes or resourceAttributes must be specified",
      ),
    );
  }
  return errors;
}

function subjectErrors({ user = "", groups = [] }: SubjectAccessReviewSpec): FieldError[] {
  return user === "" && groups.length === 0
    ? [fieldErrors.invalid("spec.user", user, "at least one of user or group must be specified")]
    : [];
}

/** Nothing of metadata means anything for a review. */
function metadataErrors(body: Draft, allowed: readonly string[], detail: string): FieldError[] {
  const metadata = body["metadata"];
  if (typeof metadata !== "object" || metadata === null) return [];
  const filled = Object.entries(metadata).some(
    ([key, value]) =>
      key !== "managedFields" &&
      !allowed.includes(key) &&
      value !== null &&
      value !== "" &&
      JSON.stringify(value) !== "{}" &&
      JSON.stringify(value) !== "[]",
  );
  return filled ? [fieldErrors.invalid("metadata", metadata, detail)] : [];
}

function requestOf({ resourceAttributes, nonResourceAttributes }: AccessSpec): RequestInfo {
  const { requirements, rawSelector } = resourceAttributes?.fieldSelector ?? {};
  const operators: Readonly<Record<string, string>> = { In: "=", NotIn: "!=" };
  const fieldSelector =
    rawSelector ??
    requirements
      ?.flatMap(({ key, operator, values = [] }) =>
        values.map((value) => `${key}${operators[operator] ?? "="}${value}`),
      )
      .join(",");
  return {
    isResource: resourceAttributes !== undefined,
    path: nonResourceAttributes?.path ?? "",
    verb: resourceAttributes?.verb ?? nonResourceAttributes?.verb ?? "",
    group: resourceAttributes?.group ?? "",
    version: resourceAttributes?.version ?? "",
    namespace: resourceAttributes?.namespace ?? "",
    resource: resourceAttributes?.resource ?? "",
    subresource: resourceAttributes?.subresource ?? "",
    name: resourceAttributes?.name ?? "",
    ...(fieldSelector === undefined ? {} : { fieldSelector }),
  };
}

function selectorErrors({ resourceAttributes }: AccessSpec): FieldError[] {
  const requirements = resourceAttributes?.labelSelector?.requirements;
  if (requirements === undefined) return [];
  try {
    labelSelectorText(selectorOf({ matchExpressions: requirements }));
    return [];
  } catch (error) {
    return [
      fieldErrors.invalid("spec.resourceAttributes.labelSelector.requirements", requirements, (error as Error).message),
    ];
  }
}

/**
 * TokenReview, SubjectAccessReview and their siblings (pkg/registry/authentication and pkg/registry/authorization), by
 * plural.
 */
export function createReviewHandlers({
  server,
  authorize,
  tokens,
}: {
  readonly server: Pick<ServerAccess, "objects">;
  readonly authorize: Authorize;
  readonly tokens: TokenAuthenticator;
}): ReadonlyMap<string, ReviewHandler> {
  const roleRules = createRoleRules(server);

  function refuse(errors: readonly FieldError[]): void {
    // Upstream names the kind of an object that has lost it.
    if (errors.length > 0) throw refusals.invalid({ group: authorizationGroup, resource: "" }, "", errors);
  }

  function reviewed(body: Draft, user: UserInfo, spec: AccessSpec): Draft {
    const { allowed, reason } = authorize(user, requestOf(spec));
    return { ...body, status: { allowed, ...(reason === "" ? {} : { reason }) } };
  }

  const userOf = ({ user, groups, uid, extra }: SubjectAccessReviewSpec): UserInfo => ({
    username: user ?? "",
    ...(groups === undefined ? {} : { groups }),
    ...(uid === undefined ? {} : { uid }),
    ...(extra === undefined ? {} : { extra }),
  });

  async function subjectAccessReview(body: Draft): Promise<Draft> {
    const { spec } = typed<SubjectAccessReview>(body);
    refuse([
      ...specErrors(spec),
      ...subjectErrors(spec),
      ...selectorErrors(spec),
      ...metadataErrors(body, [], "must be empty"),
    ]);
    return reviewed(body, userOf(spec), spec);
  }

  async function localSubjectAccessReview(body: Draft, { info }: RequestContext): Promise<Draft> {
    const { spec, metadata } = typed<LocalSubjectAccessReview>(body);
    const namespace = metadata.namespace ?? "";
    const errors = [
      ...specErrors(spec),
      ...subjectErrors(spec),
      ...selectorErrors(spec),
      ...metadataErrors(body, ["namespace"], "must be empty except for namespace"),
    ];
    if (spec.resourceAttributes !== undefined && (spec.resourceAttributes.namespace ?? "") !== namespace) {
      errors.push(
        fieldErrors.invalid(
          "spec.resourceAttributes.namespace",
          spec.resourceAttributes.namespace ?? "",
          "must match metadata.namespace",
        ),
      );
    }
    if (spec.nonResourceAttributes !== undefined) {
      errors.push(
        fieldErrors.invalid(
          "spec.nonResourceAttributes",
          inGo(spec.nonResourceAttributes),
          "disallowed on this kind of request",
        ),
      );
    }
    refuse(errors);
    if (info.namespace !== namespace) {
      throw refusals.badRequest(`spec.resourceAttributes.namespace must match namespace: ${info.namespace}`);
    }
    return reviewed(body, userOf(spec), spec);
  }

  async function selfSubjectAccessReview(body: Draft, { user }: RequestContext): Promise<Draft> {
    const { spec } = typed<SelfSubjectAccessReview>(body);
    refuse([...specErrors(spec), ...selectorErrors(spec), ...metadataErrors(body, [], "must be empty")]);
    return reviewed(body, user, spec);
  }

  async function selfSubjectRulesReview(body: Draft, { user }: RequestContext): Promise<Draft> {
    const namespace = typed<SelfSubjectRulesReview>(body).spec.namespace ?? "";
    if (namespace === "") throw refusals.badRequest("no namespace on request");
    const { rules, problems } = roleRules.rulesFor(user, namespace);
    const isNode = nodeOf(user) !== undefined;
    const errors = [...(isNode ? ["node authorizer does not support user rule resolution"] : []), ...problems];
    return {
      kind: "SelfSubjectRulesReview",
      apiVersion: `${authorizationGroup}/v1`,
      metadata: {},
      spec: {},
      status: untyped({
        resourceRules: rules
          .filter(({ resources = [] }) => resources.length > 0)
          .map(({ verbs, apiGroups, resources, resourceNames }) => ({
            verbs,
            ...(apiGroups === undefined ? {} : { apiGroups }),
            resources,
            ...(resourceNames === undefined ? {} : { resourceNames }),
          })),
        nonResourceRules: rules
          .filter(({ nonResourceURLs = [] }) => nonResourceURLs.length > 0)
          .map(({ verbs, nonResourceURLs }) => ({ verbs, nonResourceURLs })),
        incomplete: isNode,
        ...(errors.length === 0 ? {} : { evaluationError: errors.join(", ") }),
      }),
    };
  }

  async function selfSubjectReview(body: Draft, { user, nowMs }: RequestContext): Promise<Draft> {
    const metadata = body["metadata"];
    return {
      ...body,
      metadata: {
        ...(typeof metadata === "object" && metadata !== null && !Array.isArray(metadata) ? metadata : {}),
        creationTimestamp: new Date(nowMs).toISOString().replace(/\.\d+Z$/, "Z"),
      },
      status: { userInfo: untyped(user) },
    };
  }

  async function tokenReview(body: Draft): Promise<Draft> {
    const { spec } = typed<TokenReview>(body);
    if ((spec.token ?? "") === "") throw refusals.badRequest("token is required for TokenReview in authentication");
    const audiences = (spec.audiences ?? []).length === 0 ? undefined : spec.audiences;
    try {
      // As in a header: a token ends at the first space.
      const identity = tokens.identify(spec.token.trim().split(" ", 1)[0] ?? "", audiences);
      if (identity === undefined) return { ...body, status: { user: {}, error: "invalid bearer token" } };
      const { username, uid, extra } = identity.user;
      const groups = [...(identity.user.groups ?? [])];
      if (!groups.includes("system:authenticated")) groups.push("system:authenticated");
      return {
        ...body,
        status: untyped({
          authenticated: true,
          user: {
            username,
            ...(uid === undefined || uid === "" ? {} : { uid }),
            groups,
            ...(extra === undefined ? {} : { extra }),
          },
          ...(identity.audiences.length === 0 ? {} : { audiences: identity.audiences }),
        }),
      };
    } catch (error) {
      return { ...body, status: { user: {}, error: `[invalid bearer token, ${(error as Error).message}]` } };
    }
  }

  return new Map<string, ReviewHandler>([
    ["tokenreviews", tokenReview],
    ["selfsubjectreviews", selfSubjectReview],
    ["subjectaccessreviews", subjectAccessReview],
    ["localsubjectaccessreviews", localSubjectAccessReview],
    ["selfsubjectaccessreviews", selfSubjectAccessReview],
    ["selfsubjectrulesreviews", selfSubjectRulesReview],
  ]);
}
