import { isNotFound, keyOf, ownerReferenceTo, Pods } from "@fleetwright/kube";
import type {
  Client,
  CoreEventRecorder,
  KubeObject,
  ObjectMeta,
  Pod,
  PodTemplateSpec,
  Resource,
} from "@fleetwright/kube";

/** Who makes pods. */
export interface PodOwner<T extends KubeObject = KubeObject> {
  readonly resource: Resource<T>;
  readonly object: T;
}

/** A pod of a template, not yet created (`GetPodFromTemplate`). */
export function podOfTemplate(
  template: PodTemplateSpec | undefined,
  owner: PodOwner,
  metadata: Partial<ObjectMeta> = {},
): Pod {
  const { labels, annotations, finalizers } = template?.metadata ?? {};
  const { name = "", namespace } = owner.object.metadata;
  const reference = ownerReferenceTo(owner.resource, owner.object, { controller: true, blockOwnerDeletion: true });
  return {
    metadata: {
      generateName: namePrefix(name),
      ...(namespace === undefined ? {} : { namespace }),
      ...(labels === undefined ? {} : { labels: { ...labels } }),
      ...(annotations === undefined ? {} : { annotations: { ...annotations } }),
      ...(finalizers === undefined ? {} : { finalizers }),
      ownerReferences: [reference],
      ...metadata,
    },
    ...(template?.spec === undefined ? {} : { spec: template.spec }),
  };
}

/** `web-`; a name that is no prefix of a pod's is taken as it is. */
const namePrefix = (name: string): string => (name.length < 253 ? `${name}-` : name);

/** Creates and deletes pods, and says so in events on their owner (`RealPodControl`). */
export class PodWriter {
  readonly #client: Client;
  readonly #events: CoreEventRecorder;

  constructor(client: Client, events: CoreEventRecorder) {
    this.#client = client;
    this.#events = events;
  }

  /** @throws ApiError after the event FailedCreate */
  async create(owner: PodOwner, pod: Pod): Promise<Pod> {
    try {
      const created = await this.#client.create(Pods, pod);
      this.#say(owner, "Normal", "SuccessfulCreate", `Created pod: ${created.metadata.name ?? ""}`);
      return created;
    } catch (error) {
      // The namespace is going: everybody knows.
      if (!isNamespaceTerminating(error))
        this.#say(owner, "Warning", "FailedCreate", `Error creating: ${textOf(error)}`);
      throw error;
    }
  }

  /** As {@link create}, but says `undefined` where the namespace is going: every further try would be refused alike. */
  async createUnlessGoing(owner: PodOwner, pod: Pod): Promise<Pod | undefined> {
    try {
      return await this.create(owner, pod);
    } catch (error) {
      if (isNamespaceTerminating(error)) return undefined;
      throw error;
    }
  }

  /** @returns what the server answered; `undefined`: it is gone already. */
  async delete(owner: PodOwner, pod: Pod): Promise<unknown> {
    const name = pod.metadata.name ?? "";
    try {
      const answer = await this.#client.delete(Pods, keyOf(pod));
      this.#say(owner, "Normal", "SuccessfulDelete", `Deleted pod: ${name}`);
      return answer;
    } catch (error) {
      if (isNotFound(error)) return undefined;
      this.#say(owner, "Warning", "FailedDelete", `Error deleting: ${textOf(error)}`);
      throw error;
    }
  }

  #say({ object }: PodOwner, type: "Normal" | "Warning", reason: string, message: string): void {
    this.#events.event({ about: object, type, reason, message });
  }
}

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Whether a creation was refused since its namespace is going. */
export function isNamespaceTerminating(error: unknown): boolean {
  const causes = (error as { status?: { details?: { causes?: readonly { reason?: string }[] } } }).status?.details
    ?.causes;
  return causes?.some(({ reason }) => reason === "NamespaceTerminating") === true;
}

/**
 * Runs a task so many times, in batches of 1, 2, 4, … that run at the same time; the first batch with a failure is the last
 * (`slowStartBatch`). @returns how many worked, and what failed first
 */
export async function slowStart(
  count: number,
  task: (index: number) => Promise<unknown>,
  maxBatch = Infinity,
): Promise<{ readonly done: number; readonly error: unknown }> {
  let done = 0;
  for (let batch = 1, next = 0; next < count; batch = Math.min(maxBatch, batch * 2)) {
    const size = Math.min(batch, count - next);
    const results = await Promise.allSettled(Array.from({ length: size }, (_, index) => task(next + index)));
    next += size;
    const failed = results.filter((result) => result.status === "rejected");
    done += size - failed.length;
    if (failed.length > 0) return { done, error: failed[0]?.reason };
  }
  return { done, error: undefined };
}
