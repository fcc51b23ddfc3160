import { readFileSync } from "node:fs";
import { jsonEqual, seededRandom, type Json, type Resource, type Service } from "@fleetwright/kube";
import { describe, expect, it } from "vitest";
import { copyJson, isDraft, typed, type Draft } from "../machinery/draft.ts";
import type { RequestContext, ServerAccess } from "../machinery/request.ts";
import { StatusError, type FieldError } from "../machinery/status-error.ts";
import { builtinKinds } from "../schema/builtin-schemas.ts";
import { decodeBody } from "../schema/decode.ts";
import { validateMetadata, validateMetadataUpdate } from "./metadata.ts";
import { otherStrategies } from "./other-kinds.ts";

/** What kube-apiserver 1.36.3 answered: to a creation, or to an update of what it had stored. */
interface Recorded {
  readonly kind: string;
  readonly name: string;
  readonly dryRun?: boolean;
  readonly subresource?: "status";
  readonly request: Draft;
  readonly stored?: Draft;
  readonly update?: Draft;
  readonly answer: {
    readonly code: number;
    readonly object?: Draft;
    readonly warnings?: readonly string[];
    readonly causes?: readonly { readonly reason: string; readonly message: string; readonly field: string }[];
    readonly message?: string;
  };
}

/** `§x*1000` stands for a thousand x. */
function expand<T>(value: T): T {
  if (typeof value === "string") {
    const [, character, count] = /^§(.)\*([0-9]+)$/.exec(value) ?? [];
    return (character === undefined ? value : character.repeat(Number(count))) as T;
  }
  if (Array.isArray(value)) return value.map((item: unknown) => expand(item)) as T;
  if (!isDraft(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [expand(key), expand(item)])) as T;
}

const file = new URL("./testdata/other-kinds.json", import.meta.url);
const recorded = expand(JSON.parse(readFileSync(file, "utf8")) as readonly Recorded[]);

const kinds = new Map(builtinKinds().map((kind) => [`${kind.group}/${kind.kind}`, kind]));

/** As the server reads it: in the form in which Go writes it, which has empty texts and nulls. */
function decoded(id: string, object: Draft): Draft {
  const kind = kinds.get(id);
  if (kind === undefined) throw new Error(`${id} is no built-in kind`);
  return decodeBody(Buffer.from(JSON.stringify(object)), {
    contentType: "application/json",
    schema: kind.schema,
    kind,
    fieldValidation: "Strict",
    builtin: true,
  }).object;
}

const context = {
  info: { subresource: "" },
  dryRun: false,
  nowMs: Date.parse("2026-01-01T00:00:00Z"),
} as RequestContext;

/** A cluster with the one Service that every cluster has. */
const kubernetes: Service = {
  metadata: { name: "kubernetes", namespace: "default" },
  spec: { type: "ClusterIP", clusterIP: "10.0.0.1", clusterIPs: ["10.0.0.1"] },
};
const objects = {
  get: ({ plural }: Resource, { name }: { readonly name: string }) =>
    plural === "services" && name === "kubernetes" ? kubernetes : undefined,
  list: ({ plural }: Resource) => (plural === "services" ? [kubernetes] : []),
  revisionOf: () => 1,
};
const server = { objects, random: seededRandom(1) } as unknown as ServerAccess;

/** What Go leaves out when it is empty; whether it does is the encoder's matter. */
function withoutEmpty(value: unknown): unknown {
  if (Array.isArray(value)) return value.map((item: unknown) => withoutEmpty(item) ?? null);
  if (!isDraft(value)) return value === "" || value === 0 || value === null ? undefined : value;
  const entries = Object.entries(value).flatMap(([key, item]) => {
    const kept = withoutEmpty(item);
    return kept === undefined || kept === false || (Array.isArray(kept) && kept.length === 0) ? [] : [[key, kept]];
  });
  return entries.length === 0 ? undefined : Object.fromEntries(entries);
}

/** What the server makes up differs from one time to the next. */
function comparable(object: Draft, asked: Draft): unknown {
  const copy = copyJson(object);
  const metadata = copy["metadata"] as Draft;
  for (const field of ["uid", "creationTimestamp", "resourceVersion", "managedFields", "selfLink"]) {
    delete metadata[field];
  }
  const spec = copy["spec"];
  const askedSpec = asked["spec"];
  if (copy["kind"] === "Service" && isDraft(spec) && isDraft(askedSpec)) {
    if (askedSpec["clusterIP"] === undefined && typeof spec["clusterIP"] === "string") {
      spec["clusterIP"] = spec["clusterIP"].startsWith("10.0.0.") ? "allocated" : spec["clusterIP"];
      spec["clusterIPs"] = [spec["clusterIP"]];
    }
    const ports = spec["ports"];
    for (const port of Array.isArray(ports) ? ports : []) {
      if (isDraft(port) && Number(port["nodePort"] ?? 0) >= 30_000) port["nodePort"] = "allocated";
    }
    if (Number(spec["healthCheckNodePort"] ?? 0) >= 30_000) spec["healthCheckNodePort"] = "allocated";
  }
  if (isDraft(copy["status"])) {
    delete copy["status"]["lastPhaseTransitionTime"];
    const conditions = copy["status"]["conditions"];
    for (const condition of Array.isArray(conditions) ? conditions : []) {
      if (isDraft(condition)) delete condition["lastTransitionTime"];
    }
  }
  return withoutEmpty(copy);
}

