import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import type { Draft } from "../machinery/draft.ts";
import { autoscalerConversion } from "./autoscaling-conversion.ts";

/** One autoscaler as kube-apiserver 1.36.3 serves it in both versions. */
const { v1, v2 } = JSON.parse(readFileSync(new URL("testdata/autoscaler-versions.json", import.meta.url), "utf8")) as {
  readonly v1: Draft;
  readonly v2: Draft;
};

it("says in v1 what the real server says of a v2 autoscaler", async () => {
  expect(await autoscalerConversion.fromStorage([v2])).toEqual([v1]);
});

it("gives every field back, metrics for CPU last", async () => {
  const [again] = await autoscalerConversion.toStorage([v1]);
  const metrics = (v2["spec"] as unknown as { readonly metrics: readonly Draft[] }).metrics;
  const isCpu = (metric: Draft): boolean => metric["type"] === "Resource";
  expect(again).toEqual({
    ...v2,
    spec: {
      ...(v2["spec"] as Draft),
      metrics: [...metrics.filter((metric) => !isCpu(metric)), ...metrics.filter(isCpu)],
    },
  });
});
