import { groupLabel, type BizGroupResourceQuota } from "@fleetwright/api";
import { ApiError, type KubeObject } from "@fleetwright/kube";
import { groupKindName } from "../core/usage-index.ts";
import { deployments, jobs, type WorkloadKind } from "../core/workload-kind.ts";

export interface StoredEvent {
  readonly version: number;
  readonly type: "PUT" | "DELETE";
  readonly object: KubeObject;
}

export const simKinds: Readonly<Record<string, WorkloadKind>> = { "deployments.apps": deployments, "jobs.batch": jobs };

/** What a workload of the simulation asks for: CPUs, one per replica. */
export function cpusOf(object: KubeObject): number {
  const spec = (object as { spec?: { replicas?: number; parallelism?: number } }).spec;
  return spec?.replicas ?? spec?.parallelism ?? 0;
}

const template = { spec: { containers: [{ name: "main", resources: { limits: { cpu: "1" } } }] } };

export function simWorkload(kind: string, name: string, uid: string, group: string, cpus: number): KubeObject {
  const metadata = { name, namespace: "ns", uid, labels: { [groupLabel]: group } };
  const spec = kind === "jobs.batch" ? { parallelism: cpus, template } : { replicas: cpus, template };
  return { metadata, spec } as KubeObject;
}

/** An API server's storage: one revision for everything, compare-and-swap on writes, and a log that watches follow. */
export class World {
  #revision = 10;
  readonly #objects = new Map<string, KubeObject>();
  readonly #log = new Map<string, StoredEvent[]>();
  /** Called after each change. */
  onChange: () => void = () => {};

  get revision(): number {
    return this.#revision;
  }

  get(kind: string, name: string): KubeObject | undefined {
    return this.#objects.get(`${kind}/${name}`);
  }

  list(kind: string): readonly KubeObject[] {
    return [...this.#objects].filter(([key]) => key.startsWith(`${kind}/`)).map(([, object]) => object);
  }

  log(kind: string): readonly StoredEvent[] {
    return this.#log.get(kind) ?? [];
  }

  group(name: string): BizGroupResourceQuota | undefined {
    return this.get(groupKindName, name) as BizGroupResourceQuota | undefined;
  }

  /** @param base the version that is replaced; `""` to create @throws ApiError 409 */
  put(kind: string, object: KubeObject, base: string): KubeObject {
    const name = object.metadata.name ?? "";
    const before = this.get(kind, name);
    if ((before?.metadata.resourceVersion ?? "") !== base) {
      const reason = base === "" ? "AlreadyExists" : "Conflict";
      throw new ApiError(409, { code: 409, reason, message: `${kind} "${name}" was changed` });
    }
    const version = String(++this.#revision);
    const stored = { ...object, metadata: { ...object.metadata, resourceVersion: version } };
    this.#objects.set(`${kind}/${name}`, stored);
    this.#append(kind, { version: this.#revision, type: "PUT", object: stored });
    return stored;
  }

  delete(kind: string, name: string): void {
    const before = this.get(kind, name);
    if (!before) return;
    this.#objects.delete(`${kind}/${name}`);
    const version = ++this.#revision;
    const object = { ...before, metadata: { ...before.metadata, resourceVersion: String(version) } };
    this.#append(kind, { version, type: "DELETE", object });
  }

  #append(kind: string, event: StoredEvent): void {
    const log = this.#log.get(kind);
    if (log) log.push(event);
    else this.#log.set(kind, [event]);
    this.onChange();
  }
}
