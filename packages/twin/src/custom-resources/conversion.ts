import type { CustomResourceDefinition } from "@fleetwright/kube";
import { annotationErrors } from "../kinds/metadata.ts";
import { copyJson, isDraft, type Draft, type DraftValue } from "../machinery/draft.ts";
import type { Conversion } from "../machinery/kind.ts";
import { refusals } from "../machinery/status-error.ts";
import { applyDefaults, pruneForbiddenNulls } from "./defaulting.ts";
import { coerceEmbeddedMetadata } from "./embedded-resources.ts";
import { pruneUnknownFields } from "./prune.ts";
import { structuralSchema } from "./structural-schema.ts";

/** Asks a definition's webhook; the answer is the decoded body. Rejects when there is none. */
export type CallConversionWebhook = (clientConfig: unknown, review: Draft, timeoutSeconds: number) => Promise<unknown>;

const textOf = (value: DraftValue): string => (typeof value === "string" ? value : "");

const metadataOf = (object: Draft): Draft => (isDraft(object["metadata"]) ? object["metadata"] : {});

/** The same object under another version's name: conversion `None`. */
function renamed(object: Draft, apiVersion: string): Draft {
  return object["apiVersion"] === apiVersion ? object : { ...object, apiVersion };
}

/** How objects of a version get to the stored version and back; undefined where it is the stored version. */
export function conversionOf(
  definition: CustomResourceDefinition,
  version: string,
  hooks: { readonly callWebhook?: CallConversionWebhook; readonly newUid?: () => string },
): Conversion | undefined {
  const { group, versions, conversion } = definition.spec;
  const stored = versions.find(({ storage }) => storage)?.name ?? version;
  // What was stored under an earlier definition may be of another version, and is read by the schemas of now.
  if (stored === version && (definition.metadata.generation ?? 1) <= 1) return undefined;
  const schemas = new Map(
    versions.map(({ name, schema }) => [`${group}/${name}`, structuralSchema(schema?.openAPIV3Schema)]),
  );
  const coerced = (object: Draft, withDefaults: boolean): Draft => {
    const schema = schemas.get(textOf(object["apiVersion"]));
    if (schema === undefined) return object;
    pruneUnknownFields(object, schema);
    pruneForbiddenNulls(object, schema);
    coerceEmbeddedMetadata(object, schema);
    if (withDefaults) applyDefaults(object, schema);
    return object;
  };
  const toVersion = (name: string) => {
    const apiVersion = `${group}/${name}`;
    return (objects: readonly Draft[]): Promise<readonly Draft[]> | readonly Draft[] => {
      if (objects.every((object) => object["apiVersion"] === apiVersion)) return objects;
      if (conversion?.strategy !== "Webhook") return objects.map((object) => renamed(object, apiVersion));
      return convertByWebhook(definition, objects, apiVersion, hooks);
    };
  };
  const finished = (objects: readonly Draft[]): readonly Draft[] =>
    objects.map((object) => coerced(copyJson(object), false));
  const toStorage = toVersion(stored);
  const fromStorage = toVersion(version);
  return {
    toStorage(objects) {
      const converted = toStorage(objects);
      return converted instanceof Promise ? converted.then(finished) : finished(converted);
    },
    fromStorage(objects) {
      const converted = fromStorage(objects.map((object) => coerced(copyJson(object), true)));
      return converted instanceof Promise ? converted.then(finished) : finished(converted);
    },
  };
}

