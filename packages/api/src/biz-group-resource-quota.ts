import { Type } from "typebox";
import { conditions, type Condition } from "./condition.ts";
import type { CustomResource } from "./custom-resource.ts";
import { apiGroup } from "./labels.ts";
import type { ResourceMeta } from "./object-meta.ts";
import { quantityMap, withRules, type ResourceAmounts } from "./schema.ts";

/** Most keys of `spec.hard`: bounds the server's work on the rules and the size of the ledger. */
export const maxHardKeys = 128;

/** A group's name is used as a label's value. */
export const maxGroupNameLength = 63;

export interface BizGroupResourceQuotaSpec {
  /** `""` (or absent) at a root. Can't be changed. */
  readonly parentBizGroup?: string;
  readonly hard: ResourceAmounts;
}

export interface BizGroupResourceQuotaStatus {
  readonly hard?: ResourceAmounts;
  readonly used?: ResourceAmounts;
  readonly selfUsed?: ResourceAmounts;
  readonly lastReconcileTime?: string;
  readonly observedGeneration?: number;
  readonly conditions?: readonly Condition[];
  readonly ledger?: string;
}

/** A business group and what it may use: a node of the quota tree. */
export interface BizGroupResourceQuota {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: ResourceMeta;
  readonly spec: BizGroupResourceQuotaSpec;
  readonly status?: BizGroupResourceQuotaStatus;
}

/** Condition types of a group. */
export const groupConditions = {
  /** The controller has counted what the group uses. */
  ready: "Ready",
  /** More is used than `spec.hard` allows: `hard` was lowered, or objects came past admission. */
  overUse: "OverUse",
} as const;

/** Reasons of a group's conditions and events. */
export const groupReasons = {
  reconciled: "Reconciled",
  parentMissing: "ParentMissing",
  parentDoesNotCover: "ParentDoesNotCover",
  withinHard: "WithinHard",
  hardExceeded: "HardExceeded",
  holdExpired: "HoldExpired",
  driftRepaired: "DriftRepaired",
} as const;

const spec = withRules(
  Type.Object(
    {
      parentBizGroup: Type.String({
        default: "",
        maxLength: maxGroupNameLength,
        description:
          'The group whose remainder this group\'s hard is granted from; "" makes it a root. It must exist and can never be changed.',
      }),
      hard: withRules(
        quantityMap(
          "What the group and all groups below it may use together, by resource, as in a ResourceQuota: limits.cpu, requests.memory, " +
            "requests.nvidia.com/gpu, pods, count/deployments.apps, and with a model's name behind it, limits.cpu.A4 or " +
            "requests.nvidia.com/gpu.A30. A resource that is not named is not limited. A child names at least its parent's resources.",
          maxHardKeys,
        ),
        [
          {
            rule: "self.all(key, !key.startsWith('cash/'))",
            message: "budgets (cash/ keys) are not enforced yet: remove them",
            reason: "FieldValueForbidden",
          },
        ],
      ),
    },
    { required: ["hard"], description: "What is granted, and out of what." },
  ),
  [
    {
      rule: "self.parentBizGroup == oldSelf.parentBizGroup",
      message: "the parent of a group can't be changed: create another group",
      fieldPath: ".parentBizGroup",
    },
  ],
);

const status = Type.Object(
  {
    hard: Type.Optional(quantityMap("The spec.hard that used was last compared with.", maxHardKeys)),
    used: Type.Optional(
      quantityMap("What is taken of hard: selfUsed and the hard of the groups directly below.", maxHardKeys),
    ),
    selfUsed: Type.Optional(
      quantityMap("What the group's own workloads use, admitted ones that are about to appear included.", maxHardKeys),
    ),
    lastReconcileTime: Type.Optional(
      Type.String({
        format: "date-time",
        description: "When everything was last counted from the objects that exist.",
      }),
    ),
    observedGeneration: Type.Optional(
      Type.Integer({ format: "int64", description: "The metadata.generation that was last counted." }),
    ),
    conditions: Type.Optional(conditions),
    ledger: Type.Optional(
      Type.String({
        maxLength: 524288,
        description: "The book of admissions that no cache has shown yet. Written by the manager; not for reading.",
      }),
    ),
  },
  { description: "What is used. Written by the manager only." },
);

/** The kind `BizGroupResourceQuota`, `bizrq` for short. */
export const BizGroupResourceQuotas: CustomResource<BizGroupResourceQuota> = {
  group: apiGroup,
  version: "v1alpha1",
  kind: "BizGroupResourceQuota",
  plural: "bizgroupresourcequotas",
  singular: "bizgroupresourcequota",
  namespaced: false,
  shortNames: ["bizrq"],
  categories: ["fleetwright"],
  hasStatus: true,
  schema: withRules(
    Type.Object(
      { spec, status: Type.Optional(status) },
      {
        description:
          "A business group and what it may use. Workloads name it by the label biz.group.resource.quota; a group below another is granted its hard out of the upper one's remainder.",
      },
    ),
    [
      {
        rule: `self.metadata.name.size() <= ${maxGroupNameLength}`,
        message: `the name must have at most ${maxGroupNameLength} characters, since workloads carry it as a label`,
      },
      {
        rule: "self.spec.parentBizGroup != self.metadata.name",
        message: "a group can't be its own parent",
        fieldPath: ".spec.parentBizGroup",
      },
    ],
  ),
  columns: [
    { name: "Parent", type: "string", jsonPath: ".spec.parentBizGroup" },
    {
      name: "CPU Used",
      type: "string",
      jsonPath: ".status.used['limits\\.cpu']",
      description: "limits.cpu that is taken",
    },
    { name: "CPU", type: "string", jsonPath: ".spec.hard['limits\\.cpu']", description: "limits.cpu of spec.hard" },
    {
      name: "GPU Used",
      type: "string",
      jsonPath: ".status.used['requests\\.nvidia\\.com/gpu']",
      description: "requests.nvidia.com/gpu that is taken",
    },
    {
      name: "GPU",
      type: "string",
      jsonPath: ".spec.hard['requests\\.nvidia\\.com/gpu']",
      description: "requests.nvidia.com/gpu of spec.hard",
    },
    { name: "Memory Used", type: "string", jsonPath: ".status.used['limits\\.memory']", priority: 1 },
    { name: "Memory", type: "string", jsonPath: ".spec.hard['limits\\.memory']", priority: 1 },
    { name: "Over", type: "string", jsonPath: ".status.conditions[?(@.type=='OverUse')].status", priority: 1 },
    { name: "Reconciled", type: "date", jsonPath: ".status.lastReconcileTime", priority: 1 },
    { name: "Age", type: "date", jsonPath: ".metadata.creationTimestamp" },
  ],
};
