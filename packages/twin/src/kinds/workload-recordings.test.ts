import { readFileSync } from "node:fs";
import type { KubeObject } from "@fleetwright/kube";
import { describe, expect, it } from "vitest";
import { copyJson, typed, untyped, type Draft } from "../machinery/draft.ts";
import type { RequestContext } from "../machinery/request.ts";
import { workloadStrategies } from "./workloads.ts";

/** What kube-apiserver 1.36.3 answered to the same objects (dry runs). */
interface Recording {
  readonly object: KubeObject & Draft;
  readonly code: number;
  readonly message?: string;
  readonly causes?: readonly { readonly field: string; readonly message: string }[];
  readonly created?: Draft;
}

const recordings = JSON.parse(
  readFileSync(new URL("testdata/workload-answers.json", import.meta.url), "utf8"),
) as readonly Recording[];

const context = {
  dryRun: false,
  nowMs: 0,
  warn: () => undefined,
} as unknown as RequestContext;

const anyUid = /[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g;
const uid = "00000000-0000-4000-8000-000000000000";

/** An object on its way through creation: what is stored, and the complaints. */
function create(sent: Recording["object"]): { readonly object: Draft; readonly complaints: readonly string[] } {
  const object = copyJson(sent) as Draft & Recording["object"];
  const [group = "", version = ""] = object.apiVersion?.includes("/") ? object.apiVersion.split("/") : ["", "v1"];
  const kind = object.kind ?? "";
  const strategy = workloadStrategies[`${group}/${version}/${kind}`] ?? workloadStrategies[`${group}/${kind}`];
  if (strategy === undefined) throw new Error(`no strategy for ${group}/${kind}`);
  Object.assign(object.metadata, { uid });
  const draft = typed(untyped(object));
  strategy.defaults?.(draft);
  // Admission gives every pod the account of its namespace.
  if (kind === "Pod") {
    const spec = (object["spec"] ?? {}) as Draft;
    if (spec["serviceAccountName"] === undefined) spec["serviceAccountName"] = "default";
  }
  strategy.prepareForCreate?.(draft, context);
  const errors = strategy.validate?.(draft, context) ?? [];
  return { object, complaints: errors.map(({ field, message }) => `${field}: ${message}`) };
}

const titleOf = ({ object }: Recording): string =>
  JSON.stringify({ kind: object.kind, ...object, apiVersion: undefined, metadata: undefined }).slice(0, 180);

describe("what the real server refuses", () => {
  const refused = recordings.filter(({ causes }) => causes !== undefined);
  it.each(refused.map((recording): [string, Recording] => [titleOf(recording), recording]))(
    "%s",
    (_title, { object, causes }) => {
      const texts = (causes ?? []).map(({ field, message }) => `${field}: ${message}`.replaceAll(anyUid, uid));
      expect(create(object).complaints).toEqual(texts);
    },
  );
});

describe("what the real server creates", () => {
  const created = recordings.filter(({ code }) => code === 201);
  it.each(created.map((recording): [string, Recording] => [titleOf(recording), recording]))(
    "%s",
    (_title, recording) => {
      const { object, complaints } = create(recording.object);
      expect(complaints).toEqual([]);
      if (recording.created === undefined) return;
      const { metadata: _metadata, ...expected } = recording.created;
      const { metadata: _own, ...actual } = object;
      const text = JSON.stringify(expected);
      expect(actual).toEqual(JSON.parse(text.replaceAll(anyUid, uid)));
    },
  );
});
