import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Transport } from "@fleetwright/kube";
import { startTwin } from "@fleetwright/twin";
import type { Twin } from "@fleetwright/twin";

const folder = fileURLToPath(new URL("../../../shared/fixtures/kubernetes-1.36/", import.meta.url));

let twin: Twin;
let transport: Transport;
beforeAll(async () => {
  twin = await startTwin({ listen: false });
  transport = twin.transport();
});
afterAll(() => twin?.stop());

async function ask(path: string, accept: string): Promise<unknown> {
  const { body } = await transport({ method: "GET", path, headers: { accept } });
  const parts: Uint8Array[] = [];
  for await (const part of body) parts.push(part);
  return JSON.parse(Buffer.concat(parts).toString()) as unknown;
}

const recorded = (name: string): unknown => JSON.parse(gunzipSync(readFileSync(`${folder}${name}.json.gz`)).toString());

/** Words for people, which the twin leaves out. */
function bare(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(bare);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key, child]) => key !== "description" || typeof child !== "string")
      .map(([key, child]) => [key, bare(child)]),
  );
}

interface Aggregated {
  readonly items: readonly {
    readonly metadata?: { readonly name?: string };
    readonly versions: readonly { readonly version: string; readonly resources: readonly object[] }[];
  }[];
}

it("aggregated discovery describes each kind as a server recorded by others does", async (context) => {
  if (!existsSync(folder)) return context.skip("no fixtures beside the checkout");
  for (const name of ["api", "apis"]) {
    const theirs = recorded(`discovery-${name}`) as Aggregated;
    const ours = (await ask(
      `/${name}`,
      "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
    )) as Aggregated;
    const stable = (list: Aggregated) =>
      list.items.flatMap(({ metadata, versions }) =>
        versions
          .filter(({ version }) => /^v\d+$/.test(version))
          .map(({ version, resources }) => ({ group: metadata?.name ?? "", version, resources })),
      );
    expect(stable(ours)).toEqual(stable(theirs));
  }
});

it("OpenAPI has the schemas that a server recorded by others has", async (context) => {
  if (!existsSync(folder)) return context.skip("no fixtures beside the checkout");
  for (const path of ["api/v1", "apis/apps/v1", "apis/batch/v1", "apis/rbac.authorization.k8s.io/v1"]) {
    interface OpenApi {
      readonly components: { readonly schemas: Readonly<Record<string, unknown>> };
    }
    const theirs = recorded(`openapi-${path.replaceAll("/", "__")}`) as OpenApi;
    const ours = (await ask(`/openapi/v3/${path}`, "application/json")) as OpenApi;
    for (const [id, schema] of Object.entries(ours.components.schemas)) {
      // These two are said to be of every group that a server was built with.
      if (theirs.components.schemas[id] === undefined || /\.(?:DeleteOptions|WatchEvent)$/.test(id)) continue;
      expect(schema, `${path} ${id}`).toEqual(bare(theirs.components.schemas[id]));
    }
    expect(Object.keys(ours.components.schemas).length).toBeGreaterThan(5);
  }
});
