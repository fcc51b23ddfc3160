import type {
  APIService,
  CertificateSigningRequest,
  ClusterRoleBinding,
  ComponentStatus,
  ConfigMap,
  FlowSchema,
  LabelSelector,
  Lease,
  MutatingAdmissionPolicy,
  MutatingAdmissionPolicyBinding,
  MutatingWebhookConfiguration,
  Namespace,
  Node,
  PriorityClass,
  PriorityLevelConfiguration,
  ResourceQuota,
  RoleBinding,
  RuntimeClass,
  Secret,
  ValidatingAdmissionPolicy,
  ValidatingAdmissionPolicyBinding,
  ValidatingWebhookConfiguration,
} from "@fleetwright/kube";
import type { TableColumn } from "../machinery/kind.ts";
import { quantityText } from "./cells.ts";
import { ageColumn, boolean, integer, nameColumn, text, wide } from "./column.ts";
import { humanDuration } from "./human-duration.ts";

const size = (map: object | null | undefined): number => Object.keys(map ?? {}).length;

function nodeStatus({ spec, status }: Node): string {
  // The last one counts, as in a map that is filled in order.
  const ready = status?.conditions?.findLast(({ type }) => type === "Ready")?.status;
  const words = [ready === undefined ? "Unknown" : ready === "True" ? "Ready" : "NotReady"];
  if (spec?.unschedulable === true) words.push("SchedulingDisabled");
  return words.join(",");
}

const rolePrefix = "node-role.kubernetes.io/";

function nodeRoles({ metadata }: Node): string {
  const roles = new Set<string>();
  for (const [label, value] of Object.entries(metadata.labels ?? {})) {
    if (label.startsWith(rolePrefix)) {
      if (label.length > rolePrefix.length) roles.add(label.slice(rolePrefix.length));
    } else if (label === "kubernetes.io/role" && value !== "") roles.add(value);
  }
  return [...roles].toSorted().join(",") || "<none>";
}

const nodeAddress = ({ status }: Node, wanted: string): string =>
  status?.addresses?.find(({ type }) => type === wanted)?.address ?? "<none>";

function kernel({ status }: Node): string {
  const { kernelVersion = "", architecture = "" } = status?.nodeInfo ?? {};
  return `${kernelVersion || "<unknown>"}${architecture === "" ? "" : ` (${architecture})`}`;
}

/** `cpu: 1/2, memory: 1Gi/2Gi`: limits, or all that are no limits. */
function quotaText({ status }: ResourceQuota, limits: boolean): string {
  return Object.keys(status?.hard ?? {})
    .filter((resource) => resource.startsWith("limits.") === limits)
    .toSorted()
    .map(
      (resource) => `${resource}: ${quantityText(status?.used?.[resource])}/${quantityText(status?.hard?.[resource])}`,
    )
    .join(", ");
}

type Binding = RoleBinding | ClusterRoleBinding;

const subjects = ({ subjects: all }: Binding, wanted: string): string =>
  (all ?? [])
    .filter(({ kind }) => kind === wanted)
    .map(({ name, namespace }) => (wanted === "ServiceAccount" ? `${namespace ?? ""}/${name}` : name))
    .join(", ");

const bindingColumns: readonly TableColumn[] = [
  nameColumn,
  text<Binding>("Role", "Role that is granted.", ({ roleRef }) => `${roleRef.kind}/${roleRef.name}`),
  ageColumn,
  wide<Binding>("Users", "Users who get it.", (binding) => subjects(binding, "User")),
  wide<Binding>("Groups", "Groups that get it.", (binding) => subjects(binding, "Group")),
  wide<Binding>("ServiceAccounts", "Service accounts that get it.", (binding) => subjects(binding, "ServiceAccount")),
];

function requestCondition({ status }: CertificateSigningRequest): string {
  const types = new Set((status?.conditions ?? []).map(({ type }) => type));
  const decision = types.has("Denied") ? "Denied" : types.has("Approved") ? "Approved" : "Pending";
  return `${decision}${types.has("Failed") ? ",Failed" : ""}${status?.certificate === undefined ? "" : ",Issued"}`;
}

type Webhooks = MutatingWebhookConfiguration | ValidatingWebhookConfiguration;

const webhookColumns: readonly TableColumn[] = [
  nameColumn,
  integer<Webhooks>("Webhooks", "How many webhooks there are.", ({ webhooks }) => webhooks?.length ?? 0),
  ageColumn,
];

const paramKind = (kind: { readonly apiVersion?: string; readonly kind?: string } | undefined): string =>
  kind === undefined ? "<unset>" : `${kind.apiVersion ?? ""}/${kind.kind ?? ""}`;

type PolicyBinding = ValidatingAdmissionPolicyBinding | MutatingAdmissionPolicyBinding;

