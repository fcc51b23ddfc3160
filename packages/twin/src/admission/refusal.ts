import type { AdmissionAttributes } from "../machinery/admission.ts";
import { refusals, type StatusError } from "../machinery/status-error.ts";

/** The 403 of a plugin: `admission.NewForbidden` (apiserver/pkg/admission/errors.go). */
export function refusal(attributes: AdmissionAttributes, reason: string): StatusError {
  const metadata = attributes.object?.["metadata"] as { name?: string; generateName?: string } | undefined;
  const name = [attributes.name, metadata?.name, metadata?.generateName].find((text) => (text ?? "") !== "");
  const { group, resource } = attributes.resource;
  return refusals.forbidden({ group, resource }, name ?? "Unknown", reason);
}

/** `pods`, `deployments.apps`. */
export const groupResource = ({ resource }: AdmissionAttributes): string =>
  resource.group === "" ? resource.resource : `${resource.resource}.${resource.group}`;

/** The object itself of this resource, not something below it. */
export const isObjectOf = (attributes: AdmissionAttributes, resource: string): boolean =>
  attributes.subresource === "" && attributes.object !== undefined && groupResource(attributes) === resource;
