import { CronJobs, Jobs, Pods } from "@fleetwright/kube";
import type { Job } from "@fleetwright/kube";
import { life, scenario } from "../scenario.ts";
import type { Named, Scenario, Steps } from "../scenario.ts";

type Spec = NonNullable<Job["spec"]>;

const podTemplate = (annotations: Readonly<Record<string, string>>, restartPolicy = "Never") => ({
  metadata: { annotations },
  spec: { restartPolicy, containers: [{ name: "main", image: "registry.example/main:1" }] },
});
const quick = podTemplate(life.runFor("1s"));
const long = podTemplate(life.runFor("1h"));
const failing = podTemplate(life.fails("3"));
const job = (spec: Partial<Spec> = {}): Named<Job> => ({
  metadata: { name: "job" },
  spec: { template: quick, ...spec },
});
const made =
  (spec: Partial<Spec> = {}) =>
  (steps: Steps): Promise<void> =>
    steps.create(Jobs, job(spec));
const later = (ms: number) => (steps: Steps) => steps.pass(ms);
/** One step: what runs one after another may be quiet in between. */
const then =
  (step: (steps: Steps) => Promise<void>, ms: number) =>
  async (steps: Steps): Promise<void> => {
    await step(steps);
    await steps.pass(ms);
  };
const changed = (spec: object) => (steps: Steps) => steps.patch(Jobs, "job", { spec });
const indexed = (completions: number, parallelism: number): Partial<Spec> => ({
  completionMode: "Indexed",
  completions,
  parallelism,
});

export const jobScenarios: readonly Scenario[] = [
  scenario("job-once", made(), later(3_000)),
  scenario("job-three", made({ completions: 3, parallelism: 3 }), later(3_000)),
  scenario("job-one-after-another", then(made({ completions: 3, parallelism: 1 }), 15_000)),
  scenario("job-work-queue", made({ parallelism: 2 }), later(3_000)),
  scenario("job-none", made({ completions: 0 })),
  scenario("job-no-parallelism", made({ parallelism: 0 })),
  scenario("job-parallelism-up", made({ completions: 4, parallelism: 1, template: long }), changed({ parallelism: 3 })),
  scenario(
    "job-parallelism-down",
    made({ completions: 4, parallelism: 3, template: long }),
    changed({ parallelism: 1 }),
  ),
  scenario("job-fails-at-once", made({ backoffLimit: 0, template: failing }), later(3_000)),
  scenario("job-fails-twice", made({ backoffLimit: 1, template: failing }), later(16_000)),
  scenario(
    "job-restarts-in-place",
    made({ backoffLimit: 1, template: podTemplate(life.fails("1"), "OnFailure") }),
    later(6_000),
  ),
  scenario("job-deadline", made({ activeDeadlineSeconds: 3, template: long }), later(5_000)),
  scenario("job-indexed", made(indexed(3, 3)), later(3_000)),
  scenario("job-indexed-narrow", then(made(indexed(4, 2)), 15_000)),
  scenario("job-indexed-fails", made({ ...indexed(2, 2), backoffLimit: 0, template: failing }), later(3_000)),
  scenario("job-per-index", made({ ...indexed(2, 2), backoffLimitPerIndex: 0, template: failing }), later(3_000)),
  scenario(
    "job-max-failed-indexes",
    made({ ...indexed(3, 1), backoffLimitPerIndex: 0, maxFailedIndexes: 0, template: failing }),
    later(6_000),
  ),
  scenario(
    "job-policy-fails",
    made({
      backoffLimit: 6,
      template: failing,
      podFailurePolicy: { rules: [{ action: "FailJob", onExitCodes: { operator: "In", values: [3] } }] },
    }),
    later(3_000),
  ),
  scenario(
    "job-policy-other-code",
    made({
      backoffLimit: 0,
      template: failing,
      podFailurePolicy: { rules: [{ action: "FailJob", onExitCodes: { operator: "In", values: [4] } }] },
    }),
    later(3_000),
  ),
  scenario(
    "job-policy-fails-index",
    made({
      ...indexed(2, 2),
      backoffLimitPerIndex: 3,
      template: failing,
      podFailurePolicy: { rules: [{ action: "FailIndex", onExitCodes: { operator: "In", values: [3] } }] },
    }),
    later(3_000),
  ),
  scenario(
    "job-success-index",
    made({ ...indexed(3, 1), successPolicy: { rules: [{ succeededIndexes: "0" }] } }),
    later(4_000),
  ),
  scenario(
    "job-success-count",
    made({ ...indexed(4, 2), successPolicy: { rules: [{ succeededCount: 2 }] } }),
    later(4_000),
  ),
  scenario("job-suspended", made({ suspend: true })),
  scenario("job-suspended-resumed", made({ suspend: true }), changed({ suspend: false }), later(3_000)),
  scenario("job-suspend-running", made({ template: long, parallelism: 2, completions: 2 }), changed({ suspend: true })),
  scenario("job-ttl", made({ ttlSecondsAfterFinished: 2 }), later(6_000)),
  scenario("job-ttl-none", made({ ttlSecondsAfterFinished: 0 }), later(4_000)),
  scenario("job-managed-by-other", made({ managedBy: "example.com/other" })),
  scenario("job-delete-background", made({ template: long }), (steps) => steps.remove(Jobs, "job", "Background")),
  scenario("job-delete-foreground", made({ template: long }), (steps) => steps.remove(Jobs, "job", "Foreground")),
  scenario("job-delete-orphan", made({ template: long }), (steps) => steps.remove(Jobs, "job", "Orphan")),
  scenario("job-pod-deleted", made({ template: long }), async (steps) => {
    const [first = ""] = await steps.names(Pods);
    await steps.remove(Pods, first);
  }),
  scenario("job-replace-failed", made({ template: long, podReplacementPolicy: "Failed" }), async (steps) => {
    const [first = ""] = await steps.names(Pods);
    await steps.remove(Pods, first);
  }),
  scenario("cron-suspended", (steps) =>
    steps.create(CronJobs, {
      metadata: { name: "cron" },
      spec: { schedule: "* * * * *", suspend: true, jobTemplate: { spec: { template: quick } } },
    }),
  ),
  scenario("cron-never", (steps) =>
    steps.create(CronJobs, {
      metadata: { name: "cron" },
      spec: { schedule: "0 0 31 2 *", jobTemplate: { spec: { template: quick } } },
    }),
  ),
];
