import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  addFinalizer,
  apiVersionOf,
  ApiError,
  applyJsonPatch,
  applyMergePatch,
  applyStrategicMergePatch,
  ConfigMaps,
  createClient,
  createJsonPatch,
  createMergePatch,
  createStrategicMergePatch,
  createThreeWayStrategicMergePatch,
  FleetwrightError,
  isBeingDeleted,
  isConflict,
  isInvalid,
  isNotFound,
  keyOf,
  patchSchemaOf,
  removeFinalizer,
  resourcePath,
  ServiceAccounts,
  TransportError,
  type Client,
  type KubeObject,
  type PatchBody,
  type PatchSchema,
} from "@fleetwright/kube";
import type { ControlPlane } from "@fleetwright/lab";
import { jsonTable, randomJsonCases } from "./patch/json-cases.ts";
import { mergeTable, randomMergeCases } from "./patch/merge-cases.ts";
import { randomStrategicCases, strategicTable } from "./patch/strategic-cases.ts";
import { changedObjects } from "./patch/changed-objects.ts";
import { subjects, type SubjectName } from "./patch/objects.ts";
import { kubectl as kubectlPath, serverName, startServer } from "../e2e/server.ts";

const seed = Number(process.env["SEED"] ?? 20261121);

type Outcome = { readonly object: unknown } | { readonly refused: string };

/** Two refusals are the same, whatever they say: a patch and a whole object are refused in different words. */
const comparable = (outcome: Outcome): unknown => ("refused" in outcome ? "refused" : outcome.object);

