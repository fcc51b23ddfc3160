import { Pods, ReplicaSets, ReplicationControllers } from "@fleetwright/kube";
import type { Pod, ReplicaSet, ReplicationController } from "@fleetwright/kube";
import { app, life, scenario, template } from "../scenario.ts";
import type { Named, Scenario, Steps } from "../scenario.ts";

type Spec = NonNullable<ReplicaSet["spec"]>;

const set = (spec: Partial<Spec> = {}): Named<ReplicaSet> => ({
  metadata: { name: "set" },
  spec: { replicas: 2, selector: { matchLabels: app("set") }, template: template("set"), ...spec },
});
const controller = (replicas = 2): Named<ReplicationController> => ({
  metadata: { name: "rc" },
  spec: { replicas, selector: app("rc"), template: template("rc") },
});
const pod = (
  name: string,
  labels: Readonly<Record<string, string>>,
  annotations: Readonly<Record<string, string>> = {},
): Named<Pod> => ({
  metadata: { name, labels, annotations },
  spec: { containers: [{ name: "main", image: "registry.example/main:1" }] },
});
const made =
  (spec: Partial<Spec> = {}) =>
  (steps: Steps): Promise<void> =>
    steps.create(ReplicaSets, set(spec));
const scaled = (replicas: number) => (steps: Steps) => steps.patch(ReplicaSets, "set", { spec: { replicas } });

export const replicaSetScenarios: readonly Scenario[] = [
  scenario("rs-create", made()),
  scenario("rs-scale-up", made({ replicas: 1 }), scaled(3)),
  scenario("rs-scale-down", made({ replicas: 3 }), scaled(0)),
  scenario("rs-many", made({ replicas: 12 })),
  scenario("rs-pod-deleted", made(), async (steps) => {
    const [first = ""] = await steps.names(Pods);
    await steps.remove(Pods, first);
  }),
  scenario("rs-min-ready", made({ minReadySeconds: 2 }), (steps) => steps.pass(4_000)),
  scenario("rs-adopts", (steps) => steps.create(Pods, pod("alone", app("set"))), made()),
  scenario("rs-adopts-too-many", (steps) => steps.create(Pods, pod("alone", app("set"))), made({ replicas: 0 })),
  scenario("rs-releases", made({ replicas: 1 }), async (steps) => {
    const [first = ""] = await steps.names(Pods);
    await steps.patch(Pods, first, { metadata: { labels: { app: "other" } } });
  }),
  scenario(
    "rs-cheap-pod-goes",
    (steps) => steps.create(Pods, pod("cheap", app("set"), { "controller.kubernetes.io/pod-deletion-cost": "-10" })),
    made({ replicas: 3 }),
    scaled(2),
  ),
  scenario(
    "rs-unready-goes-first",
    (steps) => steps.create(Pods, pod("slow", app("set"), life.neverReady)),
    made({ replicas: 3 }),
    scaled(2),
  ),
  scenario("rs-pods-fail", made({ replicas: 1, template: template("set", { annotations: life.runFor("2s") }) })),
  scenario("rs-delete", made(), (steps) => steps.remove(ReplicaSets, "set")),
  scenario("rs-delete-orphan", made(), (steps) => steps.remove(ReplicaSets, "set", "Orphan")),
  scenario("rs-delete-foreground", made(), (steps) => steps.remove(ReplicaSets, "set", "Foreground")),
  scenario("rs-bad-pods", made({ template: template("set", { spec: { priorityClassName: "absent" } }) })),
  scenario("rc-create", (steps) => steps.create(ReplicationControllers, controller())),
  scenario(
    "rc-scale",
    (steps) => steps.create(ReplicationControllers, controller(1)),
    (steps) => steps.patch(ReplicationControllers, "rc", { spec: { replicas: 3 } }, "scale"),
  ),
  scenario(
    "rc-delete",
    (steps) => steps.create(ReplicationControllers, controller()),
    (steps) => steps.remove(ReplicationControllers, "rc", "Background"),
  ),
  scenario(
    "rc-adopts",
    (steps) => steps.create(Pods, pod("alone", app("rc"))),
    (steps) => steps.create(ReplicationControllers, controller(1)),
  ),
];
