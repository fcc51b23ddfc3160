import type { Pod, PodTemplateSpec } from "@fleetwright/kube";
import type { FieldError } from "../machinery/status-error.ts";

/** `ValidatePodTemplateSpec`. */
export function podTemplateErrors(_template: PodTemplateSpec, _field: string): FieldError[] {
  return [];
}

/** `ValidatePodCreate`. */
export const podErrors = (_pod: Pod, _old?: Pod): FieldError[] => [];
