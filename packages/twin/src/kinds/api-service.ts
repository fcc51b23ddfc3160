import type { APIService } from "@fleetwright/kube";
import { defineStrategy } from "../machinery/kind.ts";
import { fieldErrors, type FieldError } from "../machinery/status-error.ts";
import { keepMetadata } from "./metadata.ts";
import { dns1035LabelProblems, dns1123SubdomainProblems, pathSegmentProblems } from "./name-checks.ts";
import { invalidFor } from "./value-checks.ts";

/** k8s.io/kube-aggregator/pkg/apis/apiregistration/validation. */
function apiServiceErrors(apiService: APIService): FieldError[] {
  const { metadata, spec } = apiService;
  const { group = "", version = "", service, caBundle = "", insecureSkipTLSVerify = false } = spec ?? {};
  const errors: FieldError[] = [];
  const { name = "" } = metadata;
  const expected = `${version}.${group}`;
  if (name !== "" && name !== expected && pathSegmentProblems(name, false).length === 0) {
    errors.push(
      fieldErrors.invalid(
        "metadata.name",
        name,
        `must be \`spec.version+"."+spec.group\`: ${JSON.stringify(expected)}`,
      ),
    );
  }
  if (group === "" && version !== "v1") {
    errors.push(fieldErrors.required("spec.group", "only v1 may have an empty group and it better be legacy kube"));
  }
  if (group !== "") errors.push(...invalidFor("spec.group", group, dns1123SubdomainProblems(group)));
  errors.push(...invalidFor("spec.version", version, dns1035LabelProblems(version)));
  const priority = (field: string, value: number, maximum: number): void => {
    if (value <= 0 || value > maximum) {
      errors.push(fieldErrors.invalid(field, value, `must be positive and less than ${maximum}`));
    }
  };
  priority("spec.groupPriorityMinimum", spec?.groupPriorityMinimum ?? 0, 20_000);
  priority("spec.versionPriority", spec?.versionPriority ?? 0, 1000);
  if (service === undefined) {
    if (caBundle !== "") {
      const bytes = `${Buffer.byteLength(caBundle, "base64")} bytes`;
      errors.push(fieldErrors.invalid("spec.caBundle", bytes, "local APIServices may not have a caBundle"));
    }
    if (insecureSkipTLSVerify) {
      const rule = "local APIServices may not have insecureSkipTLSVerify";
      errors.push(fieldErrors.invalid("spec.insecureSkipTLSVerify", true, rule));
    }
    return errors;
  }
  const { namespace = "", name: serviceName = "", port = 0 } = service;
  if (namespace === "") errors.push(fieldErrors.required("spec.service.namespace"));
  if (serviceName === "") errors.push(fieldErrors.required("spec.service.name"));
  if (port < 1 || port > 65_535) {
    const rule = "port is not valid: must be between 1 and 65535, inclusive";
    errors.push(fieldErrors.invalid("spec.service.port", port, rule));
  }
  if (insecureSkipTLSVerify && caBundle !== "") {
    errors.push(fieldErrors.invalid("spec.insecureSkipTLSVerify", true, "may not be true if caBundle is present"));
  }
  return errors;
}

/** k8s.io/kube-aggregator/pkg/registry/apiservice. */
export const apiServiceStrategy = defineStrategy<APIService>({
  hasStatus: true,
  allowUnconditionalUpdate: false,
  nameProblems: pathSegmentProblems,
  defaults(apiService) {
    const { service } = apiService.spec ?? {};
    if (service) service.port ??= 443;
  },
  prepareForCreate(apiService, { nowMs }) {
    if (apiService.spec?.service !== undefined) {
      apiService.status = {};
      return;
    }
    apiService.status = {
      conditions: [
        {
          type: "Available",
          status: "True",
          lastTransitionTime: new Date(nowMs).toISOString().replace(/\.[0-9]+Z$/, "Z"),
          reason: "Local",
          message: "Local APIServices are always available",
        },
      ],
    };
  },
  prepareForStatusUpdate: (apiService, old) => keepMetadata(apiService.metadata, old.metadata),
  validate: apiServiceErrors,
  validateStatusUpdate: (apiService) =>
    (apiService.status?.conditions ?? []).flatMap(({ status }, index) =>
      ["True", "False", "Unknown"].includes(status)
        ? []
        : [fieldErrors.notSupported(`status.conditions[${index}].status`, status, ["True", "False", "Unknown"])],
    ),
});
