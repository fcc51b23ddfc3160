import { describe, expect, it } from "vitest";
import type { ServedKind } from "../machinery/kind.ts";
import type { Call, Reply } from "../machinery/request.ts";
import type { Schema } from "../machinery/schema.ts";
import { builtinKinds } from "../schema/builtin-schemas.ts";
import { createDiscovery } from "./discovery.ts";

/** Discovery needs no rules of the kinds. */
const builtin: readonly ServedKind[] = builtinKinds().map((kind) => ({
  ...kind,
  strategy: {},
  columns: [],
  collection: kind.plural,
  builtin: true,
  storageVersion: kind.version,
  subresources: new Map(kind.subresources.map((sub) => [sub.name, sub])),
}));

const schema: Schema = {
  type: "object",
  properties: {
    spec: {
      type: "object",
      properties: {
        any: { type: "object", "x-kubernetes-preserve-unknown-fields": true },
        color: { type: "string", nullable: true },
        one: { type: "object", oneOf: [{ required: ["p"] }], properties: { p: { type: "string" } } },
        port: { "x-kubernetes-int-or-string": true },
      },
    },
  },
};

const foo: ServedKind = {
  group: "example.com",
  version: "v1",
  kind: "Foo",
  listKind: "FooList",
  plural: "foos",
  singular: "foo",
  namespaced: true,
  shortNames: ["fo"],
  categories: ["all"],
  verbs: ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
  schema,
  strategy: {},
  columns: [],
  collection: "foos.example.com",
  builtin: false,
  storageVersion: "v1",
  subresources: new Map(),
};

function call(path: string, headers: Call["headers"] = {}): Call {
  const url = new URL(path, "http://twin");
  return {
    method: "GET",
    path: url.pathname,
    query: url.searchParams,
    headers,
    body: () => Promise.resolve(Buffer.alloc(0)),
    signal: new AbortController().signal,
  };
}

function open(kinds: readonly ServedKind[] = builtin) {
  const state = { kinds, revision: 1 };
  const discovery = createDiscovery({ kinds: () => state.kinds, revision: () => state.revision });
  const get = (path: string, headers?: Call["headers"]): Reply | undefined => discovery.answer(call(path, headers));
  const read = (path: string, headers?: Call["headers"]) =>
    JSON.parse((get(path, headers)?.body ?? "null") as string) as Record<string, unknown>;
  return { state, discovery, get, read };
}

const aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

