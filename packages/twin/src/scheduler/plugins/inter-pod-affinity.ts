import { everything, matchesLabels, selectorOf } from "@fleetwright/kube";
import type { Pod, PodAffinityTerm, Selector } from "@fleetwright/kube";
import type { NodeInfo, PodInfo, Snapshot } from "../snapshot.ts";

/** Affinity between pods (plugins/interpodaffinity). */

const affinityReason = "node(s) didn't match pod affinity rules";
const antiAffinityReason = "node(s) didn't match pod anti-affinity rules";
const existingAntiAffinityReason = "node(s) didn't satisfy existing pods anti-affinity rules";

/** The labels of a namespace. */
export type NamespaceLabels = (name: string) => Readonly<Record<string, string>> | undefined;

interface Term {
  readonly topologyKey: string;
  matches(pod: Pod): boolean;
}

function compiled(term: PodAffinityTerm, owner: Pod, labelsOf: NamespaceLabels): Term {
  const selector: Selector = selectorOf(term.labelSelector);
  const named = new Set(term.namespaces);
  const byLabels = term.namespaceSelector === undefined ? undefined : selectorOf(term.namespaceSelector);
  if (named.size === 0 && byLabels === undefined) named.add(owner.metadata.namespace ?? "");
  const inNamespace = (name: string): boolean =>
    named.has(name) ||
    (byLabels !== undefined && (byLabels === everything || matchesLabels(byLabels, labelsOf(name) ?? {})));
  return {
    topologyKey: term.topologyKey,
    matches: ({ metadata }) => inNamespace(metadata.namespace ?? "") && matchesLabels(selector, metadata.labels),
  };
}

/** Counts by topology: `key=value`. */
type Counts = Map<string, number>;
const place = (key: string, value: string): string => `${key}\u0000${value}`;

function count(counts: Counts, key: string, node: NodeInfo, by = 1): void {
  const value = node.labels[key];
  if (value !== undefined) counts.set(place(key, value), (counts.get(place(key, value)) ?? 0) + by);
}

/** What one pod demands of the topology, gathered before nodes are looked at. */
export interface AffinityState {
  /** @returns the reason, and whether taking pods away could help */
  filter(node: NodeInfo): { readonly reason: string; readonly isResolvable: boolean } | undefined;
  score(node: NodeInfo): number;
  readonly hasScores: boolean;
}

/** `undefined`: nothing of this concerns the pod. */
export function affinityState(info: PodInfo, snapshot: Snapshot, labelsOf: NamespaceLabels): AffinityState | undefined {
  const { pod, spec } = info;
  const preferred = [
    ...(spec.affinity?.podAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? []).map((each) => ({
      ...each,
      sign: 1,
    })),
    ...(spec.affinity?.podAntiAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? []).map((each) => ({
      ...each,
      sign: -1,
    })),
  ].map(({ weight, podAffinityTerm, sign }) => ({
    weight: weight * sign,
    term: compiled(podAffinityTerm, pod, labelsOf),
  }));
  const affinity = info.requiredAffinity.map((term) => compiled(term, pod, labelsOf));
  const anti = info.requiredAntiAffinity.map((term) => compiled(term, pod, labelsOf));
  if (affinity.length + anti.length + preferred.length + snapshot.antiAffinityPods === 0) return undefined;

  const existing: Counts = new Map();
  const affinityCounts: Counts = new Map();
  const antiCounts: Counts = new Map();
  const scores: Counts = new Map();
  const looksAtAll = affinity.length + anti.length + preferred.length > 0;
  for (const node of snapshot.order) {
    if (!looksAtAll && node.antiAffinityPods === 0) continue;
    for (const other of node.pods.values()) {
      if (other.pod.metadata.deletionTimestamp !== undefined && !looksAtAll && other.requiredAntiAffinity.length === 0)
        continue;
      for (const raw of other.requiredAntiAffinity) {
        const term = compiled(raw, other.pod, labelsOf);
        if (term.matches(pod)) count(existing, term.topologyKey, node);
      }
      if (!looksAtAll) continue;
      if (affinity.length > 0 && affinity.every((term) => term.matches(other.pod))) {
        for (const { topologyKey } of affinity) count(affinityCounts, topologyKey, node);
      }
      for (const term of anti) if (term.matches(other.pod)) count(antiCounts, term.topologyKey, node);
      for (const { weight, term } of preferred)
        if (term.matches(other.pod)) count(scores, term.topologyKey, node, weight);
    }
  }
  // The first pod of a group that wants to be with itself goes anywhere.
  const isFirst = affinityCounts.size === 0 && affinity.every((term) => term.matches(pod));
  const countAt = (counts: Counts, key: string, node: NodeInfo): number =>
    counts.get(place(key, node.labels[key] ?? "")) ?? 0;
  const existingKeys = [...new Set([...existing.keys()].map((key) => key.split("\u0000")[0] ?? ""))];
  return {
    hasScores: scores.size > 0,
    filter(node) {
      const together = affinity.every(
        ({ topologyKey }) =>
          node.labels[topologyKey] !== undefined && (isFirst || countAt(affinityCounts, topologyKey, node) > 0),
      );
      if (!together) return { reason: affinityReason, isResolvable: false };
      if (anti.some(({ topologyKey }) => countAt(antiCounts, topologyKey, node) > 0))
        return { reason: antiAffinityReason, isResolvable: true };
      if (existingKeys.some((key) => countAt(existing, key, node) > 0))
        return { reason: existingAntiAffinityReason, isResolvable: true };
      return undefined;
    },
    score(node) {
      let total = 0;
      for (const key of new Set(preferred.map(({ term }) => term.topologyKey))) total += countAt(scores, key, node);
      return total;
    },
  };
}
