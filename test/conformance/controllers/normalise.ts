import type { KubeObject } from "@fleetwright/kube";

/** A state of an object, without what differs from run to run. */
export type State = Readonly<Record<string, unknown>>;

const timePattern = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/;
const uidPattern = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g;
const addressPattern = /\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b/g;
const dropped = new Set([
  "uid",
  "resourceVersion",
  "creationTimestamp",
  "managedFields",
  "containerID",
  "imageID",
  "selfLink",
  "containerIDs",
  "nodePort",
  "healthCheckNodePort",
]);
const hashLabels = ["pod-template-hash", "controller-revision-hash", "controller.kubernetes.io/hash"];

/**
 * Gives generated names and hashes stable ones. Which of several equal pods goes is nobody's concern: those that go are counted first, in the order in
 * which they go, then those that stay, in the order in which they came.
 */
export class Naming {
  readonly #names = new Map<string, string>();
  readonly #counts = new Map<string, number>();

  /** @param history what was seen, in its order; without an object: it is gone */
  learn(history: readonly { readonly key: string; readonly object: KubeObject | undefined }[]): void {
    const known = new Map<string, KubeObject>();
    const gone: KubeObject[] = [];
    for (const { key, object } of history) {
      if (object !== undefined) {
        known.set(key, object);
        for (const label of hashLabels) this.#learnHash(object.metadata.labels?.[label]);
      } else {
        const last = known.get(key);
        if (last !== undefined) gone.push(last);
        known.delete(key);
      }
    }
    for (const object of [...gone, ...known.values()]) this.#learnName(object);
  }

  #learnHash(hash: string | undefined): void {
    if (hash !== undefined) this.#give(hash.split("-").at(-1) ?? hash, "hash");
  }

  #learnName({ metadata }: KubeObject): void {
    const { name = "", generateName = "", labels = {} } = metadata;
    if (
      generateName === "" ||
      !name.startsWith(generateName) ||
      labels["statefulset.kubernetes.io/pod-name"] !== undefined
    )
      return;
    this.#give(name, this.text(generateName));
  }

  #give(text: string, prefix: string): void {
    if (this.#names.has(text)) return;
    const count = (this.#counts.get(prefix) ?? 0) + 1;
    this.#counts.set(prefix, count);
    this.#names.set(text, prefix === "hash" ? `<hash${count}>` : `${prefix}<${count}>`);
  }

  text(text: string): string {
    let result = text;
    // Longer ones first: a pod's name has its set's in it.
    for (const [name, stable] of [...this.#names].toSorted(([left], [right]) => right.length - left.length)) {
      if (result.includes(name)) result = result.replaceAll(name, stable);
    }
    return (
      result
        .replaceAll(uidPattern, "<uid>")
        .replaceAll(addressPattern, "<ip>")
        .replaceAll(/kube-api-access-[a-z0-9]{5}/g, "kube-api-access")
        // Of an object that was refused.
        .replaceAll(/-[bcdfghjklmnpqrstvwxz2456789]{5}(?=\\?" is forbidden)/g, "-<refused>")
    );
  }
}

function cleaned(value: unknown, naming: Naming, keepNodes: boolean, key = ""): unknown {
  if (typeof value === "string") {
    if (timePattern.test(value)) return "<time>";
    // Every cluster has an authority of its own.
    if (key === "ca.crt" && value !== "mine") return "<authority>";
    if (!keepNodes && (key === "nodeName" || key === "host")) return "<node>";
    const text = naming.text(value);
    return keepNodes ? text : text.replaceAll(/\bnode-\d+\b/g, "<node>");
  }
  if (Array.isArray(value)) {
    const list = value.map((item) => cleaned(item, naming, keepNodes));
    // Conditions are told in the order in which they came up.
    return key === "conditions" ? list.toSorted(byType) : list;
  }
  if (typeof value !== "object" || value === null) return value;
  const result: Record<string, unknown> = {};
  for (const [name, item] of Object.entries(value))
    if (!dropped.has(name)) result[naming.text(name)] = cleaned(item, naming, keepNodes, name);
  return result;
}

const byType = (left: unknown, right: unknown): number =>
  JSON.stringify((left as { type?: string }).type) < JSON.stringify((right as { type?: string }).type) ? -1 : 1;

/** Annotations whose values are times or whole objects. */
const unsteady = [
  "endpoints.kubernetes.io/last-change-trigger-time",
  "kubectl.kubernetes.io/last-applied-configuration",
];

export function stateOf(object: KubeObject, naming: Naming, keepNodes: boolean): State {
  const { metadata, apiVersion: _version, kind: _kind, ...rest } = object as KubeObject & Record<string, unknown>;
  const {
    annotations,
    deletionTimestamp,
    name: _name,
    namespace: _namespace,
    generation: _generation,
    ...meta
  } = metadata;
  const kept = Object.fromEntries(Object.entries(annotations ?? {}).filter(([key]) => !unsteady.includes(key)));
  return cleaned(
    {
      ...meta,
      ...(Object.keys(kept).length > 0 && { annotations: kept }),
      ...(deletionTimestamp !== undefined && { going: true }),
      ...rest,
    },
    naming,
    keepNodes,
  ) as State;
}

/** A state without what only counts: between two quiet moments, counters go their own ways. */
export function milestone(state: State): State {
  return uncounted(state) as State;
}

function uncounted(value: unknown, key = ""): unknown {
  if (typeof value === "number")
    return ["replicas", "partition", "exitCode", "restartCount", "minReadySeconds"].includes(key) && key !== "replicas"
      ? value
      : undefined;
  if (typeof value === "string") return key === "message" ? undefined : value;
  if (Array.isArray(value)) return value.map((item) => uncounted(item));
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value)
    .map(([name, item]) => [name, uncounted(item, name)] as const)
    .filter(
      ([name, item]) =>
        item !== undefined &&
        name !== "uncountedTerminatedPods" &&
        name !== "completedIndexes" &&
        name !== "failedIndexes",
    );
  return Object.fromEntries(entries);
}
