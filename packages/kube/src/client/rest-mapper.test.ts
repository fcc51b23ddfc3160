import { describe, expect, it } from "vitest";
import { ApiError, FleetwrightError } from "../core/errors.ts";
import { VirtualClock } from "../core/virtual-clock.ts";
import type { Client } from "./client.ts";
import { discover } from "./discovery.ts";
import { createRestMapper } from "./rest-mapper.ts";
import { rejection } from "./scripted-server.ts";

const resource = (kind: string, resource: string, shortNames: readonly string[] = []): object => ({
  resource,
  responseKind: { group: "", version: "", kind },
  scope: kind === "Node" ? "Cluster" : "Namespaced",
  singularResource: kind.toLowerCase(),
  verbs: ["get", "list"],
  shortNames,
});

const group = (name: string, ...versions: readonly [string, readonly object[]][]): object => ({
  metadata: name === "" ? {} : { name },
  versions: versions.map(([version, resources]) => ({ version, resources, freshness: "Current" })),
});

const list = (...items: readonly object[]): object => ({ kind: "APIGroupDiscoveryList", items });

/** A server whose answers stand in a table; counts what it was asked. */
function answering(answers: Record<string, unknown>): { client: Pick<Client, "raw">; asked: string[] } {
  const asked: string[] = [];
  return {
    asked,
    client: {
      async raw(_method, path) {
        asked.push(path);
        const answer = answers[path];
        if (answer instanceof Error) throw answer;
        return answer;
      },
    },
  };
}

const core = list(
  group("", ["v1", [resource("Pod", "pods", ["po"]), resource("Node", "nodes"), resource("Event", "events", ["ev"])]]),
);
const named = list(
  group("apps", ["v1", [resource("Deployment", "deployments", ["deploy"])]]),
  group("events.k8s.io", ["v1", [resource("Event", "events", ["ev"])]]),
  group(
    "autoscaling",
    ["v2", [resource("HorizontalPodAutoscaler", "horizontalpodautoscalers", ["hpa"])]],
    ["v1", [resource("HorizontalPodAutoscaler", "horizontalpodautoscalers", ["hpa"])]],
  ),
  group("fleetwright.dev", ["v1alpha1", [resource("BizGroupResourceQuota", "bizgroupresourcequotas", ["bizrq"])]]),
);

describe("a word", () => {
  it.each([
    ["pods", "/v1 Pod"],
    ["pod", "/v1 Pod"],
    ["Pod", "/v1 Pod"],
    ["po", "/v1 Pod"],
    ["pods.v1.", "/v1 Pod"],
    ["deploy", "apps/v1 Deployment"],
    ["deployments.apps", "apps/v1 Deployment"],
    ["deployments.v1.apps", "apps/v1 Deployment"],
    ["Deployment.v1.apps", "apps/v1 Deployment"],
    ["events", "/v1 Event"],
    ["events.events.k8s.io", "events.k8s.io/v1 Event"],
    ["events.v1.events.k8s.io", "events.k8s.io/v1 Event"],
    ["hpa", "autoscaling/v2 HorizontalPodAutoscaler"],
    ["hpa.v1.autoscaling", "autoscaling/v1 HorizontalPodAutoscaler"],
    ["bizrq", "fleetwright.dev/v1alpha1 BizGroupResourceQuota"],
    ["bizrq.fleetwright", "fleetwright.dev/v1alpha1 BizGroupResourceQuota"],
    ["bizgroupresourcequotas.fleetwright.dev", "fleetwright.dev/v1alpha1 BizGroupResourceQuota"],
  ])("%s is %s", async (word, expected) => {
    const { client } = answering({ "/api": core, "/apis": named });
    const found = await createRestMapper(client).resourceFor(word);
    expect(`${found.group}/${found.version} ${found.kind}`).toBe(expected);
  });

  it.each(["nothing", "deployments.batch", "deployments.v2.apps", "pods.apps", ""])(
    "%j matches nothing",
    async (word) => {
      const { client } = answering({ "/api": core, "/apis": named });
      const error = await rejection(createRestMapper(client).resourceFor(word));
      expect(error).toBeInstanceOf(FleetwrightError);
      expect(error).toMatchObject({ code: "FW_KUBE_NO_MATCH" });
    },
  );
});

