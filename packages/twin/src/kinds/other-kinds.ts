import type { Strategy, Subresource } from "../machinery/kind.ts";

/** The rules of every built-in kind but pods and workloads, by `group/Kind`. */
export const otherStrategies: Readonly<Record<string, Strategy>> = {};

/** What those kinds have below themselves, besides `status`. */
export const otherSubresources: Readonly<Record<string, readonly Omit<Subresource, "kind" | "schema" | "verbs">[]>> =
  {};
