import type { Client, KubeObject, ObjectKey, PodTemplateSpec, Resource } from "@fleetwright/kube";

/** What a scenario does to a cluster. Every step ends when nothing has changed for a while. */
export interface Steps {
  readonly namespace: string;
  readonly client: Client;
  create<T extends KubeObject>(resource: Resource<T>, object: Named<T>): Promise<void>;
  /** JSON merge patch. */
  patch(resource: Resource, name: string, patch: unknown, subresource?: string): Promise<void>;
  remove(resource: Resource, name: string, propagationPolicy?: "Background" | "Foreground" | "Orphan"): Promise<void>;
  /** An eviction; a refusal is part of what happens. */
  evict(pod: string): Promise<void>;
  /** The names of the namespace's objects of a kind, in order of creation. */
  names(resource: Resource): Promise<readonly string[]>;
  /** Lets so much time pass. */
  pass(ms: number): Promise<void>;
}

/** An object without its namespace, which the scenario has. */
export type Named<T extends KubeObject> = Omit<T, "metadata"> & {
  readonly metadata: Omit<T["metadata"], "namespace"> & { readonly name: string };
};

export interface Scenario {
  /** Unique; a part of the namespace's name. */
  readonly name: string;
  /** It is about nodes or their room: nothing else runs meanwhile. */
  readonly exclusive?: boolean;
  readonly steps: readonly ((steps: Steps) => Promise<void>)[];
}

export const scenario = (name: string, ...steps: Scenario["steps"]): Scenario => ({ name, steps });
export const exclusive = (name: string, ...steps: Scenario["steps"]): Scenario => ({ name, steps, exclusive: true });

/** Labels by which a workload finds its pods. */
export const app = (name: string): Readonly<Record<string, string>> => ({ app: name });

/** A template whose pods live as the annotations say (packages/nodes). */
export function template(
  name: string,
  options: {
    readonly annotations?: Readonly<Record<string, string>>;
    readonly spec?: object;
    readonly labels?: Readonly<Record<string, string>>;
  } = {},
): PodTemplateSpec {
  const { annotations, spec = {}, labels = {} } = options;
  return {
    metadata: { labels: { ...app(name), ...labels }, ...(annotations === undefined ? {} : { annotations }) },
    spec: { containers: [{ name: "main", image: "registry.example/main:1" }], ...spec },
  };
}

export const life = {
  runFor: (text: string) => ({ "nodes.fleetwright.dev/run-for": text }),
  fails: (code: string) => ({ "nodes.fleetwright.dev/run-for": "1s", "nodes.fleetwright.dev/exit-code": code }),
  neverReady: { "nodes.fleetwright.dev/ready-after": "1h" },
  readyAfter: (text: string) => ({ "nodes.fleetwright.dev/ready-after": text }),
} as const;

export const keyIn = (namespace: string, name: string): ObjectKey => ({ namespace, name });
