import type { Clock, Logger, Random } from "@fleetwright/kube";
import type { AdmissionPlugin } from "../machinery/admission.ts";
import type { Authorize } from "../machinery/authorizer.ts";
import { copyJson } from "../machinery/draft.ts";
import type { Draft } from "../machinery/draft.ts";
import type { ServedKind } from "../machinery/kind.ts";
import type { RequestContext, ServerAccess } from "../machinery/request.ts";
import { refusals } from "../machinery/status-error.ts";
import type { Store } from "../storage/store.ts";
import type { Version } from "../storage/version.ts";
import type { KindRegistry } from "./registry.ts";

/** What every handler needs. */
export interface Core {
  readonly store: Store;
  readonly registry: KindRegistry;
  readonly plugins: readonly AdmissionPlugin[];
  readonly authorize: Authorize;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly access: ServerAccess;
  /** Kinds that are answered and never stored, by plural. */
  readonly reviews: ReadonlyMap<string, (body: Draft, context: RequestContext) => Promise<Draft>>;
  /** Called after each write that was no dry run, before the answer: what must hold as soon as a client sees it. */
  readonly afterWrite: (kind: ServedKind, object: Readonly<Draft>, deleted: boolean) => void;
}

/** Where an object is stored within its collection. */
export const storageKey = (kind: Pick<ServedKind, "namespaced">, namespace: string, name: string): string =>
  kind.namespaced ? `${namespace}/${name}` : name;

export const subjectOf = (kind: Pick<ServedKind, "group" | "plural">): { group: string; resource: string } => ({
  group: kind.group,
  resource: kind.plural,
});

/** Subject of a 422, which names the kind under the group that it is stored in. */
export function kindSubject(kind: Pick<ServedKind, "collection" | "kind">): { group: string; resource: string } {
  const dot = kind.collection.indexOf(".");
  return { group: dot < 0 ? "" : kind.collection.slice(dot + 1), resource: kind.kind };
}

export const apiVersionOf = (kind: { readonly group: string; readonly version: string }): string =>
  kind.group === "" ? kind.version : `${kind.group}/${kind.version}`;

/** The metadata of an object on its way; an object without gets an empty one. */
export function metadataOf(object: Draft): Draft {
  const metadata = object["metadata"];
  if (typeof metadata === "object" && metadata !== null && !Array.isArray(metadata)) return metadata;
  const fresh: Draft = {};
  object["metadata"] = fresh;
  return fresh;
}

export const textOf = (value: unknown): string => (typeof value === "string" ? value : "");

/** The stored object in the served version. It may be the stored one itself: who changes it makes a copy. */
export async function readVersion(kind: ServedKind, version: Version): Promise<Draft> {
  if (kind.conversion === undefined) return version.object;
  const [converted] = await kind.conversion.fromStorage([copyJson(version.object)]);
  if (converted === undefined) throw refusals.internal(`conversion of ${version.key} gave nothing`);
  return converted as Draft;
}
