import { eventConversion } from "../kinds/core-event.ts";
import { definitionStrategy } from "./custom-kinds.ts";
import { otherStrategies, otherSubresources } from "../kinds/other-kinds.ts";
import type { Subresource } from "../machinery/kind.ts";
import type { KindRules } from "./builtin-kinds.ts";

type Handler = Omit<Subresource, "kind" | "schema" | "verbs">;

/** The rules of all built-in kinds, from the rooms that hold them. */
export function builtinRules(parts: { readonly tokenSubresource: Handler }): KindRules {
  return {
    strategies: {
      ...otherStrategies,
      "apiextensions.k8s.io/CustomResourceDefinition": definitionStrategy,
    },
    subresources: { ...otherSubresources, "/ServiceAccount": [parts.tokenSubresource] },
    conversions: {
      "events.k8s.io/v1/Event": { storageVersion: "v1", conversion: eventConversion },
    },
  };
}