/** Upstream prints this one selector as Go prints structures. */
function goSelectorText({ matchLabels = {}, matchExpressions = [] }: LabelSelector): string {
  const labels = Object.entries(matchLabels)
    .toSorted(([one], [other]) => (one < other ? -1 : 1))
    .map(([key, value]) => `${key}: ${value},`);
  const expressions = matchExpressions.map(
    ({ key, operator, values = [] }) =>
      `LabelSelectorRequirement{Key:${key},Operator:${operator},Values:[${values.join(" ")}],},`,
  );
  return `&LabelSelector{MatchLabels:map[string]string{${labels.join("")}},MatchExpressions:[]LabelSelectorRequirement{${expressions.join("")}},}`;
}

function paramReference({ spec }: PolicyBinding): string {
  const reference = spec?.paramRef;
  if (reference === undefined) return "<unset>";
  if (reference.name !== undefined && reference.name !== "") return `${reference.namespace || "*"}/${reference.name}`;
  return reference.selector === undefined ? "<unset>" : goSelectorText(reference.selector);
}

const policyBindingColumns: readonly TableColumn[] = [
  nameColumn,
  text<PolicyBinding>("PolicyName", "Policy that is bound.", ({ spec }) => spec?.policyName ?? ""),
  text<PolicyBinding>("ParamRef", "Object with the policy's parameters.", paramReference),
  ageColumn,
];

type Queuing = NonNullable<
  NonNullable<NonNullable<NonNullable<PriorityLevelConfiguration["spec"]>["limited"]>["limitResponse"]>["queuing"]
>;

const queuing = (name: string, description: string, field: keyof Queuing): TableColumn =>
  text<PriorityLevelConfiguration>(
    name,
    description,
    ({ spec }) => spec?.limited?.limitResponse?.queuing?.[field] ?? "<none>",
  );

function componentHealth({ conditions }: ComponentStatus): { status: string; message: string; error: string } {
  const healthy = conditions?.find(({ type }) => type === "Healthy");
  return {
    status: healthy === undefined ? "Unknown" : healthy.status === "True" ? "Healthy" : "Unhealthy",
    message: healthy?.message ?? "",
    error: healthy?.error ?? "",
  };
}

function availability({ status }: APIService): string {
  const condition = status?.conditions?.find(({ type }) => type === "Available");
  if (condition === undefined) return "Unknown";
  return condition.status === "True" || !condition.reason
    ? condition.status
    : `${condition.status} (${condition.reason})`;
}

