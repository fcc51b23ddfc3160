import type { Pod } from "@fleetwright/kube";
import { describe, expect, it } from "vitest";
import { copyJson, untyped, type Mutable } from "../machinery/draft.ts";
import { defaultPod } from "./pod-defaults.ts";
import { resizeErrors } from "./pod-resize.ts";
import { ephemeralContainersErrors, podUpdateErrors } from "./pod-update-validation.ts";

function podOf(spec: Partial<NonNullable<Pod["spec"]>> = {}): Mutable<Pod> {
  const pod = copyJson({
    metadata: { name: "p", namespace: "default" },
    spec: { containers: [{ name: "main", image: "a" }], serviceAccountName: "default", ...spec },
  }) as unknown as Mutable<Pod>;
  defaultPod(pod);
  pod.status = { phase: "Pending", qosClass: "BestEffort" };
  return pod;
}

type Spec = Mutable<NonNullable<Pod["spec"]>>;
const changed = (old: Pod, change: (spec: Spec) => void): Mutable<Pod> => {
  const pod = copyJson(old) as Mutable<Pod>;
  if (pod.spec) change(pod.spec);
  return pod;
};
const texts = (errors: readonly { field: string; message: string }[]): string[] =>
  errors.map(({ field, message }) => `${field}: ${message}`);

const onlyUpdatable =
  "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n";

describe("updates of pods", () => {
  const gated = { schedulingGates: [{ name: "a" }], nodeSelector: { a: "b" } };
  const cases: readonly [string, Partial<Spec>, (spec: Spec) => void, readonly string[]][] = [
    ["take another image", {}, (spec) => Object.assign(spec.containers[0] ?? {}, { image: "b" }), []],
    [
      "want an image",
      {},
      (spec) => Object.assign(spec.containers[0] ?? {}, { image: "" }),
      ["spec.containers[0].image: Required value", "spec.containers[0].image: Required value"],
    ],
    [
      "take no other containers",
      {},
      (spec) => spec.containers.push({ ...copyJson(spec.containers[0] ?? { name: "" }), name: "two" }),
      ["spec.containers: Forbidden: pod updates may not add or remove containers"],
    ],
    ["take a shorter deadline", { activeDeadlineSeconds: 10 }, (spec) => void (spec.activeDeadlineSeconds = 5), []],
    [
      "take no longer deadline",
      { activeDeadlineSeconds: 10 },
      (spec) => void (spec.activeDeadlineSeconds = 50),
      ["spec.activeDeadlineSeconds: Invalid value: 50: must be less than or equal to previous value"],
    ],
    [
      "keep a deadline",
      { activeDeadlineSeconds: 10 },
      (spec) => void delete spec.activeDeadlineSeconds,
      ["spec.activeDeadlineSeconds: Invalid value: null: must not update from a positive integer to nil value"],
    ],
    [
      "take no new gates",
      {},
      (spec) => void (spec.schedulingGates = [{ name: "n" }]),
      ["spec.schedulingGates[0].name: Forbidden: only deletion is allowed, but found new scheduling gate 'n'"],
    ],
    ["open gates", gated, (spec) => void delete spec.schedulingGates, []],
    [
      "keep what a gated pod selects",
      gated,
      (spec) => void (spec.nodeSelector = { a: "c" }),
      [
        'spec.nodeSelector: Invalid value: {"a":"c"}: only additions to spec.nodeSelector are allowed (no mutations or deletions)',
      ],
    ],
    ["narrow what a gated pod selects", gated, (spec) => void (spec.nodeSelector = { a: "b", c: "d" }), []],
    [
      "add tolerations",
      { tolerations: [{ key: "a", operator: "Exists" }] },
      (spec) => spec.tolerations?.push({ key: "b", operator: "Exists" }),
      [],
    ],
    [
      "keep tolerations",
      { tolerations: [{ key: "a", operator: "Exists" }] },
      (spec) => void (spec.tolerations = []),
      ["spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds"],
    ],
    [
      "show what else would change",
      {},
      (spec) => void (spec.dnsPolicy = "Default"),
      [
        `${onlyUpdatable}@@ -9,7 +9,7 @@\n    "terminationMessagePolicy": "File"\n   }\n  ],\n- "dnsPolicy": "ClusterFirst",\n+ "dnsPolicy": "Default",\n  "enableServiceLinks": true,\n  "restartPolicy": "Always",\n  "schedulerName": "default-scheduler",\n`,
      ],
    ],
  ];
  it.each(cases)("%s", (_title, spec, change, expected) => {
    const old = podOf(spec);
    expect(texts(podUpdateErrors(changed(old, change), old))).toEqual(expected);
  });
});

describe("ephemeral containers", () => {
  const old = podOf({ ephemeralContainers: [{ name: "e", image: "e" }] });
  it("may be added", () => {
    const pod = changed(old, (spec) => {
      spec.ephemeralContainers?.push({ name: "f", image: "f" });
    });
    defaultPod(pod);
    expect(ephemeralContainersErrors(pod, old)).toEqual([]);
  });
  it("may not be removed", () => {
    expect(
      texts(
        ephemeralContainersErrors(
          changed(old, (spec) => void delete spec.ephemeralContainers),
          old,
        ),
      ),
    ).toEqual(['spec.ephemeralContainers: Forbidden: existing ephemeral containers "e" may not be removed\n']);
  });
});

describe("resizing", () => {
  const resources = { requests: { cpu: "1" }, limits: { cpu: "2" } };
  const old = podOf({ containers: [{ name: "main", image: "a", resources }] });
  if (old.status) old.status.qosClass = "Burstable";
  const resized = (next: object): string[] =>
    texts(
      resizeErrors(
        changed(old, (spec) => void Object.assign(untyped(spec.containers[0] ?? {}), { resources: next })),
        old,
      ),
    );
  it("changes CPU and memory", () => {
    expect(resized({ requests: { cpu: "1500m" }, limits: { cpu: "2" } })).toEqual([]);
  });
  it("keeps the class of service", () => {
    const amounts = { cpu: "2", memory: "1Gi" };
    expect(resized({ requests: amounts, limits: amounts })).toEqual([
      'spec: Invalid value: "Burstable": Pod QOS Class may not change as a result of resizing',
    ]);
  });
  it("takes nothing away", () => {
    expect(resized({ requests: { cpu: "1" } })).toEqual([
      "spec.containers[0].resources.limits: Forbidden: resource limits cannot be removed",
    ]);
  });
  it("leaves devices alone", () => {
    const gpu = { "nvidia.com/gpu": "1" };
    expect(resized({ requests: { cpu: "1", ...gpu }, limits: { cpu: "2", ...gpu } })).toEqual([
      "spec: Forbidden: only cpu and memory resources are mutable",
    ]);
  });
});
