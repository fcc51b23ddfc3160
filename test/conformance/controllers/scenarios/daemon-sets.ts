import { DaemonSets, Pods } from "@fleetwright/kube";
import type { DaemonSet } from "@fleetwright/kube";
import { app, life, scenario, template } from "../scenario.ts";
import type { Named, Scenario, Steps } from "../scenario.ts";

type Spec = NonNullable<DaemonSet["spec"]>;

const set = (spec: Partial<Spec> = {}): Named<DaemonSet> => ({
  metadata: { name: "agent" },
  spec: { selector: { matchLabels: app("agent") }, template: template("agent"), ...spec },
});
const made =
  (spec: Partial<Spec> = {}) =>
  (steps: Steps): Promise<void> =>
    steps.create(DaemonSets, set(spec));
const annotated = (value: string) => (steps: Steps) =>
  steps.patch(DaemonSets, "agent", { spec: { template: { metadata: { annotations: { version: value } } } } });
const on = (nodeSelector: Readonly<Record<string, string>>) => ({
  template: template("agent", { spec: { nodeSelector } }),
});

export const daemonSetScenarios: readonly Scenario[] = [
  scenario("ds-create", made()),
  scenario("ds-one-node", made(on({ "kubernetes.io/hostname": "node-2" }))),
  scenario("ds-nowhere", made(on({ absent: "yes" }))),
  scenario("ds-roll", made(), annotated("2")),
  scenario(
    "ds-roll-half",
    made({ updateStrategy: { type: "RollingUpdate", rollingUpdate: { maxUnavailable: "50%" } } }),
    annotated("2"),
  ),
  scenario(
    "ds-roll-surge",
    made({ updateStrategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } } }),
    annotated("2"),
  ),
  scenario("ds-on-delete", made({ updateStrategy: { type: "OnDelete" } }), annotated("2"), async (steps) => {
    const [first = ""] = await steps.names(Pods);
    await steps.remove(Pods, first);
  }),
  scenario("ds-pod-deleted", made(on({ "kubernetes.io/hostname": "node-1" })), async (steps) => {
    const [first = ""] = await steps.names(Pods);
    await steps.remove(Pods, first);
  }),
  scenario("ds-moves", made(on({ "kubernetes.io/hostname": "node-1" })), (steps) =>
    steps.patch(DaemonSets, "agent", {
      spec: { template: { spec: { nodeSelector: { "kubernetes.io/hostname": "node-3" } } } },
    }),
  ),
  scenario("ds-never-ready", made({ template: template("agent", { annotations: life.neverReady }) })),
  scenario("ds-delete", made(), (steps) => steps.remove(DaemonSets, "agent")),
  scenario("ds-delete-orphan", made(on({ "kubernetes.io/hostname": "node-0" })), (steps) =>
    steps.remove(DaemonSets, "agent", "Orphan"),
  ),
];
