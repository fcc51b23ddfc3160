import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { binaryNames, binarySources, kubernetesVersion } from "@fleetwright/lab";
import { goProblem, requiredGo } from "./go-toolchain.ts";

const moduleFile = (name: string): string => readFileSync(new URL(`control-plane/${name}`, import.meta.url), "utf8");

describe("Go on this machine", () => {
  it.each([
    ["go1.26.0", undefined],
    ["go1.26.8", undefined],
    ["go1.26.8 X:nodwarf5", undefined],
    ["go1.27", undefined],
    ["go2.0.0", undefined],
    ["go1.25.9", "Go 1.25.9 is too old: install Go 1.26.0 or later (https://go.dev/dl)"],
    ["go1.9", "Go 1.9 is too old: install Go 1.26.0 or later (https://go.dev/dl)"],
    ["go1.26rc1", "Go 1.26 is too old: install Go 1.26.1 or later (https://go.dev/dl)"],
    [undefined, "go not found: install Go 1.26.0 or later (https://go.dev/dl)"],
  ])("%s: %s", (found, problem) => {
    expect(goProblem(found, found === "go1.26rc1" ? "1.26.1" : "1.26.0")).toBe(problem);
  });

  it("is asked for by the module's own go line", () => {
    expect(requiredGo(moduleFile("go.mod"))).toMatch(/^1\.\d+\.\d+$/);
  });
});

describe("the pinned module", () => {
  it("builds the version that the lab looks for, staging modules included", () => {
    const goMod = moduleFile("go.mod");
    expect(goMod).toContain(`k8s.io/kubernetes ${kubernetesVersion}\n`);
    const staging = [...goMod.matchAll(/^\s*(?:replace )?(k8s\.io\/\S+) => \S+ (\S+)$/gm)];
    expect(staging.length).toBeGreaterThan(30);
    const expected = kubernetesVersion.replace(/^v1/, "v0");
    expect(staging.filter(([, , version]) => version !== expected)).toEqual([]);
  });

  it("names every program that is built", () => {
    const tools = moduleFile("tools.go");
    for (const name of binaryNames) expect(tools).toContain(`_ "${binarySources[name]}"`);
  });

  it("has a checksum for each", () => {
    const sums = moduleFile("go.sum");
    expect(sums).toContain(`k8s.io/kubernetes ${kubernetesVersion} h1:`);
    expect(sums).toContain("go.etcd.io/etcd/server/v3 v3.6.8 h1:");
  });
});
