import { createHash } from "node:crypto";
import type { ServedKind } from "../machinery/kind.ts";
import type { Call, Reply } from "../machinery/request.ts";
import { methodNotAllowed, refusals } from "../machinery/status-error.ts";
import {
  aggregatedList,
  coreVersions,
  groupList,
  groupObject,
  groupsOf,
  groupVersionPath,
  resourceList,
} from "./groups.ts";
import type { Group, GroupVersionKinds } from "./groups.ts";
import { openapiPaths } from "./openapi-paths.ts";
import { addCustomKind, createSchemaSet } from "./openapi-schemas.ts";
import { pathDocuments, pathItem, rootPaths } from "./other-paths.ts";
import { serverVersion } from "./server-version.ts";

/** What discovery describes: the kinds that are served now. */
export interface DiscoverySource {
  kinds(): readonly ServedKind[];
  /** Grows with every change of the kinds. */
  revision(): number;
}

export interface Discovery {
  /** The answer of every path of discovery, OpenAPI and `/version`; `undefined` for other paths. Throws a StatusError. */
  answer(call: Call): Reply | undefined;
}

/** A document as it goes out. */
interface Document {
  readonly body: Buffer;
  /** SHA-512, as the real server's. */
  readonly hash: string;
}

const watchEventId = "io.k8s.apimachinery.pkg.apis.meta.v1.WatchEvent";
const aggregatedType = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
const json = "application/json";

const header = (call: Call, name: string): string => {
  const value = call.headers[name];
  return typeof value === "string" ? value : (value?.join(",") ?? "");
};

function documentOf(value: object, indent = 0): Document {
  const body = Buffer.from(`${JSON.stringify(value, undefined, indent)}${indent === 0 ? "\n" : ""}`);
  return { body, hash: createHash("sha512").update(body).digest("hex").toUpperCase() };
}

const information = { title: "Kubernetes", version: "1.36" };
const bearerToken = { type: "apiKey", name: "authorization", in: "header" };

/**
 * Says what the server has: `/api`, `/apis` and what is below them, `/openapi/v2`, `/openapi/v3` and `/version`. Documents are
 * made when they are asked for and kept until the kinds change.
 */
