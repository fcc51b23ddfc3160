import { VirtualClock } from "@fleetwright/kube";
import { describe, expect, it } from "vitest";
import type { ServedKind } from "../machinery/kind.ts";
import type { Call } from "../machinery/request.ts";
import { requestInfoOf } from "../rest/request-info.ts";
import { builtinKinds } from "../schema/builtin-schemas.ts";
import { createMemoryStore } from "../storage/memory-store.ts";
import { createServerMetrics } from "./metrics.ts";

const kinds: readonly ServedKind[] = builtinKinds().map((kind) => ({
  ...kind,
  strategy: {},
  columns: [],
  collection: kind.plural,
  builtin: true,
  storageVersion: kind.version,
  subresources: new Map(kind.subresources.map((sub) => [sub.name, sub])),
}));

function callOf(method: string, url: string, headers: Call["headers"] = {}): Call {
  const { pathname, searchParams } = new URL(url, "http://twin");
  const body = () => Promise.resolve(Buffer.alloc(0));
  return { method, path: pathname, query: searchParams, headers, body, signal: new AbortController().signal };
}

function open() {
  const clock = new VirtualClock();
  const store = createMemoryStore({ clock });
  const metrics = createServerMetrics({ store, kinds: () => kinds, clock });
  const request = (method: string, url: string, status: number, headers?: Call["headers"]): void => {
    const call = callOf(method, url, headers);
    const info = requestInfoOf(method, call.path, call.query);
    const kind = kinds.find((one) => one.group === info.group && one.plural === info.resource);
    metrics.answered(call, info, kind, status);
  };
  const lines = async (start: string): Promise<readonly string[]> => {
    const reply = await metrics.answer(callOf("GET", "/metrics"));
    return ((reply?.body ?? "") as string).split("\n").filter((line) => line.startsWith(start));
  };
  return { store, request, lines };
}

describe("metrics", () => {
  it("count requests by what they asked for and how it ended", async () => {
    const { request, lines } = open();
    request("GET", "/api/v1/pods", 200);
    request("GET", "/api/v1/pods", 200);
    request("POST", "/api/v1/namespaces/a/pods?dryRun=All", 403);
    request("PATCH", "/apis/apps/v1/namespaces/a/deployments/b/status", 200, {
      "content-type": "application/apply-patch+yaml",
    });
    request("GET", "/healthz", 200);
    expect(await lines("apiserver_request_total")).toEqual([
      'apiserver_request_total{code="200",component="",dry_run="",group="",resource="",scope="",subresource="/healthz",verb="GET",version=""} 1',
      'apiserver_request_total{code="200",component="apiserver",dry_run="",group="",resource="pods",scope="cluster",subresource="",verb="LIST",version="v1"} 2',
      'apiserver_request_total{code="200",component="apiserver",dry_run="",group="apps",resource="deployments",scope="resource",subresource="status",verb="APPLY",version="v1"} 1',
      'apiserver_request_total{code="403",component="apiserver",dry_run="All",group="",resource="pods",scope="resource",subresource="",verb="POST",version="v1"} 1',
    ]);
  });

  it("count nothing that clients can make up: no paths, resources or subresources that there are not", async () => {
    const { request, lines } = open();
    for (let index = 0; index < 5; index++) {
      request("GET", `/made-up-${index}`, 404);
      request("GET", `/api/v1/made-up-${index}`, 404);
      request("GET", `/api/v1/namespaces/a/pods/b/made-up-${index}`, 404);
    }
    expect(await lines("apiserver_request_total")).toHaveLength(1);
  });

  it("say how many objects are stored", async () => {
    const { store, lines } = open();
    for (const key of ["a/1", "a/2", "b/1"]) {
      store.write({ collection: "pods", key, expected: 0, make: () => ({ object: {} }) });
    }
    expect(await lines('apiserver_resource_objects{group="",resource="pods"}')).toEqual([
      'apiserver_resource_objects{group="",resource="pods"} 3',
    ]);
    expect(await lines('apiserver_storage_objects{resource="deployments.apps"}')).toEqual([
      'apiserver_storage_objects{resource="deployments.apps"} 0',
    ]);
    expect(await lines("process_resident_memory_bytes ")).toHaveLength(1);
  });
});
