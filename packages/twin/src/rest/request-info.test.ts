import { describe, expect, it } from "vitest";
import { requestInfoOf } from "./request-info.ts";

const info = (method: string, url: string) => {
  const [path = "", query = ""] = url.split("?");
  const { isResource, verb, group, version, namespace, resource, subresource, name } = requestInfoOf(
    method,
    path,
    new URLSearchParams(query),
  );
  return isResource
    ? `${verb} ${group}/${version} ${namespace}|${resource}|${name}|${subresource}`
    : `${verb} (no resource)`;
};

describe("what a request asks for", () => {
  it.each([
    ["GET", "/api/v1/pods", "list /v1 |pods||"],
    ["GET", "/api/v1/pods?watch=true", "watch /v1 |pods||"],
    ["GET", "/api/v1/pods?watch=false", "list /v1 |pods||"],
    ["GET", "/api/v1/watch/namespaces/a/pods/b", "watch /v1 a|pods|b|"],
    ["GET", "/api/v1/namespaces/a/pods?fieldSelector=metadata.name%3Db", "list /v1 a|pods|b|"],
    ["GET", "/api/v1/namespaces/a/pods?fieldSelector=metadata.name%3Da%5C%2Cb", "list /v1 a|pods|a,b|"],
    ["GET", "/api/v1/namespaces/a/pods?fieldSelector=metadata.name%3Da%5C", "list /v1 a|pods||"],
    ["GET", "/api/v1/namespaces/a", "get /v1 a|namespaces|a|"],
    ["PUT", "/api/v1/namespaces/a/finalize", "update /v1 a|namespaces|a|finalize"],
    ["PATCH", "/api/v1/namespaces/a/status", "patch /v1 a|namespaces|a|status"],
    ["GET", "/api/v1/namespaces/a/services", "list /v1 a|services||"],
    ["POST", "/api/v1/namespaces/a/pods/b/eviction", "create /v1 a|pods|b|eviction"],
    ["DELETE", "/apis/apps/v1/namespaces/a/deployments", "deletecollection apps/v1 a|deployments||"],
    ["DELETE", "/apis/apps/v1/namespaces/a/deployments/b", "delete apps/v1 a|deployments|b|"],
    ["GET", "/apis/apps/v1", "get (no resource)"],
    ["GET", "/api/v1", "get (no resource)"],
    ["GET", "/healthz", "get (no resource)"],
    ["POST", "/apis", "post (no resource)"],
    ["GET", "/api/v1/namespaces/%zz/pods", "get (no resource)"],
    ["GET", "/api/v1//pods", "get /v1 ||pods|"],
    ["GET", "/api/v1/namespaces//pods", "list /v1 |pods||"],
    ["GET", "/api/v1/namespaces/a/pods/", "list /v1 a|pods||"],
    ["GET", "/api/v1/namespaces/a/pods/b%2fc", "get /v1 a|pods|b|c"],
  ])("%s %s", (method, url, expected) => {
    expect(info(method, url)).toBe(expected);
  });
});
