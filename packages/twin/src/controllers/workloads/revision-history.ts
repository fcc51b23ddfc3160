import { ControllerRevisions, isAlreadyExists, keyOf, ownerReferenceTo } from "@fleetwright/kube";
import type {
  Client,
  ControllerRevision,
  Informer,
  KubeObject,
  LabelSelector,
  PodTemplateSpec,
  Resource,
} from "@fleetwright/kube";
import { claim } from "../pods/claim.ts";
import { controlledOrOrphaned } from "../pods/controlled.ts";
import { sameValue } from "../same-value.ts";
import { templateHash } from "./template-hash.ts";

/** The templates that an owner has had (pkg/controller/history). */
export interface RevisionOwner {
  readonly resource: Resource;
  readonly object: KubeObject;
  readonly selector: LabelSelector;
  readonly template: PodTemplateSpec | undefined;
  /** Of revisions; that of pods is another one. */
  readonly hashLabel: string;
  readonly collisionCount: number;
}

const byRevision = (left: ControllerRevision, right: ControllerRevision): number =>
  left.revision - right.revision ||
  ((left.metadata.creationTimestamp ?? "") < (right.metadata.creationTimestamp ?? "")
    ? -1
    : Number(left.metadata.creationTimestamp !== right.metadata.creationTimestamp));

/** As a strategic merge patch of the owner: what a rollback applies. */
const patchOf = (template: PodTemplateSpec | undefined): object => ({
  spec: { template: { ...template, $patch: "replace" } },
});

export const revisionName = (revision: ControllerRevision | undefined): string => revision?.metadata.name ?? "";

/** Owned revisions in their order. */
export async function ownedRevisions(
  client: Client,
  informer: Informer<ControllerRevision>,
  owner: RevisionOwner,
): Promise<readonly ControllerRevision[]> {
  const claimed = await claim({
    client,
    resource: ControllerRevisions,
    ownerResource: owner.resource,
    owner: owner.object,
    selector: owner.selector,
    candidates: controlledOrOrphaned(informer, owner.object),
  });
  return claimed.toSorted(byRevision);
}

/** The revision of the owner's present template: the newest, an older one that is made the newest, or a new one. */
export async function presentRevision(
  client: Client,
  owner: RevisionOwner,
  revisions: readonly ControllerRevision[],
): Promise<{ readonly revision: ControllerRevision; readonly collisionCount: number }> {
  const data = patchOf(owner.template);
  const newest = revisions.at(-1);
  const next = (newest?.revision ?? 0) + 1;
  const equal = revisions.findLast((revision) => sameValue(revision.data, data));
  if (equal !== undefined) {
    if (equal === newest) return { revision: equal, collisionCount: owner.collisionCount };
    const revision = await client.update(ControllerRevisions, { ...equal, revision: next });
    return { revision, collisionCount: owner.collisionCount };
  }
  const { name = "", namespace } = owner.object.metadata;
  for (let collisionCount = owner.collisionCount; ; collisionCount++) {
    const hash = templateHash(owner.template, collisionCount);
    const revision: ControllerRevision = {
      metadata: {
        name: `${name.slice(0, 223)}-${hash}`,
        ...(namespace === undefined ? {} : { namespace }),
        labels: { ...owner.template?.metadata?.labels, [owner.hashLabel]: hash },
        ...(owner.object.metadata.annotations === undefined ? {} : { annotations: owner.object.metadata.annotations }),
        ownerReferences: [
          ownerReferenceTo(owner.resource, owner.object, { controller: true, blockOwnerDeletion: true }),
        ],
      },
      data: data as NonNullable<ControllerRevision["data"]>,
      revision: next,
    };
    try {
      return { revision: await client.create(ControllerRevisions, revision), collisionCount };
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
      const present = await client.get(ControllerRevisions, { ...keyOf(revision), name: revisionName(revision) });
      if (sameValue(present.data, data)) return { revision: present, collisionCount };
    }
  }
}

/** Deletes the oldest that nobody uses, beyond the limit. */
export async function trimRevisions(
  client: Client,
  revisions: readonly ControllerRevision[],
  used: ReadonlySet<string>,
  limit: number,
): Promise<void> {
  const unused = revisions.filter((revision) => !used.has(revisionName(revision)));
  for (const revision of unused.slice(0, Math.max(0, unused.length - limit)))
    await client.delete(ControllerRevisions, keyOf(revision));
}