describe(`patches on the ${serverName} server (seed ${seed})`, () => {
  let controlPlane: ControlPlane;
  let client: Client;
  const live = new Map<SubjectName, KubeObject>();
  const names = Object.keys(subjects) as SubjectName[];

  beforeAll(async () => {
    controlPlane = await startServer();
    client = createClient({ kubeconfig: controlPlane.kubeconfigPath, maxRetries: 0 });
    // Without kube-controller-manager nobody makes the service account of the pods.
    await client.create(ServiceAccounts, { metadata: { name: "default", namespace: "default" } });
    for (const name of names) {
      const { resource, object } = subjects[name];
      const created = await client.create<KubeObject>(resource, object);
      live.set(name, { ...created, apiVersion: apiVersionOf(resource), kind: resource.kind });
    }
  });
  afterAll(async () => {
    await client?.close();
    await controlPlane?.stop();
  });

  const base = (name: SubjectName): KubeObject => {
    const object = live.get(name);
    if (!object) throw new Error(`${name} was not created`);
    return object;
  };
  const schemaOf = (name: SubjectName): PatchSchema => {
    const schema = patchSchemaOf(subjects[name].resource);
    if (!schema) throw new Error(`${name} has no schema`);
    return schema;
  };

  async function outcome(call: () => Promise<KubeObject>): Promise<Outcome> {
    try {
      const { metadata, ...rest } = await call();
      const { managedFields: _, ...kept } = metadata;
      return { object: { ...rest, metadata: kept } };
    } catch (error) {
      // For some patches the server panics, and the connection breaks: a refusal, too.
      if (error instanceof ApiError || error instanceof TransportError) return { refused: error.message };
      if (error instanceof Error && "stderr" in error) return { refused: String(error.stderr) };
      throw error;
    }
  }

  const patched = (on: SubjectName, body: PatchBody): Promise<Outcome> =>
    outcome(() =>
      client.patch<KubeObject>(subjects[on].resource, { namespace: "default", name: "web" }, body, { dryRun: true }),
    );
  const put = (on: SubjectName, object: KubeObject): Promise<Outcome> =>
    outcome(async () => {
      const path = `${resourcePath(subjects[on].resource, { namespace: "default", name: "web" })}?dryRun=All`;
      // Not "update", which looks at the object first: a patch may leave no name.
      return (await client.raw("PUT", path, { body: object })) as KubeObject;
    });

  /** The server's answer to the patch, and its answer to what we make of the patch: defaults are its own in both. */
  async function agree(on: SubjectName, body: PatchBody, apply: () => KubeObject): Promise<"applied" | "refused"> {
    const theirs = await patched(on, body);
    let local: KubeObject;
    try {
      local = apply();
    } catch (error) {
      if (!(error instanceof FleetwrightError) || error.code !== "FW_PATCH") throw error;
      expect(theirs, `we refuse: ${error.message}`).toHaveProperty("refused");
      return "refused";
    }
    const ours = await put(on, local);
    if ("refused" in theirs) {
      expect(ours, `the server refuses: ${theirs.refused}`).toHaveProperty("refused");
      return "refused";
    }
    expect(ours).toEqual(theirs);
    return "applied";
  }

  async function all<C extends { readonly on: SubjectName }>(
    cases: readonly C[],
    check: (one: C) => Promise<"applied" | "refused">,
  ): Promise<Record<"applied" | "refused", number>> {
    const counts = { applied: 0, refused: 0 };
    const failures: string[] = [];
    for (const one of cases) {
      try {
        counts[await check(one)] += 1;
      } catch (error) {
        failures.push(`${JSON.stringify(one)}\n${error instanceof Error ? error.message : String(error)}`);
      }
    }
    expect(failures, `${failures.length} of ${cases.length}`).toEqual([]);
    return counts;
  }

  const json = (one: (typeof jsonTable)[number]) =>
    agree(one.on, { type: "json", operations: one.operations }, () => applyJsonPatch(base(one.on), one.operations));
  const merge = (one: (typeof mergeTable)[number]) =>
    agree(one.on, { type: "merge", patch: one.patch }, () => applyMergePatch(base(one.on), one.patch));
  const strategic = (one: (typeof strategicTable)[number]) =>
    agree(one.on, { type: "strategic", patch: one.patch }, () =>
      applyStrategicMergePatch(schemaOf(one.on), base(one.on), one.patch),
    );

  it("applies and refuses JSON patches as the server does: the table", async () => {
    const counts = await all(jsonTable, json);
    expect(counts.applied).toBeGreaterThan(40);
    expect(counts.refused).toBeGreaterThan(30);
  });

  it("applies and refuses JSON patches as the server does: 200 random ones", async () => {
    const counts = await all(randomJsonCases(seed, 200), json);
    expect(Math.min(counts.applied, counts.refused)).toBeGreaterThan(20);
  });

  it("applies and refuses merge patches as the server does: the table", async () => {
    const counts = await all(mergeTable, merge);
    expect(counts.applied).toBeGreaterThan(25);
  });

  it("applies and refuses merge patches as the server does: 150 random ones", async () => {
    const counts = await all(randomMergeCases(seed, 150), merge);
    expect(counts.applied).toBeGreaterThan(50);
  });

  it("applies and refuses strategic merge patches as the server does: the table", async () => {
    const counts = await all(strategicTable, strategic);
    expect(counts.applied).toBeGreaterThan(50);
    expect(counts.refused).toBeGreaterThan(10);
  });

  it("applies and refuses strategic merge patches as the server does: 250 random ones", async () => {
    const counts = await all(randomStrategicCases(seed, 250), strategic);
    expect(counts.applied).toBeGreaterThan(100);
  });

  it("makes patches of each kind that bring the server to the wanted object", async () => {
    const wanted = names.flatMap((on) => changedObjects(base(on), seed, 25).map((object) => ({ on, object })));
    const counts = await all(wanted, async ({ on, object }) => {
      const expected = await put(on, object);
      const bodies: readonly PatchBody[] = [
        { type: "json", operations: createJsonPatch(base(on), object) },
        { type: "merge", patch: createMergePatch(base(on), object) },
        { type: "strategic", patch: createStrategicMergePatch(schemaOf(on), base(on), object) },
      ];
      for (const body of bodies) {
        const result = await patched(on, body);
        expect({ body, result: comparable(result) }).toEqual({ body, result: comparable(expected) });
      }
      return "refused" in expected ? "refused" : "applied";
    });
    expect(counts.applied).toBeGreaterThan(25);
  });

  it("adds and removes finalizers only on the version that was read", async () => {
    const made = await client.create(ConfigMaps, { metadata: { name: "finalized", namespace: "default" } });
    const kept = await addFinalizer(client, ConfigMaps, made, "fleetwright.dev/test");
    expect(kept.metadata.finalizers).toEqual(["fleetwright.dev/test"]);
    const stale = addFinalizer(client, ConfigMaps, made, "example.com/late");
    await expect(stale).rejects.toSatisfy(isConflict);
    await client.delete(ConfigMaps, keyOf(made));
    const going = await client.get(ConfigMaps, keyOf(made));
    expect(isBeingDeleted(going)).toBe(true);
    await expect(addFinalizer(client, ConfigMaps, going, "example.com/late")).rejects.toSatisfy(isInvalid);
    await removeFinalizer(client, ConfigMaps, going, "fleetwright.dev/test");
    await expect(client.get(ConfigMaps, keyOf(made))).rejects.toSatisfy(isNotFound);
    expect(await removeFinalizer(client, ConfigMaps, going, "fleetwright.dev/test")).toBeUndefined();
  });

  it.skipIf(kubectlPath === undefined)(
    "asks for the same object as kubectl apply, after others changed it",
    async () => {
      const run = promisify(execFile);
      const kubectl = async (file: unknown, ...options: readonly string[]): Promise<KubeObject> => {
        const path = join(controlPlane.directory, "apply.json");
        await writeFile(path, JSON.stringify(file));
        const flags = ["--kubeconfig", controlPlane.kubeconfigPath, "--filename", path, "--output", "json"];
        const { stdout } = await run(kubectlPath ?? "", ["apply", ...flags, ...options]);
        return JSON.parse(stdout) as KubeObject;
      };
      const cases = (["deployment", "configMap", "service"] as const).flatMap((on) =>
        [1, 2, 3, 4].map((round) => ({ on, round })),
      );
      const counts = await all(cases, async ({ on, round }) => {
        const { resource, object } = subjects[on];
        const key = { namespace: "default", name: `applied-${round}` };
        const first = { ...object, metadata: { ...object.metadata, ...key, finalizers: [] } };
        const candidates = changedObjects(first, seed + round, 20);
        await kubectl(first);
        // Others change it in a way that is valid, and so do we.
        const valid: KubeObject[] = [];
        for (const candidate of candidates) {
          const patch = createStrategicMergePatch(schemaOf(on), first, candidate);
          const body: PatchBody = { type: "strategic", patch };
          const tried = await outcome(() => client.patch<KubeObject>(resource, key, body, { dryRun: true }));
          if ("object" in tried) valid.push(candidate);
        }
        const [byOthers, wanted] = valid;
        if (!byOthers || !wanted) throw new Error("no valid change");
        await client.patch<KubeObject>(resource, key, {
          type: "strategic",
          patch: createStrategicMergePatch(schemaOf(on), first, byOthers),
        });
        const current = await client.get<KubeObject>(resource, key);
        const annotation = "kubectl.kubernetes.io/last-applied-configuration";
        const lastApplied = JSON.parse(current.metadata.annotations?.[annotation] ?? "{}") as KubeObject;
        const modified = {
          ...wanted,
          metadata: {
            ...wanted.metadata,
            annotations: { ...wanted.metadata.annotations, [annotation]: "the same" },
          },
        };
        const patch = createThreeWayStrategicMergePatch(schemaOf(on), lastApplied, modified, current);
        const theirs = await outcome(() => kubectl(wanted, "--dry-run=server"));
        const options = { dryRun: true, fieldValidation: "Strict" } as const;
        const ours = await outcome(() =>
          client.patch<KubeObject>(resource, key, { type: "strategic", patch }, options),
        );
        expect(withoutAnnotation(ours, annotation)).toEqual(withoutAnnotation(theirs, annotation));
        return "refused" in theirs ? "refused" : "applied";
      });
      expect(counts.applied).toBeGreaterThanOrEqual(8);
    },
  );
});

function withoutAnnotation(outcome: Outcome, name: string): unknown {
  if ("refused" in outcome) return "refused";
  const { metadata, ...rest } = outcome.object as KubeObject;
  const annotations = Object.entries(metadata.annotations ?? {}).filter(([key]) => key !== name);
  return { ...rest, metadata: { ...metadata, annotations: Object.fromEntries(annotations) } };
}
