import { parseFieldSelector } from "@fleetwright/kube";
import type { RequestInfo } from "../machinery/request.ts";

const verbsOfMethods: Readonly<Record<string, string>> = {
  POST: "create",
  GET: "get",
  HEAD: "get",
  PUT: "update",
  PATCH: "patch",
  DELETE: "delete",
};

/** Subresources of a namespace itself; any other third part of the path is a resource in the namespace. */
const namespaceSubresources: ReadonlySet<string> = new Set(["status", "finalize"]);

const isTrue = (value: string | null): boolean => value === "" || value === "1" || value === "true";

/** The one name that a field selector asks for: `metadata.name=x`, alone or with other terms. */
function nameOfSelector(selector: string | null): string {
  if (selector === null || !selector.includes("metadata.name")) return "";
  try {
    const asked = parseFieldSelector(selector).find(
      ({ field, operator }) => field === "metadata.name" && operator !== "!=",
    );
    const name = asked?.value ?? "";
    // A name that cannot be a path's part is not authorised as one.
    return /^[^/%]+$/.test(name) && name !== "." && name !== ".." ? name : "";
  } catch {
    return "";
  }
}

/** Decoded before it is divided, as Go does it: `a%2Fb` is two parts. */
function partsOf(path: string): readonly string[] | undefined {
  try {
    const text = path.includes("%") ? decodeURIComponent(path) : path;
    return text.replace(/^\/+|\/+$/g, "").split("/");
  } catch {
    return undefined;
  }
}

/**
 * What a path and method ask for (k8s.io/apiserver/pkg/endpoints/request/requestinfo.go). Never throws: a path that is
 * no resource's is a non-resource request.
 */
export function requestInfoOf(method: string, path: string, query: URLSearchParams): RequestInfo {
  const nonResource: RequestInfo = {
    isResource: false,
    path,
    verb: method.toLowerCase(),
    group: "",
    version: "",
    namespace: "",
    resource: "",
    subresource: "",
    name: "",
  };
  const parts = partsOf(path);
  if (parts === undefined) return nonResource;
  if (parts.length < 3 || (parts[0] !== "api" && parts[0] !== "apis")) return nonResource;
  const grouped = parts[0] === "apis";
  if (grouped && parts.length < 4) return nonResource;
  const group = grouped ? (parts[1] ?? "") : "";
  const version = parts[grouped ? 2 : 1] ?? "";
  let rest = parts.slice(grouped ? 3 : 2);
  let verb = verbsOfMethods[method] ?? "";
  let special = false;
  if (rest[0] === "watch" || rest[0] === "proxy") {
    if (rest.length < 2) return nonResource;
    special = rest[0] === "proxy";
    verb = rest[0];
    rest = rest.slice(1);
  }
  let namespace = "";
  if (rest[0] === "namespaces" && rest.length > 1) {
    namespace = rest[1] ?? "";
    if (rest.length > 2 && !namespaceSubresources.has(rest[2] ?? "")) rest = rest.slice(2);
  }
  const resource = rest[0] ?? "";
  let name = rest[1] ?? "";
  const subresource = special ? "" : (rest[2] ?? "");
  if (name === "" && verb === "get") {
    verb = query.has("watch") && isTrue(query.get("watch")) ? "watch" : "list";
    name = nameOfSelector(query.get("fieldSelector"));
  } else if (name === "" && verb === "watch") name = nameOfSelector(query.get("fieldSelector"));
  else if (name === "" && verb === "delete") verb = "deletecollection";
  const fieldSelector = query.get("fieldSelector");
  return {
    isResource: true,
    path,
    verb,
    group,
    version,
    namespace,
    resource,
    subresource,
    name,
    ...(fieldSelector === null ? {} : { fieldSelector }),
  };
}
