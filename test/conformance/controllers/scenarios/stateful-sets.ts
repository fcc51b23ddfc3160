import { Pods, StatefulSets } from "@fleetwright/kube";
import type { StatefulSet } from "@fleetwright/kube";
import { app, life, scenario, template } from "../scenario.ts";
import type { Named, Scenario, Steps } from "../scenario.ts";

type Spec = NonNullable<StatefulSet["spec"]>;

const set = (spec: Partial<Spec> = {}): Named<StatefulSet> => ({
  metadata: { name: "db" },
  spec: { replicas: 3, serviceName: "db", selector: { matchLabels: app("db") }, template: template("db"), ...spec },
});
const made =
  (spec: Partial<Spec> = {}) =>
  (steps: Steps): Promise<void> =>
    steps.create(StatefulSets, set(spec));
const changed = (patch: object) => (steps: Steps) => steps.patch(StatefulSets, "db", patch);
const annotated = (value: string) => changed({ spec: { template: { metadata: { annotations: { version: value } } } } });
const scaled = (replicas: number) => changed({ spec: { replicas } });
const parallel: Partial<Spec> = { podManagementPolicy: "Parallel" };
const rolling = (rollingUpdate: object): Partial<Spec> => ({
  updateStrategy: { type: "RollingUpdate", rollingUpdate },
});

export const statefulSetScenarios: readonly Scenario[] = [
  scenario("sts-create", made()),
  scenario("sts-create-slow", made({ template: template("db", { annotations: life.readyAfter("2s") }) }), (steps) =>
    steps.pass(8_000),
  ),
  scenario("sts-parallel", made(parallel)),
  scenario("sts-parallel-stuck", made({ ...parallel, template: template("db", { annotations: life.neverReady }) })),
  scenario("sts-ordered-stuck", made({ template: template("db", { annotations: life.neverReady }) })),
  scenario("sts-scale-up", made({ replicas: 1 }), scaled(3)),
  scenario("sts-scale-down", made(), scaled(1)),
  scenario("sts-parallel-scale-down", made(parallel), scaled(0)),
  scenario("sts-roll", made(), annotated("2")),
  scenario("sts-roll-parallel", made(parallel), annotated("2")),
  scenario(
    "sts-partition",
    made(rolling({ partition: 2 })),
    annotated("2"),
    changed({ spec: { updateStrategy: { rollingUpdate: { partition: 0 } } } }),
  ),
  scenario("sts-partition-recreate", made(rolling({ partition: 2 })), annotated("2"), (steps) =>
    steps.remove(Pods, "db-0"),
  ),
  scenario("sts-on-delete", made({ updateStrategy: { type: "OnDelete" } }), annotated("2"), (steps) =>
    steps.remove(Pods, "db-1"),
  ),
  scenario("sts-roll-back", made({ replicas: 2 }), annotated("2"), annotated("1"), annotated("2")),
  scenario("sts-pod-deleted", made(), (steps) => steps.remove(Pods, "db-1")),
  scenario("sts-start-ordinal", made({ replicas: 2, ordinals: { start: 5 } })),
  scenario("sts-min-ready", made({ replicas: 2, minReadySeconds: 2 }), (steps) => steps.pass(6_000)),
  scenario("sts-delete", made({ replicas: 2 }), (steps) => steps.remove(StatefulSets, "db")),
  scenario("sts-delete-orphan", made({ replicas: 2 }), (steps) => steps.remove(StatefulSets, "db", "Orphan")),
  scenario(
    "sts-history",
    made({ replicas: 1, revisionHistoryLimit: 1 }),
    annotated("2"),
    annotated("3"),
    annotated("4"),
  ),
];
