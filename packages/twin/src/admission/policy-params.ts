import {
  matchesLabels,
  selectorOf,
  type KubeObject,
  type ParamKind,
  type ParamRef,
  type Resource,
} from "@fleetwright/kube";
import type { ServerAccess } from "../machinery/request.ts";

/** The policy cannot be applied; `failurePolicy` decides what that means. */
export class PolicyConfigurationError extends Error {
  override readonly name = "PolicyConfigurationError";
}

/**
 * What a binding's `paramRef` stands for: parameters one by one, `undefined` for none (apiserver/pkg/admission/plugin/policy/generic
 * `CollectParams`). Throws PolicyConfigurationError.
 */
export function collectParams(
  paramKind: ParamKind | undefined,
  paramRef: ParamRef | undefined,
  requestNamespace: string,
  server: ServerAccess,
): readonly (KubeObject | undefined)[] {
  if (paramKind === undefined) return [undefined];
  if (paramRef === undefined) return [undefined];
  const resource = resourceOf(paramKind, server);
  const given = paramRef.namespace ?? "";
  if (!resource.namespaced && given !== "") {
    throw new PolicyConfigurationError("paramRef.namespace must not be provided for a cluster-scoped `paramKind`");
  }
  const namespace = given === "" ? requestNamespace : given;
  if (resource.namespaced && namespace === "") {
    throw new PolicyConfigurationError(
      "cannot use namespaced paramRef in policy binding that matches cluster-scoped resources",
    );
  }
  const found = lookUp(resource, namespace, paramRef, server).map((param) => ({
    ...param,
    apiVersion: paramKind.apiVersion ?? "",
    kind: paramKind.kind ?? "",
  }));
  if (found.length > 0) return found;
  if (paramRef.parameterNotFoundAction === "Allow") return [];
  throw new PolicyConfigurationError("no params found for policy binding with `Deny` parameterNotFoundAction");
}

function lookUp(
  resource: Resource,
  namespace: string,
  { name = "", selector }: ParamRef,
  server: ServerAccess,
): readonly KubeObject[] {
  const place = resource.namespaced ? { namespace } : {};
  if (name !== "") {
    const param = server.objects.get(resource, { ...place, name });
    return param === undefined ? [] : [param];
  }
  if (selector === undefined) throw new PolicyConfigurationError("one of name or selector must be provided");
  const matcher = selectorOf(selector);
  const listed = server.objects.list(resource, resource.namespaced ? namespace : undefined);
  return listed.filter(({ metadata }) => matchesLabels(matcher, metadata.labels));
}

/** Where parameters of a kind are. Throws PolicyConfigurationError. */
export function resourceOf({ apiVersion = "", kind = "" }: ParamKind, server: ServerAccess): Resource {
  const slash = apiVersion.indexOf("/");
  const [group, version] = slash < 0 ? ["", apiVersion] : [apiVersion.slice(0, slash), apiVersion.slice(slash + 1)];
  const served = server
    .kinds()
    .find((known) => known.group === group && known.version === version && known.kind === kind);
  if (served === undefined) {
    const place = `${group === "" ? "" : `${group}/`}${version}, Kind=${kind}`;
    throw new PolicyConfigurationError(`failed to find resource referenced by paramKind: '${place}'`);
  }
  return { group, version, kind, plural: served.plural, namespaced: served.namespaced };
}
