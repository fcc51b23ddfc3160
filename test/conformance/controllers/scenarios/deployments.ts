import { Deployments, Pods, ReplicaSets } from "@fleetwright/kube";
import type { Deployment } from "@fleetwright/kube";
import { app, life, scenario, template } from "../scenario.ts";
import type { Named, Scenario, Steps } from "../scenario.ts";

type Spec = NonNullable<Deployment["spec"]>;

const deployment = (spec: Partial<Spec> = {}, name = "web"): Named<Deployment> => ({
  metadata: { name },
  spec: { replicas: 3, selector: { matchLabels: app(name) }, template: template(name), ...spec },
});

const made =
  (spec: Partial<Spec> = {}) =>
  (steps: Steps): Promise<void> =>
    steps.create(Deployments, deployment(spec));
const changed =
  (patch: object) =>
  (steps: Steps): Promise<void> =>
    steps.patch(Deployments, "web", patch);
const image = (text: string) =>
  changed({ spec: { template: { spec: { containers: [{ name: "main", image: text }] } } } });
const annotated = (value: string) => changed({ spec: { template: { metadata: { annotations: { version: value } } } } });
const scaled = (replicas: number) => (steps: Steps) => steps.patch(Deployments, "web", { spec: { replicas } }, "scale");
const rolling = (maxSurge: number | string, maxUnavailable: number | string): Partial<Spec> => ({
  strategy: { type: "RollingUpdate", rollingUpdate: { maxSurge, maxUnavailable } },
});
const stuck = { template: template("web", { annotations: life.neverReady }) };

export const deploymentScenarios: readonly Scenario[] = [
  scenario("deploy-create", made()),
  scenario("deploy-create-none", made({ replicas: 0 })),
  scenario("deploy-scale-up", made({ replicas: 1 }), scaled(4)),
  scenario("deploy-scale-down", made({ replicas: 4 }), scaled(1)),
  scenario("deploy-scale-to-zero-and-back", made({ replicas: 2 }), scaled(0), scaled(2)),
  scenario("deploy-roll", made(), image("registry.example/main:2")),
  scenario("deploy-roll-surge-one", made(rolling(1, 0)), annotated("2")),
  scenario("deploy-roll-unavailable-one", made(rolling(0, 1)), annotated("2")),
  scenario("deploy-roll-all-at-once", made(rolling("100%", "100%")), annotated("2")),
  scenario("deploy-roll-percent", made({ replicas: 4, ...rolling("50%", "25%") }), annotated("2")),
  scenario("deploy-recreate", made({ strategy: { type: "Recreate" } }), annotated("2")),
  scenario("deploy-roll-twice", made({ replicas: 2 }), annotated("2"), annotated("3")),
  scenario("deploy-roll-back", made({ replicas: 2 }), annotated("2"), annotated("1"), annotated("2")),
  scenario("deploy-undo", made({ replicas: 2 }), image("registry.example/main:2"), image("registry.example/main:1")),
  scenario("deploy-history-none", made({ replicas: 1, revisionHistoryLimit: 0 }), annotated("2"), annotated("3")),
  scenario(
    "deploy-history-one",
    made({ replicas: 1, revisionHistoryLimit: 1 }),
    annotated("2"),
    annotated("3"),
    annotated("4"),
  ),
  scenario(
    "deploy-pause",
    made({ replicas: 2 }),
    changed({ spec: { paused: true } }),
    annotated("2"),
    changed({ spec: { paused: false } }),
  ),
  scenario("deploy-pause-scale", made({ replicas: 2, paused: true }), scaled(4), changed({ spec: { paused: null } })),
  scenario("deploy-never-ready", made({ replicas: 2, ...stuck })),
  scenario("deploy-deadline", made({ replicas: 1, progressDeadlineSeconds: 3, ...stuck }), (steps) =>
    steps.pass(6_000),
  ),
  scenario(
    "deploy-stuck-roll",
    made({ replicas: 3 }),
    changed({ spec: { template: { metadata: { annotations: life.neverReady } } } }),
  ),
  scenario(
    "deploy-rollover",
    made({ replicas: 3 }),
    changed({ spec: { template: { metadata: { annotations: life.neverReady } } } }),
    changed({
      spec: { template: { metadata: { annotations: { "nodes.fleetwright.dev/ready-after": null, version: "3" } } } },
    }),
  ),
  scenario(
    "deploy-scale-in-roll",
    made({ replicas: 4, ...rolling(2, 1) }),
    changed({ spec: { template: { metadata: { annotations: life.neverReady } } } }),
    scaled(8),
  ),
  scenario("deploy-min-ready", made({ replicas: 2, minReadySeconds: 3 }), (steps) => steps.pass(5_000)),
  scenario("deploy-pod-deleted", made({ replicas: 2 }), async (steps) => {
    const [first = ""] = await steps.names(Pods);
    await steps.remove(Pods, first);
  }),
  scenario("deploy-set-deleted", made({ replicas: 2 }), async (steps) => {
    const [first = ""] = await steps.names(ReplicaSets);
    await steps.remove(ReplicaSets, first);
  }),
  scenario(
    "deploy-labels",
    made({ replicas: 1 }),
    changed({ metadata: { labels: { team: "a" }, annotations: { note: "x" } } }),
  ),
  scenario("deploy-delete-background", made({ replicas: 2 }), (steps) =>
    steps.remove(Deployments, "web", "Background"),
  ),
  scenario("deploy-delete-foreground", made({ replicas: 2 }), (steps) =>
    steps.remove(Deployments, "web", "Foreground"),
  ),
  scenario("deploy-delete-orphan", made({ replicas: 2 }), (steps) => steps.remove(Deployments, "web", "Orphan")),
  scenario(
    "deploy-adopts-orphans",
    made({ replicas: 2 }),
    (steps) => steps.remove(Deployments, "web", "Orphan"),
    made({ replicas: 3 }),
  ),
];
