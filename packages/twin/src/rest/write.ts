import type { AdmissionAttributes } from "../machinery/admission.ts";
import { copyJson, typed } from "../machinery/draft.ts";
import type { Draft, DraftValue } from "../machinery/draft.ts";
import type { ServedKind } from "../machinery/kind.ts";
import type { RequestContext } from "../machinery/request.ts";
import { refusals } from "../machinery/status-error.ts";
import type { FieldError } from "../machinery/status-error.ts";
import type { MetadataRules } from "../kinds/metadata.ts";
import { pathSegmentProblems } from "../kinds/name-checks.ts";
import type { Version } from "../storage/version.ts";
import { kindSubject, metadataOf, storageKey, textOf } from "./core.ts";
import type { Core } from "./core.ts";

/** Where a write goes and what goes with it. */
export interface Target {
  readonly kind: ServedKind;
  readonly namespace: string;
  readonly name: string;
  /** `""` for the object itself. */
  readonly subresource: string;
  /** CreateOptions, UpdateOptions, PatchOptions as admission sees them. */
  readonly options: Draft;
  readonly context: RequestContext;
}

/** What a write left behind. */
export interface Written {
  /** In the served version. */
  readonly object: Draft;
  readonly created: boolean;
  /** What was stored, where it is of the served version. */
  readonly version?: Version;
}
export function attributesOf(
  target: Target,
  operation: AdmissionAttributes["operation"],
  object: Draft | undefined,
  oldObject: Draft | undefined,
): AdmissionAttributes {
  const { kind, context } = target;
  const sub = target.subresource === "" ? undefined : kind.subresources.get(target.subresource);
  return {
    operation,
    kind: sub?.kind ?? { group: kind.group, version: kind.version, kind: kind.kind },
    resource: { group: kind.group, version: kind.version, resource: kind.plural },
    subresource: target.subresource,
    namespace: kind.namespaced
      ? target.namespace
      : kind.plural === "namespaces" && kind.group === ""
        ? target.name
        : "",
    name: target.name,
    object,
    oldObject,
    options: target.options,
    user: context.user,
    dryRun: context.dryRun,
    served: kind,
    context,
  };
}

export const takesAnyFinalizers = ({ builtin, strategy }: ServedKind): boolean =>
  !builtin || strategy.metadataChecks?.anyFinalizers === true;

export const metadataRules = (kind: ServedKind): MetadataRules => ({
  namespaced: kind.namespaced,
  custom: takesAnyFinalizers(kind),
  ...(kind.strategy.nameProblems === undefined ? {} : { nameProblems: kind.strategy.nameProblems }),
});

/** What the server itself asks of every object's metadata (`rest.BeforeCreate`, `rest.BeforeUpdate`). */
export const genericRules = (kind: ServedKind): MetadataRules => ({
  namespaced: kind.namespaced,
  custom: true,
  nameProblems: pathSegmentProblems,
});

export const refuseInvalid = (kind: ServedKind, name: string, errors: readonly FieldError[]): void => {
  if (errors.length > 0) throw refusals.invalid(kindSubject(kind), name, errors);
};

export async function storedForm(kind: ServedKind, object: Draft): Promise<Draft> {
  if (kind.conversion === undefined) return object;
  const [converted] = await kind.conversion.toStorage([object]);
  if (converted === undefined) throw refusals.internal(`conversion to ${kind.storageVersion} gave nothing`);
  return copyJson(converted) as Draft;
}

/** What a write answers with is what was stored, as its version shows it. */
export async function answeredForm(kind: ServedKind, object: Draft, stored: Draft): Promise<Draft> {
  if (kind.conversion === undefined || kind.builtin) return object;
  const [shown] = await kind.conversion.fromStorage([stored]);
  return shown === undefined ? object : (copyJson(shown) as Draft);
}

/** Writes what has been decided. Synchronous from the check of the revision to the end. */
export function store(core: Core, target: Target, stored: Draft, expected: number): Version {
  const { kind } = target;
  const metadata = metadataOf(stored);
  const index = kind.strategy.watchIndex?.(typed(stored)) ?? "";
  return core.store.write({
    collection: kind.collection,
    key: storageKey(kind, target.namespace, textOf(metadata["name"])),
    expected,
    ...(kind.strategy.ttlSeconds === undefined ? {} : { ttlSeconds: kind.strategy.ttlSeconds }),
    make(revision) {
      metadata["resourceVersion"] = String(revision);
      return { object: stored, index };
    },
  });
}

export function setStatus(object: Draft, status: DraftValue): void {
  if (status === undefined) delete object["status"];
  else object["status"] = status;
}

/** Takes the object away; watchers see what was stored last, with the deletion's revision. */
export function removeVersion(core: Core, kind: ServedKind, version: Version): Draft {
  const object: Draft = { ...version.object, metadata: { ...metadataOf(version.object) } };
  core.store.write({
    collection: kind.collection,
    key: version.key,
    expected: version.revision,
    delete: true,
    make(revision) {
      metadataOf(object)["resourceVersion"] = String(revision);
      return { object, index: version.index };
    },
  });
  core.afterWrite(kind, object, true);
  return object;
}
