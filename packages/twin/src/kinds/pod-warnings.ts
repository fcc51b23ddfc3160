import type { Pod, PodTemplateSpec } from "@fleetwright/kube";

/** `GetWarningsForPodTemplate`. */
export function templateWarnings(
  _template: PodTemplateSpec | undefined,
  _old: PodTemplateSpec | undefined,
  _field: string,
): string[] {
  return [];
}

/** `GetWarningsForPod`. */
export const podWarnings = (_pod: Pod): string[] => [];
