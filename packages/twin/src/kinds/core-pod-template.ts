import type { PodTemplate, ReplicationController } from "@fleetwright/kube";
import { copyJson } from "../machinery/draft.ts";
import { defineStrategy } from "../machinery/kind.ts";
import { fieldErrors, type FieldError } from "../machinery/status-error.ts";
import { defaultPodTemplate } from "./pod-defaults.ts";
import { dropDisabledFields } from "./pod-dropped-fields.ts";
import { podTemplateErrors } from "./pod-validation.ts";
import { templateWarnings } from "./pod-warnings.ts";
import { nonNegativeErrors } from "./value-checks.ts";
import { alwaysRunningErrors, replicaStatusErrors, whenChanged } from "./workload-checks.ts";

const templateErrors = ({ template }: PodTemplate): FieldError[] =>
  podTemplateErrors(template ?? { metadata: {}, spec: { containers: [] } }, "template");

/** pkg/registry/core/podtemplate. */
export const podTemplateStrategy = defineStrategy<PodTemplate>({
  hasGeneration: true,
  defaults(podTemplate) {
    podTemplate.template ??= { metadata: {} };
    defaultPodTemplate(podTemplate.template);
  },
  prepareForCreate(podTemplate) {
    dropDisabledFields(podTemplate.template?.spec, undefined);
  },
  prepareForUpdate(podTemplate, old) {
    dropDisabledFields(podTemplate.template?.spec, old.template?.spec);
  },
  validate: templateErrors,
  warnings: ({ template }, old) =>
    whenChanged(template, old?.template, () => templateWarnings(template, old?.template, "template")),
});

function controllerErrors({ spec }: ReplicationController): FieldError[] {
  if (!spec) return [];
  const errors = nonNegativeErrors("spec.minReadySeconds", spec.minReadySeconds ?? 0);
  const selector = Object.entries(spec.selector ?? {});
  if (selector.length === 0) errors.push(fieldErrors.required("spec.selector"));
  errors.push(...nonNegativeErrors("spec.replicas", spec.replicas ?? 0));
  const { template } = spec;
  if (!template) return [...errors, fieldErrors.required("spec.template")];
  const labels = template.metadata?.labels ?? {};
  if (selector.some(([key, value]) => labels[key] !== value)) {
    errors.push(
      fieldErrors.invalid(
        "spec.template.metadata.labels",
        template.metadata?.labels ?? null,
        "`selector` does not match template `labels`",
      ),
    );
  }
  return [
    ...errors,
    ...podTemplateErrors(template, "spec.template"),
    ...alwaysRunningErrors(template, "spec.template", "ReplicationController"),
  ];
}

/** pkg/registry/core/replicationcontroller. */
export const replicationControllerStrategy = defineStrategy<ReplicationController>({
  hasGeneration: true,
  hasStatus: true,
  defaultPropagation: "orphan",
  selectableFields: ["status.replicas"],
  fieldValue: (controller, field) => (field === "status.replicas" ? String(controller.status?.replicas ?? 0) : ""),
  defaults(controller) {
    controller.spec ??= {};
    const { spec } = controller;
    if (spec.template) {
      defaultPodTemplate(spec.template);
      const labels = spec.template.metadata?.labels;
      if (labels) {
        if (Object.keys(spec.selector ?? {}).length === 0) spec.selector = copyJson(labels);
        if (Object.keys(controller.metadata.labels ?? {}).length === 0) controller.metadata.labels = copyJson(labels);
      }
    }
    spec.replicas ??= 1;
    controller.status ??= { replicas: 0 };
    controller.status.replicas ??= 0;
  },
  prepareForCreate(controller) {
    controller.status = { replicas: 0 };
    dropDisabledFields(controller.spec?.template?.spec, undefined);
  },
  prepareForUpdate(controller, old) {
    dropDisabledFields(controller.spec?.template?.spec, old.spec?.template?.spec);
  },
  validate: controllerErrors,
  validateStatusUpdate: ({ status }) =>
    replicaStatusErrors({ ...status }, ["fullyLabeledReplicas", "readyReplicas", "availableReplicas"]),
  warnings: ({ spec }, old) =>
    whenChanged(spec, old?.spec, () => templateWarnings(spec?.template, old?.spec?.template, "spec.template")),
});
