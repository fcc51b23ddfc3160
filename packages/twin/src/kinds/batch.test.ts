import type { Job } from "@fleetwright/kube";
import { describe, expect, it } from "vitest";
import { typed } from "../machinery/draft.ts";
import type { Draft } from "../machinery/draft.ts";
import type { RequestContext } from "../machinery/request.ts";
import { jobStrategy } from "./batch.ts";

/** Defaulted and prepared as the pipeline does it at creation. */
function created(labels: Draft | undefined, templateLabels: Draft | undefined): Job {
  const job = typed<Job>({
    metadata: { name: "j", uid: "1", ...(labels === undefined ? {} : { labels }) },
    spec: {
      template: {
        metadata: templateLabels === undefined ? {} : { labels: templateLabels },
        spec: { restartPolicy: "Never", containers: [{ name: "c", image: "x" }] },
      },
    },
  });
  jobStrategy.defaults?.(job as never);
  jobStrategy.prepareForCreate?.(job as never, {} as RequestContext);
  return job as Job;
}

describe("a new job's labels (as kube-apiserver 1.36.3 answered)", () => {
  const generated = {
    "batch.kubernetes.io/controller-uid": "1",
    "batch.kubernetes.io/job-name": "j",
    "controller-uid": "1",
    "job-name": "j",
  };

  it.each([
    ["its template's, generated ones included, where nobody gave any", undefined, undefined, generated],
    ["its template's where only that has some", undefined, { a: "b" }, { a: "b", ...generated }],
    ["its own where it has some", { c: "d" }, { a: "b" }, { c: "d" }],
  ])("are %s", (_, labels, templateLabels, expected) => {
    const job = created(labels, templateLabels);
    expect(job.metadata.labels).toEqual(expected);
    expect(job.spec?.template.metadata?.labels).toEqual({ ...templateLabels, ...generated });
  });
});
