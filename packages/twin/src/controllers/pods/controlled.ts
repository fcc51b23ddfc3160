import { controllerOf, compareResourceVersions } from "@fleetwright/kube";
import type { Informer, KubeObject } from "@fleetwright/kube";

/** The index of objects by their controller's UID; those of none are under `orphans/<namespace>`. */
export const controllerIndex = "controller";

const orphansOf = (namespace: string | undefined): string => `orphans/${namespace ?? ""}`;

export const byController = (object: KubeObject): readonly string[] => [
  controllerOf(object)?.uid ?? orphansOf(object.metadata.namespace),
];

/** What an owner controls, and what of its namespace nobody does. */
export function controlledOrOrphaned<T extends KubeObject>(informer: Informer<T>, owner: KubeObject): readonly T[] {
  const { uid = "", namespace } = owner.metadata;
  const own = informer.byIndex(controllerIndex, uid);
  const orphans = informer.byIndex(controllerIndex, orphansOf(namespace));
  return orphans.length === 0 ? own : [...own, ...orphans];
}

export const controlledBy = <T extends KubeObject>(informer: Informer<T>, owner: KubeObject): readonly T[] =>
  informer.byIndex(controllerIndex, owner.metadata.uid ?? "");

/**
 * What a controller wrote and its cache may not show yet. Upstream counts the events that it waits for (`ControllerExpectations`);
 * since versions of a kind can be compared (KEP-5504), the newest one written says it.
 */
export class WrittenVersions {
  readonly #informer: Informer<KubeObject>;
  readonly #versions = new Map<string, string>();

  constructor(informer: Informer<KubeObject>) {
    this.#informer = informer;
  }

  /** Notes what a write for this key answered; a Status says no version. */
  note(key: string, answer: unknown): void {
    const version = (answer as Partial<KubeObject> | undefined)?.metadata?.resourceVersion;
    if (version === undefined || version === "") return;
    const known = this.#versions.get(key);
    if (known === undefined || compareResourceVersions(version, known) > 0) this.#versions.set(key, version);
  }

  /** Whether the cache shows all that was written for this key. */
  caughtUp(key: string): boolean {
    const version = this.#versions.get(key);
    if (version === undefined) return true;
    if (compareResourceVersions(this.#informer.resourceVersion || "0", version) < 0) return false;
    this.#versions.delete(key);
    return true;
  }

  forget(key: string): void {
    this.#versions.delete(key);
  }
}

/** How long to wait for an event that should come by itself. */
export const catchUpMs = 1_000;