describe("discovery", () => {
  it("answers in the form that the client prefers", () => {
    const { get } = open();
    const typeFor = (accept: string) => get("/apis", { accept })?.headers["content-type"];
    expect(typeFor(`${aggregated},application/json;q=0.9`)).toBe(aggregated);
    expect(typeFor("application/json")).toBe("application/json");
    expect(typeFor(`application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,${aggregated}`)).toBe(
      aggregated,
    );
    expect(() => typeFor("application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList")).toThrow(
      /only the following media types/,
    );
  });

  it("says nothing about paths that are not its own, and about groups that are not there", () => {
    const { get } = open();
    const others = ["/healthz", "/apis/none", "/apis/none/v1", "/apis/example.com/v7"];
    expect(others.filter((path) => get(path) !== undefined)).toEqual([]);
    expect(get("/openapi/v3/apis/none/v1")).toMatchObject({ status: 404, body: "" });
  });

  it("refuses versions that a group has not, and methods that a path has not", () => {
    const { discovery, get } = open();
    for (const path of ["/apis/apps/v7", "/api/v2"]) expect(() => get(path)).toThrow(/could not find/);
    for (const path of ["/api/v1", "/apis/apps/v1", "/version"]) {
      expect(() => discovery.answer({ ...call(path), method: "HEAD" })).toThrow(/does not allow this method/);
    }
  });

  it("lists every path, and describes each in a document", () => {
    const { read } = open();
    expect(read("/")["paths"]).toEqual(
      expect.arrayContaining(["/api", "/api/v1", "/apis/apps", "/apis/apps/v1", "/openapi/v3", "/version"]),
    );
    const documents = Object.keys(read("/openapi/v3")["paths"] as object);
    expect(documents).toEqual(expect.arrayContaining(["api/v1", "apis/apps", "apis/apps/v1", "version"]));
    for (const name of documents) expect(read(`/openapi/v3/${name}`)).toHaveProperty("paths");
  });

  it("lists a custom kind as soon as it is served, and says that the document changed", () => {
    const { get, read, state } = open();
    const before = get("/apis", { accept: aggregated });
    const etag = String(before?.headers["etag"]);
    expect(get("/apis", { accept: aggregated, "if-none-match": etag })?.status).toBe(304);
    state.kinds = [...builtin, foo];
    state.revision++;
    expect(get("/apis", { accept: aggregated, "if-none-match": etag })?.status).toBe(200);
    expect(read("/apis/example.com/v1")).toEqual({
      kind: "APIResourceList",
      apiVersion: "v1",
      groupVersion: "example.com/v1",
      resources: [
        {
          name: "foos",
          singularName: "foo",
          namespaced: true,
          kind: "Foo",
          verbs: ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"],
          shortNames: ["fo"],
          categories: ["all"],
          // As kube-apiserver 1.36.3 gives it for this name.
          storageVersionHash: "4XyhoHMtUhg=",
        },
      ],
    });
  });

  it("puts the newest stable version of a group first", () => {
    const kinds = ["v1alpha1", "v2beta1", "v1", "v2", "zeta"].map((version) => ({ ...foo, version }));
    const versions = (open(kinds).read("/apis/example.com")["versions"] ?? []) as readonly { version: string }[];
    expect(versions.map(({ version }) => version)).toEqual(["v2", "v1", "v2beta1", "v1alpha1", "zeta"]);
  });
});

describe("OpenAPI", () => {
  it("is found through an index whose addresses change with the documents", () => {
    const { get, read, state } = open([foo]);
    const address = () =>
      (read("/openapi/v3")["paths"] as Record<string, { serverRelativeURL: string }>)["apis/example.com/v1"]
        ?.serverRelativeURL ?? "";
    const first = address();
    expect(get(first)).toMatchObject({ status: 200, headers: { "cache-control": "public, immutable" } });
    state.kinds = [{ ...foo, schema: { type: "object" } }];
    state.revision++;
    expect(address()).not.toBe(first);
    expect(get(first)).toMatchObject({ status: 301, headers: { location: address() } });
  });

  it("names every schema that it refers to", () => {
    const { read } = open([...builtin, foo]);
    const index = Object.keys(read("/openapi/v3")["paths"] ?? {});
    expect(index).toContain("api/v1");
    const missing: string[] = [];
    for (const path of index) {
      const document = read(`/openapi/v3/${path}`) as { readonly components: { readonly schemas: object } };
      const names = new Set(Object.keys(document.components.schemas));
      for (const [, name = ""] of JSON.stringify(document).matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g)) {
        if (!names.has(name)) missing.push(`${path}: ${name}`);
      }
    }
    expect(missing).toEqual([]);
  });

  it("describes a custom kind as the real server's v2 does, which says nothing where it cannot say it all", () => {
    const { definitions } = open([...builtin, foo]).read("/openapi/v2") as unknown as {
      readonly definitions: Record<string, Schema>;
    };
    expect(definitions["com.example.v1.Foo"]).toEqual({
      type: "object",
      properties: {
        apiVersion: { type: "string" },
        kind: { type: "string" },
        metadata: { $ref: "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta" },
        spec: {
          type: "object",
          properties: {
            any: { "x-kubernetes-preserve-unknown-fields": true },
            color: {},
            one: { type: "object", properties: { p: { type: "string" } } },
            port: { "x-kubernetes-int-or-string": true },
          },
        },
      },
      "x-kubernetes-group-version-kind": [{ group: "example.com", version: "v1", kind: "Foo" }],
    });
  });

  it("refuses clients that take only protobuf", () => {
    expect(() =>
      open().get("/openapi/v2", { accept: "application/com.github.proto-openapi.spec.v2@v1.0+protobuf" }),
    ).toThrow(/only the following media types/);
  });
});