describe("what was discovered", () => {
  it("is asked for once, and again for an unknown word when it is no longer fresh", async () => {
    const answers: Record<string, unknown> = { "/api": core, "/apis": list() };
    const { client, asked } = answering(answers);
    const clock = new VirtualClock();
    const mapper = createRestMapper(client, { clock });
    await mapper.resourceFor("pods");
    await mapper.kindFor({ apiVersion: "v1", kind: "Node" });
    await rejection(mapper.resourceFor("bizrq"));
    expect(asked).toHaveLength(2);
    answers["/apis"] = named;
    await clock.advance(5_000);
    expect(await mapper.resourceFor("bizrq")).toMatchObject({ kind: "BizGroupResourceQuota" });
    expect(asked).toHaveLength(4);
  });

  it("is forgotten on request", async () => {
    const { client, asked } = answering({ "/api": core, "/apis": named });
    const mapper = createRestMapper(client);
    await mapper.all();
    mapper.invalidate();
    await mapper.all();
    expect(asked).toHaveLength(4);
  });

  it("a failed discovery is not kept", async () => {
    const answers: Record<string, unknown> = { "/api": new Error("down"), "/apis": named };
    const mapper = createRestMapper(answering(answers).client);
    expect((await rejection(mapper.resourceFor("pods"))).message).toBe("down");
    answers["/api"] = core;
    expect(await mapper.resourceFor("pods")).toMatchObject({ kind: "Pod" });
  });
});

describe("a server without aggregated discovery", () => {
  const plainResource = (name: string, kind: string): object => ({
    name,
    kind,
    singularName: kind.toLowerCase(),
    namespaced: true,
    verbs: ["get"],
  });

  it("is asked for each group version, preferred versions first; one that is down hides no other", async () => {
    const { client } = answering({
      "/api": { kind: "APIVersions", versions: ["v1"] },
      "/apis": {
        kind: "APIGroupList",
        groups: [
          { name: "apps", versions: [{ version: "v1beta1" }, { version: "v1" }], preferredVersion: { version: "v1" } },
          { name: "metrics.k8s.io", versions: [{ version: "v1beta1" }] },
          { name: "gone.example", versions: [{ version: "v1" }] },
        ],
      },
      "/api/v1": { resources: [plainResource("pods", "Pod"), plainResource("pods/status", "Pod")] },
      "/apis/apps/v1": {
        resources: [plainResource("deployments", "Deployment"), plainResource("deployments/scale", "Scale")],
      },
      "/apis/apps/v1beta1": { resources: [plainResource("deployments", "Deployment")] },
      "/apis/metrics.k8s.io/v1beta1": new ApiError(503, { message: "unavailable" }),
      "/apis/gone.example/v1": new ApiError(404, { message: "not found", reason: "NotFound" }),
    });
    const discovery = await discover(client);
    expect(discovery.unavailable).toEqual(["metrics.k8s.io/v1beta1"]);
    expect(discovery.groups.map(({ name, versions }) => [name, versions.map(({ version }) => version)])).toEqual([
      ["", ["v1"]],
      ["apps", ["v1", "v1beta1"]],
      ["metrics.k8s.io", ["v1beta1"]],
      ["gone.example", ["v1"]],
    ]);
    expect(discovery.groups[1]?.versions[0]?.resources).toEqual([
      {
        group: "apps",
        version: "v1",
        kind: "Deployment",
        plural: "deployments",
        namespaced: true,
        singular: "deployment",
        verbs: ["get"],
        categories: [],
        subresources: ["scale"],
      },
    ]);
    const error = await rejection(createRestMapper(client).resourceFor("nodemetrics"));
    expect(error.message).toContain("(metrics.k8s.io/v1beta1 did not answer)");
  });
});
