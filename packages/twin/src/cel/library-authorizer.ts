import type { UserInfo } from "@fleetwright/kube";
import type { Authorize } from "../machinery/authorizer.ts";
import type { RequestInfo } from "../machinery/request.ts";
import type { Library } from "./declarations.ts";
import { OpaqueValue, type Value } from "./values.ts";

interface Asking {
  readonly authorize: Authorize;
  readonly user: UserInfo;
}
interface Check extends Asking {
  readonly info: RequestInfo;
}
interface Answer {
  readonly allowed: boolean;
  readonly reason: string;
}

const prefix = "kubernetes.authorization.";
const names = {
  authorizer: `${prefix}Authorizer`,
  path: `${prefix}PathCheck`,
  group: `${prefix}GroupCheck`,
  resource: `${prefix}ResourceCheck`,
  decision: `${prefix}Decision`,
} as const;

const noRequest: RequestInfo = {
  isResource: false,
  path: "",
  verb: "",
  group: "",
  version: "*",
  namespace: "",
  resource: "",
  subresource: "",
  name: "",
};

/** The variable `authorizer`: asks for the user of the request. */
export const authorizerValue = (authorize: Authorize, user: UserInfo): Value =>
  new OpaqueValue<Asking>(names.authorizer, { authorize, user });

/** The variable `authorizer.requestResource`. */
export const requestResourceValue = (
  authorize: Authorize,
  user: UserInfo,
  info: Pick<RequestInfo, "group" | "name" | "namespace" | "resource" | "subresource" | "version">,
): Value =>
  new OpaqueValue<Check>(names.resource, { authorize, user, info: { ...noRequest, ...info, isResource: true } });

const narrowed =
  (field: "name" | "namespace" | "resource" | "subresource", type: string) =>
  ({ value }: OpaqueValue<Check>, text: string): Value =>
    new OpaqueValue<Check>(type, { ...value, info: { ...value.info, [field]: text, isResource: true } });

function decide({ value }: OpaqueValue<Check>, verb: string): Value {
  const { allowed, reason } = value.authorize(value.user, { ...value.info, verb });
  return new OpaqueValue<Answer>(names.decision, { allowed, reason });
}

/** apiserver/pkg/cel/library/authz.go. Selectors are read over: no authorizer here looks at them. */
export const authorizerLibrary: Library = {
  path: [
    [
      "authorizer_path",
      `.(${names.authorizer}, string) ${names.path}`,
      ({ value }: OpaqueValue<Asking>, path: string) =>
        new OpaqueValue<Check>(names.path, { ...value, info: { ...noRequest, path } }),
    ],
  ],
  group: [
    [
      "authorizer_group",
      `.(${names.authorizer}, string) ${names.group}`,
      ({ value }: OpaqueValue<Asking>, group: string) =>
        new OpaqueValue<Check>(names.group, { ...value, info: { ...noRequest, group } }),
    ],
  ],
  serviceAccount: [
    [
      "authorizer_serviceaccount",
      `.(${names.authorizer}, string, string) ${names.authorizer}`,
      ({ value }: OpaqueValue<Asking>, namespace: string, name: string) =>
        authorizerValue(value.authorize, {
          username: `system:serviceaccount:${namespace}:${name}`,
          groups: ["system:serviceaccounts", `system:serviceaccounts:${namespace}`, "system:authenticated"],
        }),
    ],
  ],
  resource: [
    ["groupcheck_resource", `.(${names.group}, string) ${names.resource}`, narrowed("resource", names.resource)],
  ],
  subresource: [
    [
      "resourcecheck_subresource",
      `.(${names.resource}, string) ${names.resource}`,
      narrowed("subresource", names.resource),
    ],
  ],
  namespace: [
    [
      "resourcecheck_namespace",
      `.(${names.resource}, string) ${names.resource}`,
      narrowed("namespace", names.resource),
    ],
  ],
  name: [["resourcecheck_name", `.(${names.resource}, string) ${names.resource}`, narrowed("name", names.resource)]],
  fieldSelector: [
    ["authorizer_fieldselector", `.(${names.resource}, string) ${names.resource}`, (check: Value) => check],
  ],
  labelSelector: [
    ["authorizer_labelselector", `.(${names.resource}, string) ${names.resource}`, (check: Value) => check],
  ],
  check: [
    ["pathcheck_check", `.(${names.path}, string) ${names.decision}`, decide],
    ["resourcecheck_check", `.(${names.resource}, string) ${names.decision}`, decide],
  ],
  errored: [["decision_errored", `.(${names.decision}) bool`, () => false]],
  error: [["decision_error", `.(${names.decision}) string`, () => ""]],
  allowed: [["decision_allowed", `.(${names.decision}) bool`, ({ value }: OpaqueValue<Answer>) => value.allowed]],
  reason: [["decision_reason", `.(${names.decision}) string`, ({ value }: OpaqueValue<Answer>) => value.reason]],
};
