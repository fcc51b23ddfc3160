import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { expect, it } from "vitest";
import * as kube from "@fleetwright/kube";

const folder = fileURLToPath(new URL("../../../shared/fixtures/kubernetes-1.36/", import.meta.url));

interface AggregatedDiscovery {
  readonly items: readonly {
    readonly metadata?: { readonly name?: string };
    readonly versions: readonly {
      readonly version: string;
      readonly resources: readonly {
        readonly resource: string;
        readonly scope: "Namespaced" | "Cluster";
        readonly responseKind?: { readonly kind: string };
        readonly shortNames?: readonly string[];
      }[];
    }[];
  }[];
}

const isResource = (value: unknown): value is kube.Resource =>
  typeof value === "object" && value !== null && "plural" in value && "namespaced" in value && "kind" in value;

it("describes every built-in kind as a server recorded by others does", (context) => {
  if (!existsSync(folder)) return context.skip("no fixtures beside the checkout");
  const ours = new Map(
    Object.values(kube)
      .filter(isResource)
      .map((resource) => [`${resource.group}/${resource.version}/${resource.plural}`, resource]),
  );
  const read = (name: string): AggregatedDiscovery =>
    JSON.parse(gunzipSync(readFileSync(`${folder}${name}.json.gz`)).toString()) as AggregatedDiscovery;
  const compared: string[] = [];
  for (const document of [read("discovery-api"), read("discovery-apis")]) {
    for (const { metadata, versions } of document.items) {
      for (const { version, resources } of versions) {
        for (const { resource, scope, responseKind, shortNames } of resources) {
          const key = `${metadata?.name ?? ""}/${version}/${resource}`;
          const known = ours.get(key);
          if (!known) continue;
          compared.push(key);
          expect.soft(known, key).toMatchObject({ kind: responseKind?.kind, namespaced: scope === "Namespaced" });
          expect.soft(known.shortNames ?? [], key).toEqual(shortNames ?? []);
        }
      }
    }
  }
  expect(compared.length).toBe(ours.size);
  expect(compared.length).toBeGreaterThan(50);
});
