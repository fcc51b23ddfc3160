import { timeText } from "@fleetwright/kube";
import type { Random } from "@fleetwright/kube";
import { isDraft } from "../machinery/draft.ts";
import type { Draft } from "../machinery/draft.ts";
import type { ServedKind } from "../machinery/kind.ts";
import type { RequestContext } from "../machinery/request.ts";
import { refusals } from "../machinery/status-error.ts";
import { metadataOf, textOf } from "./core.ts";
import { generateName, uid } from "./names.ts";

/** `EnsureObjectNamespaceMatchesRequestNamespace`: fills in the path's namespace, refuses another one. */
export function ensureNamespace(object: Draft, kind: ServedKind, namespace: string): void {
  const metadata = metadataOf(object);
  const own = textOf(metadata["namespace"]);
  const expected = kind.namespaced ? namespace : "";
  if (own === expected) return;
  if (expected === "") {
    // An object of the cluster that names a namespace is taken; the namespace goes.
    delete metadata["namespace"];
    return;
  }
  if (own === "") {
    metadata["namespace"] = expected;
    return;
  }
  throw refusals.badRequest(`the namespace of the provided object does not match the namespace sent on the request`);
}

/** How often a generated name is drawn before the taken one stands (registry/store.go, maxNameGenerationCreateAttempts). */
const maxNameAttempts = 8;

/**
 * `FillObjectMetaSystemFields`, and the name that `generateName` asks for.
 *
 * @param isTaken of a name: another is drawn then (KEP-4420)
 */
export function fillSystemFields(
  object: Draft,
  random: Random,
  nowMs: number,
  isTaken: (name: string) => boolean = () => false,
): void {
  const metadata = metadataOf(object);
  metadata["creationTimestamp"] = timeText(nowMs);
  metadata["uid"] = uid(random);
  delete metadata["selfLink"];
  delete metadata["deletionTimestamp"];
  delete metadata["deletionGracePeriodSeconds"];
  const prefix = textOf(metadata["generateName"]);
  if (prefix === "" || textOf(metadata["name"]) !== "") return;
  let name = generateName(random, prefix);
  for (let attempt = 1; attempt < maxNameAttempts && isTaken(name); attempt++) name = generateName(random, prefix);
  metadata["name"] = name;
}

/** One reference each, the first of equal ones (`dedupOwnerReferencesAndAddWarning`). */
export function dropDuplicateOwners(object: Draft, context: RequestContext, afterAdmission: boolean): void {
  const metadata = metadataOf(object);
  const owners = metadata["ownerReferences"];
  if (!Array.isArray(owners) || owners.length < 2) return;
  const seen = new Set<string>();
  const repeated = new Set<string>();
  metadata["ownerReferences"] = owners.filter((owner) => {
    if (!isDraft(owner)) return true;
    const identity = JSON.stringify([
      owner["apiVersion"],
      owner["kind"],
      owner["name"],
      owner["uid"],
      owner["controller"],
      owner["blockOwnerDeletion"],
    ]);
    if (!seen.has(identity)) {
      seen.add(identity);
      return true;
    }
    repeated.add(textOf(owner["uid"]));
    return false;
  });
  if (repeated.size > 0) {
    context.warn(
      `.metadata.ownerReferences contains duplicate entries${
        afterAdmission ? " after mutating admission happens" : ""
      }; API server dedups owner references in 1.20+, and may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: ${[...repeated].join(", ")}`,
    );
  }
}

const isOutsideSpec = (key: string): boolean =>
  key === "metadata" || key === "status" || key === "kind" || key === "apiVersion";

/** All but metadata and status: what the generation counts changes of. */
export function desiredPart(object: Readonly<Draft>): Draft {
  return Object.fromEntries(Object.entries(object).filter(([key]) => !isOutsideSpec(key)));
}