/** conversion/webhook_converter.go: only metadata's labels and annotations may differ, and who the object is must not. */
async function convertByWebhook(
  definition: CustomResourceDefinition,
  objects: readonly Draft[],
  apiVersion: string,
  { callWebhook, newUid }: { readonly callWebhook?: CallConversionWebhook; readonly newUid?: () => string },
): Promise<readonly Draft[]> {
  const webhook = definition.spec.conversion?.webhook;
  const kindText = `${textOf(objects[0]?.["apiVersion"])}, Kind=${definition.spec.names.kind}`;
  const failed = (problem: string): Error => refusals.internal(`conversion webhook for ${kindText} failed: ${problem}`);
  const wanted = objects.filter((object) => object["apiVersion"] !== apiVersion);
  if (callWebhook === undefined) throw failed("no webhooks can be called");
  const reviewVersion = (webhook?.conversionReviewVersions ?? []).find((name) => name === "v1" || name === "v1beta1");
  if (reviewVersion === undefined) {
    throw refusals.internal(`no supported conversion review versions in ${kindText}`);
  }
  const uid = newUid?.() ?? crypto.randomUUID();
  const review: Draft = {
    kind: "ConversionReview",
    apiVersion: `apiextensions.k8s.io/${reviewVersion}`,
    request: { uid, desiredAPIVersion: apiVersion, objects: wanted.map((object) => copyJson(object)) },
  };
  let answer: unknown;
  try {
    answer = await callWebhook(webhook?.clientConfig, review, 30);
  } catch (error) {
    throw failed(error instanceof Error ? error.message : String(error));
  }
  const { converted, problem } = readAnswer(answer, uid, reviewVersion);
  if (problem !== undefined) throw failed(problem);
  if (converted.length !== wanted.length) {
    throw refusals.internal(
      `conversion webhook for ${kindText} returned ${converted.length} objects, expected ${wanted.length}`,
    );
  }
  let next = 0;
  return objects.map((object) => {
    if (object["apiVersion"] === apiVersion) return object;
    const index = next++;
    const result = converted[index];
    const invalid = invalidObject(object, result, apiVersion);
    if (invalid !== undefined || !isDraft(result)) {
      throw refusals.internal(
        `conversion webhook for ${kindText} returned invalid object at index ${index}: ${invalid ?? "no object"}`,
      );
    }
    try {
      return { ...result, metadata: restoredMetadata(object, result) };
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      throw refusals.internal(`conversion webhook for ${kindText} returned invalid metadata: ${text}`);
    }
  });
}

function readAnswer(
  answer: unknown,
  uid: string,
  reviewVersion: string,
): { readonly converted: readonly unknown[]; readonly problem?: string } {
  const refused = (problem: string) => ({ converted: [], problem });
  const wantedVersion = `apiextensions.k8s.io/${reviewVersion}`;
  if (!isDraft(answer)) return refused("the response is no object");
  const kind = `${textOf(answer["apiVersion"])}, Kind=${textOf(answer["kind"])}`;
  if (kind !== `${wantedVersion}, Kind=ConversionReview`) {
    return refused(`expected webhook response of ${wantedVersion}, Kind=ConversionReview, got ${kind}`);
  }
  const { response } = answer;
  if (!isDraft(response)) return refused("no response provided");
  if (reviewVersion === "v1" && response["uid"] !== uid) {
    return refused(`expected response.uid=${JSON.stringify(uid)}, got ${JSON.stringify(textOf(response["uid"]))}`);
  }
  const result = isDraft(response["result"]) ? response["result"] : {};
  if (result["status"] !== "Success") {
    const message = textOf(result["message"]);
    return refused(
      message === "" ? `response.result.status was '${textOf(result["status"])}', not 'Success'` : message,
    );
  }
  const { convertedObjects } = response;
  return { converted: Array.isArray(convertedObjects) ? convertedObjects : [] };
}

function invalidObject(original: Draft, converted: unknown, apiVersion: string): string | undefined {
  if (!isDraft(converted)) return "no object";
  if (converted["apiVersion"] !== apiVersion) {
    return `invalid groupVersion (expected ${apiVersion}, received ${textOf(converted["apiVersion"])})`;
  }
  if (converted["kind"] !== original["kind"]) {
    return `invalid kind (expected ${textOf(original["kind"])}, received ${textOf(converted["kind"])})`;
  }
  const before = metadataOf(original);
  const after = metadataOf(converted);
  for (const [key, name] of [
    ["name", "name"],
    ["namespace", "namespace"],
    ["uid", "UID"],
  ] as const) {
    const expected = textOf(before[key]);
    const got = textOf(after[key]);
    if (expected !== got) return `must have the same ${name}: ${expected} != ${got}`;
  }
  return undefined;
}

function restoredMetadata(original: Draft, converted: Draft): Draft {
  if (converted["metadata"] === undefined) throw new Error("missing metadata in converted object");
  if (!isDraft(converted["metadata"])) throw new Error("invalid metadata in converted object");
  const metadata = copyJson(metadataOf(original));
  for (const key of ["labels", "annotations"]) {
    const answered = converted["metadata"][key];
    if (answered === undefined || answered === null) {
      delete metadata[key];
      continue;
    }
    if (!isDraft(answered)) throw new Error(`invalid metadata.${key} in converted object`);
    for (const [name, value] of Object.entries(answered)) {
      if (typeof value !== "string") throw new Error(`metadata.${key}[${name}] must be a string in converted object`);
    }
    if (key === "annotations") {
      const [error] = annotationErrors(answered as Readonly<Record<string, string>>, "metadata.annotation");
      if (error !== undefined) throw new Error(`${error.field}: ${error.message}`);
    }
    metadata[key] = answered;
  }
  return metadata;
}
