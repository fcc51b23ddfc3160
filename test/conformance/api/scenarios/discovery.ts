import { area } from "../scenario.ts";
import type { Session } from "../scenario.ts";

const aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
const groups: readonly string[] = [
  "admissionregistration.k8s.io",
  "apiextensions.k8s.io",
  "apiregistration.k8s.io",
  "apps",
  "authentication.k8s.io",
  "authorization.k8s.io",
  "autoscaling",
  "batch",
  "certificates.k8s.io",
  "coordination.k8s.io",
  "discovery.k8s.io",
  "events.k8s.io",
  "flowcontrol.apiserver.k8s.io",
  "networking.k8s.io",
  "node.k8s.io",
  "policy",
  "rbac.authorization.k8s.io",
  "resource.k8s.io",
  "scheduling.k8s.io",
  "storage.k8s.io",
];

type Documents = Readonly<Record<string, (session: Session) => Promise<void>>>;
const reads = (path: string, accept?: string, pick?: (body: unknown) => unknown): Documents => ({
  [`GET ${path}${accept === undefined ? "" : ` as ${accept}`}`]: async (session) => {
    await session.send("GET", path, { ...(accept && { headers: { accept } }), ...(pick && { pick }) });
  },
});

export const discoveryScenarios = area("discovery", {
  ...reads("/api"),
  ...reads("/apis"),
  ...reads("/api/v1"),
  ...reads("/api", aggregated),
  ...reads("/apis", aggregated),
  ...reads("/api/v1", aggregated, kindOnly),
  ...Object.assign({}, ...groups.map((group) => reads(`/apis/${group}`))),
  ...Object.assign({}, ...groups.map((group) => reads(`/apis/${group}/v1`))),
  ...reads("/apis/autoscaling/v2"),
  ...reads("/version", undefined, versionOnly),
  ...reads("/healthz"),
  ...reads("/livez"),
  ...reads("/readyz"),
  ...reads("/livez/ping"),
  ...reads("/openapi/v3", undefined, openApiPaths),
  ...reads("/openapi/v2", undefined, openApiV2),
  ...reads("/openapi/v3/api/v1", undefined, openApiV3),
  ...reads("/openapi/v3/apis/apps/v1", undefined, openApiV3),
  ...reads("/openapi/v3/apis/none.example/v1"),
  ...reads("/.well-known/openid-configuration"),
  ...reads("/openid/v1/jwks", undefined, kindOnly),
});

function kindOnly(body: unknown): unknown {
  const { kind } = body as { readonly kind?: string };
  return { kind };
}
function versionOnly(body: unknown): unknown {
  const { major, minor, gitVersion } = body as Readonly<Record<string, unknown>>;
  return { major, minor, gitVersion };
}
function openApiPaths(body: unknown): unknown {
  return Object.keys((body as { readonly paths: object }).paths).toSorted();
}
function openApiV2(body: unknown): unknown {
  const { swagger, info } = body as Readonly<Record<string, unknown>>;
  return { swagger, info };
}
/** The structure of kinds is held elsewhere: here, which are described. */
function openApiV3(body: unknown): unknown {
  const { openapi, components } = body as {
    readonly openapi: string;
    readonly components: { readonly schemas: object };
  };
  return { openapi, schemas: Object.keys(components.schemas).length };
}
