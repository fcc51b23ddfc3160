import { admissionregistrationStrategies } from "../kinds/admissionregistration.ts";
import { certificateStrategies, certificateSubresources } from "../kinds/certificates.ts";
import { flowcontrolStrategies } from "../kinds/flowcontrol.ts";
import { otherConversions, otherStrategies, otherSubresources } from "../kinds/other-kinds.ts";
import { workloadSubresources } from "../kinds/pod-subresources.ts";
import { rbacStrategies } from "../kinds/rbac.ts";
import { workloadConversions, workloadStrategies } from "../kinds/workloads.ts";
import type { Subresource } from "../machinery/kind.ts";
import type { KindRules } from "./builtin-kinds.ts";
import { definitionStrategy } from "./custom-kinds.ts";

type Handler = Omit<Subresource, "kind" | "schema" | "verbs">;

/** The rules of all built-in kinds, from the rooms that hold them. */
export function builtinRules(parts: { readonly tokenSubresource: Handler }): KindRules {
  return {
    strategies: {
      ...workloadStrategies,
      ...otherStrategies,
      ...rbacStrategies,
      ...flowcontrolStrategies,
      ...certificateStrategies,
      ...admissionregistrationStrategies,
      "apiextensions.k8s.io/CustomResourceDefinition": definitionStrategy,
    },
    subresources: {
      ...workloadSubresources,
      ...otherSubresources,
      ...certificateSubresources,
      "/ServiceAccount": [parts.tokenSubresource],
    },
    conversions: { ...workloadConversions, ...otherConversions },
  };
}
