import type { Service } from "@fleetwright/kube";
import { copyJson } from "../machinery/draft.ts";
import { defineStrategy } from "../machinery/kind.ts";
import { labelName } from "./name-checks.ts";
import { allocate } from "./service-allocation.ts";
import { fillFamilies } from "./service-families.ts";
import {
  defaultService,
  dropTypeDependentFields,
  keepAllocated,
  normalizeClusterIps,
  specOf,
  type ServiceDraft,
} from "./service-fields.ts";
import { serviceErrors, serviceStatusErrors, serviceUpdateErrors, serviceWarnings } from "./service-validation.ts";

/** pkg/registry/core/service. */
export const serviceStrategy = defineStrategy<Service>({
  hasStatus: true,
  allowCreateOnUpdate: true,
  nameProblems: labelName,
  selectableFields: ["spec.clusterIP", "spec.type"],
  fieldValue: (service, field) => (field === "spec.clusterIP" ? specOf(service).clusterIP : specOf(service).type) ?? "",
  defaults: defaultService,
  prepareForCreate(service) {
    service.status = { loadBalancer: {} };
    normalizeClusterIps(service, undefined);
  },
  // Upstream fills in families before it validates, and stops when that fails.
  validate(service) {
    const filled = copyJson(service) as ServiceDraft;
    const early = fillFamilies(filled, undefined, undefined);
    return early.length > 0 ? early : serviceErrors(filled, undefined);
  },
  prepareForUpdate(service, old) {
    keepAllocated(service, old);
    normalizeClusterIps(service, old);
    fillFamilies(service, old, undefined);
    dropTypeDependentFields(service, old);
  },
  validateUpdate(service, old) {
    const early = fillFamilies(copyJson(service) as ServiceDraft, old, undefined);
    return early.length > 0 ? early : serviceUpdateErrors(service, old);
  },
  validateStatusUpdate: serviceStatusErrors,
  warnings: serviceWarnings,
  beforeStore: allocate,
});