const causesOf = (errors: readonly FieldError[]): string[] =>
  // Go walks maps in no order, and the same mistake found twice is one to the reader.
  [
    ...new Set(
      errors.map(({ type, field, message }) => `${type} ${field}: ${message.replace(/"A_-[a-z0-9]{5}"/, "generated")}`),
    ),
  ].toSorted();

function refused(run: () => void): readonly FieldError[] {
  try {
    run();
    return [];
  } catch (error) {
    if (!(error instanceof StatusError)) throw error;
    return (error.status.details?.causes ?? []).map(({ reason, message, field }) => ({
      type: reason as FieldError["type"],
      message: message ?? "",
      field: field ?? "",
    }));
  }
}

/** The steps of the pipeline that belong to strategies. */
function answer({ kind, request, stored, update, subresource, dryRun = false }: Recorded): {
  readonly object: Draft;
  readonly errors: readonly FieldError[];
  readonly warnings: readonly string[];
} {
  const strategy = otherStrategies[kind];
  if (strategy === undefined) throw new Error(`${kind} has no strategy`);
  const object = decoded(kind, update ?? request);
  const metadata = object["metadata"] as Draft;
  if (metadata["name"] === undefined) metadata["name"] = `${metadata["generateName"] as string}abcde`;
  strategy.defaults?.(typed(object));
  const old = stored === undefined ? undefined : copyJson(stored);
  const errors: FieldError[] = [];
  if (old === undefined) {
    if (strategy.hasStatus === true && strategy.keepsStatusAtCreation !== true) delete object["status"];
    if (strategy.hasGeneration === true) metadata["generation"] = 1;
    strategy.prepareForCreate?.(typed(object), context);
    const { nameProblems } = strategy;
    errors.push(
      ...validateMetadata(typed(object), {
        namespaced: kinds.get(kind)?.namespaced === true,
        ...(nameProblems === undefined ? {} : { nameProblems: nameProblems.bind(strategy) }),
      }),
      ...(strategy.validate?.(typed(object), context) ?? []),
    );
  } else {
    const before = old["metadata"] as Draft;
    for (const field of ["uid", "creationTimestamp", "generation"]) metadata[field] ??= before[field];
    if (before["generation"] !== undefined) metadata["generation"] = before["generation"];
    else delete metadata["generation"];
    if (subresource === "status") {
      for (const field of Object.keys(object)) {
        if (!["apiVersion", "kind", "metadata", "status"].includes(field)) delete object[field];
      }
      for (const field of Object.keys(old)) {
        if (!["apiVersion", "kind", "metadata", "status"].includes(field)) object[field] = copyJson(old[field]);
      }
      strategy.prepareForStatusUpdate?.(typed(object), typed(old), context);
      errors.push(
        ...validateMetadataUpdate(typed(object), typed(old)),
        ...(strategy.validateStatusUpdate?.(typed(object), typed(old), context) ?? []),
      );
      return { object, errors, warnings: [] };
    }
    if (strategy.hasStatus === true) object["status"] = copyJson(old["status"]);
    strategy.prepareForUpdate?.(typed(object), typed(old), context);
    const spec = (from: Draft): Json => withoutEmpty({ ...from, metadata: {}, status: {} }) as Json;
    if (strategy.hasGeneration === true && !jsonEqual(spec(object), spec(old))) {
      metadata["generation"] = Number(before["generation"] ?? 0) + 1;
    }
    errors.push(
      ...validateMetadataUpdate(typed(object), typed(old)),
      ...((strategy.validateUpdate ?? strategy.validate)?.bind(strategy)(typed(object), typed(old) as never, context) ??
        []),
    );
  }
  if (errors.length === 0) {
    errors.push(
      ...refused(() => strategy.beforeStore?.(typed(object), old && typed(old), server, { ...context, dryRun })),
    );
  }
  return { object, errors, warnings: strategy.warnings?.(typed(object), old && typed(old), context) ?? [] };
}

const refusedThen = recorded.filter((one) => one.answer.code === 422);
const takenThen = recorded.filter((one) => one.answer.code < 300);
const titled = (list: readonly Recorded[]) => list.map((one) => ({ title: `${one.kind}: ${one.name}`, one }));

describe("built-in kinds answer as kube-apiserver 1.36.3 did", () => {
  it.each(titled(refusedThen))("refuses $title", ({ one }) => {
    const causes = (one.answer.causes ?? []).map(({ reason, message, field }): FieldError => ({
      type: reason as FieldError["type"],
      message,
      field,
    }));
    expect(causesOf(answer(one).errors)).toEqual(causesOf(causes));
  });

  it.each(titled(takenThen))("takes $title", ({ one }) => {
    const given = answer(one);
    const { object = {}, warnings = [] } = one.answer;
    const asked = one.update ?? one.request;
    expect(causesOf(given.errors)).toEqual([]);
    expect(comparable(given.object, asked)).toEqual(comparable(object, asked));
    // Whole kinds that are deprecated are the server's matter, not the strategy's.
    expect(given.warnings).toEqual(warnings.filter((text) => !text.startsWith("v1 Endpoints is deprecated")));
  });
});
