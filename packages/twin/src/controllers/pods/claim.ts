import { controllerOf, isNotFound, keyOf, matchesLabels, ownerReferenceTo } from "@fleetwright/kube";
import type { Client, KubeObject, LabelSelector, Resource } from "@fleetwright/kube";
import { selectorOf } from "@fleetwright/kube";

interface Claim<T extends KubeObject> {
  readonly client: Client;
  /** Of what is claimed: pods, replica sets, revisions. */
  readonly resource: Resource<T>;
  readonly ownerResource: Resource;
  readonly owner: KubeObject;
  readonly selector: LabelSelector;
  readonly candidates: readonly T[];
  /** Of a further condition that what is claimed must meet: a StatefulSet's pods have its name. */
  readonly isOurs?: (object: T) => boolean;
  /** Told of every write. */
  readonly onWrite?: (answer: unknown) => void;
}

/**
 * The objects that an owner controls: those it has already, without what its selector no longer matches (released), with
 * orphans that it matches (adopted), unless one of the two is going (pkg/controller/controller_ref_manager.go).
 */
export async function claim<T extends KubeObject>(options: Claim<T>): Promise<readonly T[]> {
  const { client, resource, owner, candidates, isOurs = () => true, onWrite } = options;
  const selector = selectorOf(options.selector);
  const claimed: T[] = [];
  let mayAdopt: Promise<boolean> | undefined;
  const uid = owner.metadata.uid ?? "";
  for (const object of candidates) {
    const controller = controllerOf(object);
    const matches = matchesLabels(selector, object.metadata.labels) && isOurs(object);
    if (controller !== undefined) {
      if (controller.uid !== uid) continue;
      if (matches) claimed.push(object);
      else if (owner.metadata.deletionTimestamp === undefined)
        await write(() => release(client, resource, object, uid), onWrite);
      continue;
    }
    const isGoing = owner.metadata.deletionTimestamp !== undefined || object.metadata.deletionTimestamp !== undefined;
    if (!matches || isGoing) continue;
    // The cache may be behind: an owner that is going must not take anybody with it.
    mayAdopt ??= isAlive(client, options.ownerResource, owner);
    if (!(await mayAdopt)) continue;
    const adopted = await write(() => adopt(client, resource, object, options.ownerResource, owner), onWrite);
    if (adopted) claimed.push(object);
  }
  return claimed;
}

async function isAlive(client: Client, resource: Resource, owner: KubeObject): Promise<boolean> {
  try {
    const { metadata } = await client.get(resource, keyOf(owner));
    return metadata.uid === owner.metadata.uid && metadata.deletionTimestamp === undefined;
  } catch (error) {
    if (isNotFound(error)) return false;
    throw error;
  }
}

/** @returns whether it is still there */
async function write(
  action: () => Promise<unknown>,
  onWrite: ((answer: unknown) => void) | undefined,
): Promise<boolean> {
  try {
    onWrite?.(await action());
    return true;
  } catch (error) {
    if (isNotFound(error)) return false;
    throw error;
  }
}

function adopt(
  client: Client,
  resource: Resource,
  object: KubeObject,
  ownerResource: Resource,
  owner: KubeObject,
): Promise<unknown> {
  const reference = ownerReferenceTo(ownerResource, owner, { controller: true, blockOwnerDeletion: true });
  const patch = { metadata: { ownerReferences: [reference], uid: object.metadata.uid } };
  return client.patch(resource, keyOf(object), { type: "strategic", patch });
}

function release(client: Client, resource: Resource, object: KubeObject, ownerUid: string): Promise<unknown> {
  const patch = { metadata: { ownerReferences: [{ $patch: "delete", uid: ownerUid }], uid: object.metadata.uid } };
  return client.patch(resource, keyOf(object), { type: "strategic", patch });
}