/** Nodes, namespaces, configuration, and who may do what. */
export const clusterColumns: Readonly<Record<string, readonly TableColumn[]>> = {
  "/Node": [
    nameColumn,
    text<Node>("Status", "Whether the node is ready and takes pods.", nodeStatus),
    text<Node>("Roles", "Roles that its labels name.", nodeRoles),
    ageColumn,
    text<Node>("Version", "Version of its kubelet.", ({ status }) => status?.nodeInfo?.kubeletVersion ?? ""),
    wide<Node>("Internal-IP", "Address inside of the cluster.", (node) => nodeAddress(node, "InternalIP")),
    wide<Node>("External-IP", "Address outside of the cluster.", (node) => nodeAddress(node, "ExternalIP")),
    wide<Node>("OS-Image", "Operating system.", ({ status }) => status?.nodeInfo?.osImage || "<unknown>"),
    wide<Node>("Kernel-Version", "Kernel and architecture.", kernel),
    wide<Node>(
      "Container-Runtime",
      "Container runtime.",
      ({ status }) => status?.nodeInfo?.containerRuntimeVersion || "<unknown>",
    ),
  ],
  "/Namespace": [
    nameColumn,
    text<Namespace>("Status", "Active, or being deleted.", ({ status }) => status?.phase ?? ""),
    ageColumn,
  ],
  "/Secret": [
    nameColumn,
    text<Secret>("Type", "What the secret is for.", ({ type }) => type ?? ""),
    text<Secret>("Data", "How many keys it has.", ({ data }) => size(data)),
    ageColumn,
  ],
  "/ConfigMap": [
    nameColumn,
    text<ConfigMap>("Data", "How many keys it has.", ({ data, binaryData }) => size(data) + size(binaryData)),
    ageColumn,
  ],
  "/ServiceAccount": [nameColumn, ageColumn],
  "/ResourceQuota": [
    nameColumn,
    text<ResourceQuota>("Request", "Used and allowed requests and counts.", (quota) => quotaText(quota, false)),
    text<ResourceQuota>("Limit", "Used and allowed limits.", (quota) => quotaText(quota, true)),
    ageColumn,
  ],
  "/ComponentStatus": [
    nameColumn,
    text<ComponentStatus>(
      "Status",
      "Whether the component is healthy.",
      (component) => componentHealth(component).status,
    ),
    text<ComponentStatus>("Message", "What it says.", (component) => componentHealth(component).message),
    text<ComponentStatus>("Error", "What is wrong.", (component) => componentHealth(component).error),
  ],
  "rbac.authorization.k8s.io/RoleBinding": bindingColumns,
  "rbac.authorization.k8s.io/ClusterRoleBinding": bindingColumns,
  "certificates.k8s.io/CertificateSigningRequest": [
    nameColumn,
    ageColumn,
    text<CertificateSigningRequest>("SignerName", "Who is to sign.", ({ spec }) => spec.signerName || "<none>"),
    text<CertificateSigningRequest>("Requestor", "Who asks.", ({ spec }) => spec.username ?? ""),
    text<CertificateSigningRequest>("RequestedDuration", "For how long.", ({ spec }) =>
      spec.expirationSeconds === undefined ? "<none>" : humanDuration(spec.expirationSeconds * 1000),
    ),
    text<CertificateSigningRequest>("Condition", "What became of it.", requestCondition),
  ],
  "coordination.k8s.io/Lease": [
    nameColumn,
    text<Lease>("Holder", "Who holds it.", ({ spec }) => spec?.holderIdentity ?? ""),
    ageColumn,
  ],
  "scheduling.k8s.io/PriorityClass": [
    nameColumn,
    integer<PriorityClass>("Value", "Priority of the class's pods.", ({ value }) => value ?? 0),
    boolean<PriorityClass>(
      "Global-Default",
      "Whether pods without a class get it.",
      ({ globalDefault }) => globalDefault ?? false,
    ),
    ageColumn,
    text<PriorityClass>(
      "PreemptionPolicy",
      "Whether its pods may preempt.",
      ({ preemptionPolicy }) => preemptionPolicy ?? "",
    ),
  ],
  "node.k8s.io/RuntimeClass": [
    nameColumn,
    text<RuntimeClass>("Handler", "Configuration of the container runtime.", ({ handler }) => handler),
    ageColumn,
  ],
  "admissionregistration.k8s.io/MutatingWebhookConfiguration": webhookColumns,
  "admissionregistration.k8s.io/ValidatingWebhookConfiguration": webhookColumns,
  "admissionregistration.k8s.io/ValidatingAdmissionPolicy": [
    nameColumn,
    integer<ValidatingAdmissionPolicy>(
      "Validations",
      "How many rules there are.",
      ({ spec }) => spec?.validations?.length ?? 0,
    ),
    text<ValidatingAdmissionPolicy>("ParamKind", "Kind of the parameters.", ({ spec }) => paramKind(spec?.paramKind)),
    ageColumn,
  ],
  "admissionregistration.k8s.io/MutatingAdmissionPolicy": [
    nameColumn,
    integer<MutatingAdmissionPolicy>(
      "Mutations",
      "How many mutations there are.",
      ({ spec }) => spec?.mutations?.length ?? 0,
    ),
    text<MutatingAdmissionPolicy>("ParamKind", "Kind of the parameters.", ({ spec }) => paramKind(spec?.paramKind)),
    ageColumn,
  ],
  "admissionregistration.k8s.io/ValidatingAdmissionPolicyBinding": policyBindingColumns,
  "admissionregistration.k8s.io/MutatingAdmissionPolicyBinding": policyBindingColumns,
  "flowcontrol.apiserver.k8s.io/FlowSchema": [
    nameColumn,
    text<FlowSchema>(
      "PriorityLevel",
      "Priority level of its requests.",
      ({ spec }) => spec?.priorityLevelConfiguration.name ?? "",
    ),
    text<FlowSchema>("MatchingPrecedence", "Lower ones are tried first.", ({ spec }) => spec?.matchingPrecedence ?? 0),
    text<FlowSchema>(
      "DistinguisherMethod",
      "What makes a flow.",
      ({ spec }) => spec?.distinguisherMethod?.type ?? "<none>",
    ),
    ageColumn,
    text<FlowSchema>(
      "MissingPL",
      "Whether its priority level does not exist.",
      ({ status }) => status?.conditions?.find(({ type }) => type === "Dangling")?.status ?? "?",
    ),
  ],
  "flowcontrol.apiserver.k8s.io/PriorityLevelConfiguration": [
    nameColumn,
    text<PriorityLevelConfiguration>("Type", "Limited or exempt.", ({ spec }) => spec?.type ?? ""),
    text<PriorityLevelConfiguration>(
      "NominalConcurrencyShares",
      "Share of the server's requests at once.",
      ({ spec }) => spec?.limited?.nominalConcurrencyShares ?? "<none>",
    ),
    queuing("Queues", "How many queues there are.", "queues"),
    queuing("HandSize", "Among how many of them a flow is spread.", "handSize"),
    queuing("QueueLengthLimit", "How many requests wait in one.", "queueLengthLimit"),
    ageColumn,
  ],
  "apiregistration.k8s.io/APIService": [
    nameColumn,
    text<APIService>("Service", "Service that serves it.", ({ spec }) =>
      spec?.service === undefined ? "Local" : `${spec.service.namespace ?? ""}/${spec.service.name ?? ""}`,
    ),
    text<APIService>("Available", "Whether it answers.", availability),
    ageColumn,
  ],
};