export function createDiscovery(source: DiscoverySource): Discovery {
  let madeAt: number | undefined;
  let groups: readonly Group[] = [];
  const documents = new Map<string, Document | undefined>();

  function document(path: string, make: () => object | undefined, indent = 0): Document | undefined {
    if (madeAt !== source.revision()) {
      madeAt = source.revision();
      groups = groupsOf(source.kinds());
      documents.clear();
    }
    if (!documents.has(path)) {
      const value = make();
      if (value === undefined) return undefined;
      documents.set(path, documentOf(value, indent));
    }
    return documents.get(path);
  }

  /** Finds the parts of a path; both are `undefined` where there are none. */
  function versionAt(path: string): GroupVersionKinds | undefined {
    const parts = path.split("/");
    const [group, version] = parts[0] === "api" && parts.length === 2 ? ["", parts[1]] : [parts[1], parts[2]];
    if (parts[0] !== "api" && (parts[0] !== "apis" || parts.length !== 3)) return undefined;
    return groups.find(({ name }) => name === group)?.versions.find((found) => found.version === version);
  }

  function openapiV3(version: GroupVersionKinds): object {
    const set = createSchemaSet("v3");
    for (const kind of version.kinds) if (!kind.builtin) addCustomKind(set, kind, "v3");
    const paths = openapiPaths(version, set, "v3");
    // What watches answer is described with the kinds, though no path here says so.
    if (version.kinds.some(({ builtin, verbs }) => builtin && verbs.includes("watch"))) set.named(watchEventId);
    return openapiDocument(paths, set.all());
  }

  function openapiV2(): object {
    const set = createSchemaSet("v2");
    const paths: Record<string, object> = {};
    for (const version of groups.flatMap(({ versions }) => versions)) {
      for (const kind of version.kinds) if (!kind.builtin) addCustomKind(set, kind, "v2");
      Object.assign(paths, openapiPaths(version, set, "v2"));
    }
    return {
      swagger: "2.0",
      info: information,
      paths,
      definitions: set.all(),
      securityDefinitions: { BearerToken: bearerToken },
      security: [{ BearerToken: [] }],
    };
  }

  function v3Document(path: string): Document | undefined {
    return document(`/openapi/v3/${path}`, () => {
      const version = versionAt(path);
      if (version !== undefined) return openapiV3(version);
      return pathDocuments(groups).includes(path) ? openapiDocument(pathItem(path), {}) : undefined;
    });
  }

  function v3Index(): Document | undefined {
    return document("/openapi/v3", () => ({
      paths: Object.fromEntries(
        [
          ...pathDocuments(groups),
          ...groups.flatMap(({ versions }) => versions).map((version) => groupVersionPath(version).slice(1)),
        ]
          .toSorted()
          .map((path) => [path, { serverRelativeURL: `/openapi/v3/${path}?hash=${versionHash(path)}` }]),
      ),
    }));
  }

  /** Of the kinds that the document describes: the document itself is made only when somebody reads it. */
  function versionHash(path: string): string {
    const version = versionAt(path);
    const kinds = version?.kinds ?? [];
    const text = JSON.stringify([
      serverVersion.gitVersion,
      version === undefined ? undefined : resourceList(version),
      kinds.every(({ builtin }) => builtin) ? "" : v3Document(path)?.hash,
    ]);
    return createHash("sha512").update(text).digest("hex").toUpperCase();
  }

  function reply(call: Call, found: Document, type: string, extra: Reply["headers"] = {}): Reply {
    const etag = `"${found.hash}"`;
    const headers = { "content-type": type, etag, vary: "Accept", "cache-control": "no-cache, private", ...extra };
    const matches = header(call, "if-none-match")
      .split(",")
      .some((tag) => tag.trim().replace(/^W\//, "") === etag || tag.trim() === "*");
    if (matches) return { status: 304, headers, body: "" };
    return { status: 200, headers, body: found.body };
  }

  function plain(found: Document | undefined, type: string = json): Reply | undefined {
    if (found === undefined) return undefined;
    return { status: 200, headers: { "content-type": type, "cache-control": "no-cache, private" }, body: found.body };
  }

  /** `/api` and `/apis`, plain or aggregated as the client prefers. */
  function root(call: Call, path: "/api" | "/apis"): Reply | undefined {
    if (acceptsAggregated(header(call, "accept"))) {
      const found = document(`${path} aggregated`, () =>
        aggregatedList(groups.filter(({ name }) => (name === "") === (path === "/api"))),
      );
      return found === undefined ? undefined : reply(call, found, aggregatedType, { "cache-control": "public" });
    }
    if (path === "/apis") return withVary(plain(document(path, () => groupList(groups))));
    const host = header(call, "host") === "" ? "127.0.0.1" : header(call, "host");
    return withVary(plain(documentOf(coreVersions(host))));
  }

  function openapi(call: Call, path: string): Reply | undefined {
    if (path === "/openapi/v2") {
      const accept = header(call, "accept");
      if (accept !== "" && !/application\/(?:json|\*)(?![\w.+-])|\*\/\*/.test(accept)) {
        throw refusals.notAcceptable("only the following media types are accepted: application/json");
      }
      const found = document(path, openapiV2);
      return found === undefined ? undefined : reply(call, found, json);
    }
    if (path === "/openapi/v3") return plain(v3Index(), "text/plain; charset=utf-8");
    if (!path.startsWith("/openapi/v3/")) return undefined;
    const name = path.slice("/openapi/v3/".length);
    const found = v3Document(name);
    if (found === undefined) return { status: 404, headers: {}, body: "" };
    const asked = call.query.get("hash");
    if (asked === null || asked === "") return reply(call, found, json);
    const current = versionHash(name);
    if (asked !== current) {
      return { status: 301, headers: { location: `/openapi/v3/${name}?hash=${current}` }, body: "" };
    }
    return reply(call, found, json, { "cache-control": "public, immutable" });
  }

  return {
    answer(call) {
      const path = call.path.length > 1 && call.path.endsWith("/") ? call.path.slice(0, -1) : call.path;
      if (path === "/") return plain(document(path, () => ({ paths: rootPaths(groups) }), 2));
      if (path === "/version") return read(call, plain(documentOf(serverVersion, 2)));
      if (path === "/api" || path === "/apis") return root(call, path);
      if (path.startsWith("/openapi/")) return openapi(call, path);
      if (path.startsWith("/api/") || path.startsWith("/apis/")) {
        const found = plain(
          document(path, () => {
            const version = versionAt(path.slice(1));
            if (version !== undefined) return resourceList(version);
            const group = groups.find(({ name }) => name !== "" && path === `/apis/${name}`);
            return group === undefined ? undefined : groupObject(group);
          }),
        );
        if (found !== undefined) return path.split("/").length === 3 && path !== "/api/v1" ? found : read(call, found);
        // The router of the core group, and those of groups that are there, say it in JSON.
        const group = path.startsWith("/api/") ? "" : (path.split("/")[2] ?? "");
        if (groups.some(({ name, versions }) => name === group && versions.some(isBuiltin)))
          throw refusals.pathNotFound();
        return undefined;
      }
      return undefined;
    },
  };
}

const isBuiltin = ({ kinds }: GroupVersionKinds): boolean => kinds.some(({ builtin }) => builtin);

/** What the router reads only: other methods are refused. */
function read(call: Call, reply: Reply | undefined): Reply | undefined {
  if (reply === undefined || call.method === "GET") return reply;
  throw methodNotAllowed();
}

const openapiDocument = (paths: object, schemas: object): object => ({
  openapi: "3.0.0",
  info: information,
  paths,
  components: { schemas, securitySchemes: { BearerToken: bearerToken } },
});

const withVary = (reply: Reply | undefined): Reply | undefined =>
  reply === undefined ? undefined : { ...reply, headers: { ...reply.headers, vary: "Accept" } };

/** Whether the aggregated form comes before the plain one; clients list what they take in their order. */
function acceptsAggregated(accept: string): boolean {
  for (const clause of accept.split(",")) {
    const [type = "", ...parameters] = clause.split(";").map((part) => part.trim());
    const wanted = new Set(parameters.filter((parameter) => !parameter.startsWith("q=")));
    if (type !== json && type !== "*/*" && type !== "application/*") continue;
    if (wanted.size === 0 || (!wanted.has("as=APIGroupDiscoveryList") && wanted.has("charset=utf-8"))) return false;
    if (wanted.has("g=apidiscovery.k8s.io") && wanted.has("v=v2") && wanted.has("as=APIGroupDiscoveryList"))
      return true;
  }
  if (/as=APIGroupDiscoveryList/.test(accept)) {
    throw refusals.notAcceptable("only the following media types are accepted: application/json");
  }
  return false;
}
