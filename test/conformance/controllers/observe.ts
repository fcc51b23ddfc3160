import {
  ConfigMaps,
  ControllerRevisions,
  CronJobs,
  DaemonSets,
  Deployments,
  Endpoints,
  EndpointSlices,
  Events,
  HorizontalPodAutoscalers,
  Jobs,
  PersistentVolumeClaims,
  PodDisruptionBudgets,
  Pods,
  ReplicaSets,
  ReplicationControllers,
  ResourceQuotas,
  ServiceAccounts,
  Services,
  StatefulSets,
} from "@fleetwright/kube";
import type { Client, Event, KubeObject, Resource } from "@fleetwright/kube";
import { milestone, Naming, stateOf } from "./normalise.ts";
import type { State } from "./normalise.ts";

const followed: readonly Resource[] = [
  Pods,
  ReplicaSets,
  Deployments,
  ReplicationControllers,
  StatefulSets,
  DaemonSets,
  ControllerRevisions,
  Jobs,
  CronJobs,
  Endpoints,
  EndpointSlices,
  PodDisruptionBudgets,
  ResourceQuotas,
  HorizontalPodAutoscalers,
  ServiceAccounts,
  ConfigMaps,
  PersistentVolumeClaims,
  Services,
];

/** What was seen of one scenario. By `Kind/name`. */
export interface Run {
  /** What there was at each quiet moment, in full. */
  readonly quiet: readonly Readonly<Record<string, State>>[];
  /** What each object passed through, without counters. */
  readonly passed: Readonly<Record<string, readonly string[]>>;
  /** `type reason about: message` */
  readonly events: readonly string[];
}

/** Follows a namespace from its beginning to its end. */
export class Observer {
  readonly #client: Client;
  readonly #namespace: string;
  readonly #keepNodes: boolean;
  readonly #stop = new AbortController();
  readonly #watching: Promise<void>[] = [];
  readonly #present = new Map<string, KubeObject>();
  readonly #history: { readonly key: string; readonly object: KubeObject | undefined }[] = [];
  readonly #events = new Map<string, Event>();
  readonly #quiet: ReadonlyMap<string, KubeObject>[] = [];
  /** Grows with everything that is seen. */
  changes = 0;

  constructor(client: Client, namespace: string, keepNodes: boolean) {
    this.#client = client;
    this.#namespace = namespace;
    this.#keepNodes = keepNodes;
  }

  start(): void {
    for (const resource of [...followed, Events]) this.#watching.push(this.#follow(resource));
  }

  async #follow(resource: Resource): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        for await (const { type, object } of this.#client.watch(resource, { namespace: this.#namespace, signal })) {
          if (type !== "BOOKMARK") this.#see(resource, type, object);
        }
      } catch (error) {
        if (!signal.aborted) throw error;
      }
    }
  }

  #see(resource: Resource, type: string, object: KubeObject): void {
    this.changes += 1;
    const key = `${resource.kind}/${object.metadata.name}`;
    if (resource === (Events as Resource)) {
      // The nodes are simulated on both sides.
      if ((object as Event).source?.component === "kubelet") return;
      this.#events.set(key, object as Event);
      return;
    }
    if (type === "DELETED") this.#present.delete(key);
    else this.#present.set(key, object);
    this.#history.push({ key: `${key}/${object.metadata.uid}`, object: type === "DELETED" ? undefined : object });
  }

  /** A quiet moment: what there is now counts in full. */
  mark(): void {
    this.#quiet.push(new Map(this.#present));
  }

  async end(): Promise<Run> {
    this.#stop.abort();
    await Promise.all(this.#watching);
    const naming = new Naming();
    naming.learn(this.#history);
    const passed: Record<string, string[]> = {};
    for (const { key, object } of this.#history) {
      const [kind = "", name = ""] = key.split("/");
      const id = `${kind}/${naming.text(name)}`;
      const states = (passed[id] ??= []);
      const text = object === undefined ? "gone" : JSON.stringify(milestone(stateOf(object, naming, this.#keepNodes)));
      if (states.at(-1) !== text) states.push(text);
    }
    const quiet = this.#quiet.map((present) => {
      const entries = Array.from(
        present.values(),
        (object) =>
          [
            `${object.kind}/${naming.text(object.metadata.name ?? "")}`,
            stateOf(object, naming, this.#keepNodes),
          ] as const,
      );
      return Object.fromEntries(entries.toSorted(([left], [right]) => (left < right ? -1 : 1)));
    });
    const events = Array.from(this.#events.values(), ({ type, reason, involvedObject, message = "" }) => {
      const text = naming.text(message);
      return `${type} ${reason} ${involvedObject.kind}/${naming.text(involvedObject.name ?? "")}: ${this.#keepNodes ? text : text.replaceAll(/\bnode-\d+\b/g, "<node>")}`;
    });
    return { quiet, passed, events: [...new Set(events)].toSorted() };
  }
}
