import { apiGroup, BizGroupResourceQuotas, groupLabel, requireGroupLabel } from "@fleetwright/api";
import type { ValidatingWebhook, ValidatingWebhookConfiguration, WebhookClientConfig } from "@fleetwright/kube";
import { builtInKinds, type WorkloadKind } from "../core/workload-kind.ts";

export interface WebhookConfigurationOptions {
  /** Where the API server finds the manager. */
  readonly target:
    | { readonly kind: "url"; /** `https://127.0.0.1:9443`, without a path */ readonly url: string }
    | {
        readonly kind: "service";
        readonly namespace: string;
        readonly name: string;
        /** @default 443 */ readonly port?: number;
      };
  /** PEM, base64. Left out when somebody injects it. */
  readonly caBundle?: string;
  /** The manager's own namespace is never asked about: it must be able to start while its webhook is down. */
  readonly exemptNamespaces?: readonly string[];
  /** @default the built-in kinds */
  readonly kinds?: readonly WorkloadKind[];
  /** Demand the label everywhere, not only in namespaces that carry `fleetwright.dev/require-biz-group: "true"`. @default false */
  readonly requireEverywhere?: boolean;
  /** Namespaces in which the label is never demanded. @default ["kube-system", "kube-public", "kube-node-lease"] */
  readonly systemNamespaces?: readonly string[];
  /** @default 10 */
  readonly timeoutSeconds?: number;
}

export const webhookConfigurationName = "fleetwright-quota";

/** The paths that the handlers are served under. */
export const webhookPaths = {
  group: "/validate-bizrq",
  workload: "/validate-workload",
  scale: "/validate-scale",
  require: "/require-biz-group",
} as const;

const unchanged = {
  name: "spec-or-labels-change",
  expression:
    "request.operation != 'UPDATE' || object.?spec != oldObject.?spec || object.metadata.?labels != oldObject.metadata.?labels",
};
const grows = {
  name: "replicas-grow",
  expression: "object.?spec.?replicas.orValue(0) > oldObject.?spec.?replicas.orValue(0)",
};

/** What the API server asks us about, and how. */
export function webhookConfiguration(options: WebhookConfigurationOptions): ValidatingWebhookConfiguration {
  const { kinds = builtInKinds, exemptNamespaces = [], timeoutSeconds = 10 } = options;
  const { systemNamespaces = ["kube-system", "kube-public", "kube-node-lease"] } = options;
  const notIn = (namespaces: readonly string[]) =>
    namespaces.length === 0 ? [] : [{ key: "kubernetes.io/metadata.name", operator: "NotIn", values: [...namespaces] }];
  const demanded = options.requireEverywhere ? [] : [{ key: requireGroupLabel, operator: "In", values: ["true"] }];
  const rules = (resourcesOf: (kind: WorkloadKind) => readonly string[], operations: readonly string[]) =>
    [...Map.groupBy(kinds, ({ resource }) => `${resource.group}/${resource.version}`).values()].flatMap((same) => {
      const resources = same.flatMap(resourcesOf);
      const first = same[0]?.resource;
      if (!first || resources.length === 0) return [];
      return [{ apiGroups: [first.group], apiVersions: [first.version], operations, resources, scope: "Namespaced" }];
    });
  const common = {
    admissionReviewVersions: ["v1"],
    failurePolicy: "Fail",
    sideEffects: "NoneOnDryRun",
    matchPolicy: "Equivalent",
    timeoutSeconds,
  };
  const webhooks: readonly ValidatingWebhook[] = [
    {
      ...common,
      name: `bizrq.quota.${apiGroup}`,
      clientConfig: webhookClient(options, webhookPaths.group),
      rules: [
        {
          apiGroups: [BizGroupResourceQuotas.group],
          apiVersions: [BizGroupResourceQuotas.version],
          operations: ["CREATE", "UPDATE", "DELETE"],
          resources: [BizGroupResourceQuotas.plural],
          scope: "Cluster",
        },
      ],
      matchConditions: [
        { name: "spec-changes", expression: "request.operation != 'UPDATE' || object.spec != oldObject.spec" },
      ],
    },
    {
      ...common,
      name: `workload.quota.${apiGroup}`,
      clientConfig: webhookClient(options, webhookPaths.workload),
      objectSelector: { matchExpressions: [{ key: groupLabel, operator: "Exists" }] },
      namespaceSelector: { matchExpressions: notIn(exemptNamespaces) },
      rules: rules(
        ({ resource }) =>
          resource.kind === "Pod" ? [resource.plural, `${resource.plural}/resize`] : [resource.plural],
        ["CREATE", "UPDATE"],
      ),
      matchConditions: [unchanged],
    },
    {
      ...common,
      name: `scale.quota.${apiGroup}`,
      clientConfig: webhookClient(options, webhookPaths.scale),
      namespaceSelector: { matchExpressions: notIn(exemptNamespaces) },
      rules: rules(({ resource, scalable }) => (scalable ? [`${resource.plural}/scale`] : []), ["UPDATE"]),
      matchConditions: [grows],
    },
    {
      ...common,
      name: `require.quota.${apiGroup}`,
      clientConfig: webhookClient(options, webhookPaths.require),
      objectSelector: { matchExpressions: [{ key: groupLabel, operator: "DoesNotExist" }] },
      namespaceSelector: { matchExpressions: [...notIn([...exemptNamespaces, ...systemNamespaces]), ...demanded] },
      rules: rules(({ resource }) => [resource.plural], ["CREATE", "UPDATE"]),
      matchConditions: [unchanged],
    },
  ];
  return { metadata: { name: webhookConfigurationName }, webhooks };
}

/** How the API server reaches a path of the manager. */
export function webhookClient(
  { target, caBundle }: Pick<WebhookConfigurationOptions, "target" | "caBundle">,
  path: string,
): WebhookClientConfig {
  const ca = caBundle === undefined ? {} : { caBundle };
  if (target.kind === "url") return { ...ca, url: `${target.url}${path}` };
  const { namespace, name, port = 443 } = target;
  return { ...ca, service: { namespace, name, path, port } };
}
