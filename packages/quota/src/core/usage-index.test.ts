import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { groupLabel } from "@fleetwright/api";
import type { KubeObject } from "@fleetwright/kube";
import { isZero } from "./amounts.ts";
import { noDefaults } from "./pod-template.ts";
import { UsageIndex } from "./usage-index.ts";
import { builtInKinds, cronJobs, deployments, jobs, pods, replicaSets, type WorkloadKind } from "./workload-kind.ts";

/** Kinds by letter, with who may own whom, so that random changes make and break chains of owners. */
const kinds = { d: deployments, r: replicaSets, p: pods, c: cronJobs, j: jobs } as const satisfies Record<
  string,
  WorkloadKind
>;
const ownerKinds: Readonly<Record<keyof typeof kinds, readonly (keyof typeof kinds)[]>> = {
  d: [],
  r: ["d"],
  p: ["r", "j"],
  c: [],
  j: ["c"],
};

interface Change {
  readonly kind: keyof typeof kinds;
  readonly id: number;
  readonly owner: number;
  readonly group: string;
  readonly replicas: number;
  readonly app: string;
  readonly gone: boolean;
}

const changes: fc.Arbitrary<Change> = fc.record({
  kind: fc.constantFrom("d", "r", "p", "c", "j"),
  id: fc.nat(2),
  owner: fc.nat(3),
  group: fc.constantFrom("a", "b"),
  replicas: fc.nat(3),
  app: fc.constantFrom("x", "y"),
  gone: fc.boolean(),
});

const uidOf = (kind: string, id: number): string => `${kind}${id}`;

function objectOf({ kind, id, owner, group, replicas, app }: Change, version: number): KubeObject {
  const by = ownerKinds[kind][owner % 2];
  const ownerKind = by === undefined || owner === 3 ? undefined : kinds[by].resource;
  const template = { spec: { containers: [{ name: "main", resources: { limits: { cpu: "1" } } }] } };
  const common = { selector: { matchLabels: { app: "x" } }, template };
  const spec: Record<string, object> = {
    d: { ...common, replicas },
    r: { ...common, replicas },
    j: { ...common, parallelism: replicas },
    c: { concurrencyPolicy: replicas === 0 ? "Allow" : "Forbid", jobTemplate: { spec: common } },
    p: template.spec,
  };
  return {
    metadata: {
      name: uidOf(kind, id),
      uid: uidOf(kind, id),
      namespace: "ns",
      resourceVersion: String(version),
      creationTimestamp: `2026-01-01T00:00:0${id}Z`,
      labels: { app, [groupLabel]: group },
      ...(ownerKind && {
        ownerReferences: [
          {
            apiVersion: `${ownerKind.group}/v1`,
            kind: ownerKind.kind,
            name: uidOf(by ?? "", owner),
            uid: uidOf(by ?? "", owner),
            controller: true,
          },
        ],
      }),
    },
    spec: spec[kind],
  } as KubeObject;
}

const totalOf = (index: UsageIndex, group: string): Readonly<Record<string, bigint>> =>
  Object.fromEntries(
    [...index.view(group, () => "1").total("workloads")]
      .filter(([, amount]) => amount !== 0n)
      .toSorted(([a], [b]) => (a < b ? -1 : 1)),
  );

describe("the index", () => {
  it("holds after any changes what counting afresh would find, children of owners included", () => {
    fc.assert(
      fc.property(fc.array(changes, { maxLength: 40 }), (list) => {
        const index = new UsageIndex(builtInKinds, () => noDefaults);
        const present = new Map<string, readonly [WorkloadKind, KubeObject]>();
        list.forEach((change, step) => {
          const uid = uidOf(change.kind, change.id);
          if (change.gone) {
            present.delete(uid);
            index.remove(uid, String(step + 1), 0);
            return;
          }
          const object = objectOf(change, step + 1);
          present.set(uid, [kinds[change.kind], object]);
          index.upsert(kinds[change.kind], object);
        });
        const afresh = new UsageIndex(builtInKinds, () => noDefaults);
        // In another order: nothing may depend on who came first.
        for (const [kind, object] of [...present.values()].toReversed()) afresh.upsert(kind, object);
        for (const group of ["a", "b"]) expect(totalOf(index, group)).toEqual(totalOf(afresh, group));
      }),
      { numRuns: 500 },
    );
  });

  it("says at which version an object went, so that only older changes count as settled", () => {
    const index = new UsageIndex(builtInKinds, () => noDefaults);
    index.upsert(
      deployments,
      objectOf({ kind: "d", id: 0, owner: 3, group: "a", replicas: 2, app: "x", gone: false }, 5),
    );
    index.remove("d0", "9", 0);
    expect(index.sighting("d0")).toEqual({ version: "9" });
    expect(isZero(index.view("a", () => "9").total("workloads"))).toBe(true);
  });

  it("counts one object of a name: the newer, whichever news comes first", () => {
    const at = (uid: string, replicas: number, version: number): KubeObject => {
      const object = objectOf({ kind: "d", id: 0, owner: 3, group: "a", replicas, app: "x", gone: false }, version);
      return { ...object, metadata: { ...object.metadata, uid } };
    };
    const [old, recreated] = [at("old", 3, 9), at("new", 1, 10)];
    for (const order of [
      [old, recreated],
      [recreated, old],
    ]) {
      const index = new UsageIndex(builtInKinds, () => noDefaults);
      for (const object of order) index.upsert(deployments, object);
      expect(totalOf(index, "a")["limits.cpu"]).toBe(1_000_000_000n);
      // The late end of the old one takes nothing from the new one.
      index.remove("old", "9", 0);
      const slot = { kind: "deployments.apps", namespace: "ns", name: "d0" };
      expect(
        index
          .view("a", () => "10")
          .charge(slot)
          .get("limits.cpu"),
      ).toBe(1_000_000_000n);
    }
  });

  it("is not set back by a version that it has passed", () => {
    const index = new UsageIndex(builtInKinds, () => noDefaults);
    const at = (replicas: number, version: number): KubeObject =>
      objectOf({ kind: "d", id: 0, owner: 3, group: "a", replicas, app: "x", gone: false }, version);
    index.upsert(deployments, at(3, 10));
    index.upsert(deployments, at(1, 9));
    expect(totalOf(index, "a")["limits.cpu"]).toBe(3_000_000_000n);
  });
});
