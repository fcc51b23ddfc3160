import type { Group } from "./groups.ts";
import { groupVersionPath } from "./groups.ts";

/** Health, as probes ask for it. */
export const healthPaths: readonly string[] = [
  "/healthz",
  "/healthz/ping",
  "/livez",
  "/livez/ping",
  "/readyz",
  "/readyz/ping",
];

const openidPaths = ["/.well-known/openid-configuration", "/openid/v1/jwks"] as const;

const apiPaths = (groups: readonly Group[]): readonly string[] =>
  groups.flatMap(({ name, versions }) => [
    ...(name === "" ? [] : [`/apis/${name}`]),
    ...versions.map(groupVersionPath),
  ]);

/** What `/` lists: every path that is no resource's. */
export const rootPaths = (groups: readonly Group[]): readonly string[] =>
  [
    ...openidPaths,
    "/api",
    "/apis",
    "/apis/",
    ...apiPaths(groups),
    ...healthPaths,
    "/metrics",
    "/openapi/v2",
    "/openapi/v3",
    "/openapi/v3/",
    "/version",
  ].toSorted();

/** OpenAPI documents that describe one path only, by their name below `/openapi/v3`. */
export const pathDocuments = (groups: readonly Group[]): readonly string[] =>
  [...openidPaths, "/api", "/apis", ...apiPaths(groups.filter(({ name }) => name !== "")), "/version"]
    .map((path) => path.slice(1))
    .filter((path) => path.split("/").length < 3 || path.startsWith("openid"));

/** The operation of such a document. */
export const pathItem = (name: string): object => ({
  [`/${name}/`]: {
    get: {
      tags: [name.split("/").at(-1)],
      responses: {
        200: { description: "OK", content: { "application/json": { schema: { type: "object" } } } },
        401: { description: "Unauthorized" },
      },
    },
  },
});
