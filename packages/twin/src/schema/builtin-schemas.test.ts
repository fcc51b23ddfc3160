import { describe, expect, it } from "vitest";
import { builtinKinds, builtinSchemas } from "./builtin-schemas.ts";

const kind = (group: string, plural: string) =>
  builtinKinds().find((candidate) => candidate.group === group && candidate.plural === plural);

describe("the built-in kinds", () => {
  it("links references, defaults beside them included", () => {
    const deployment = builtinSchemas().get("io.k8s.api.apps.v1.Deployment");
    const template = deployment?.properties?.["spec"]?.properties?.["template"];
    expect(template?.id).toBe("io.k8s.api.core.v1.PodTemplateSpec");
    expect(template?.default).toEqual({});
    expect(template?.properties?.["spec"]?.properties?.["containers"]?.items?.properties?.["image"]?.type).toBe(
      "string",
    );
  });

  it("keeps schemas that contain themselves", () => {
    const props = builtinSchemas().get("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps");
    expect(props?.properties?.["not"]).toBe(props);
  });

  it("has a schema with properties for every kind and every body of a subresource", () => {
    const without = builtinKinds().flatMap((found) => [
      ...(found.schema.properties === undefined ? [found.kind] : []),
      ...found.subresources
        .filter(({ kind: sub, schema }) => schema.properties === undefined && !sub.kind.endsWith("Options"))
        .map(({ name }) => `${found.kind}/${name}`),
    ]);
    expect(without).toEqual([]);
  });

  it("knows the kind that a subresource speaks", () => {
    const scale = kind("apps", "deployments")?.subresources.find(({ name }) => name === "scale");
    expect(scale?.kind).toEqual({ group: "autoscaling", version: "v1", kind: "Scale" });
    expect(scale?.schema.id).toBe("io.k8s.api.autoscaling.v1.Scale");
    const status = kind("", "pods")?.subresources.find(({ name }) => name === "status");
    expect(status?.kind).toEqual({ group: "", version: "v1", kind: "Pod" });
  });
});
