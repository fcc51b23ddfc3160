import type { HTTPIngressPath, Ingress, IngressBackend, IngressClass } from "@fleetwright/kube";
import { defineStrategy } from "../machinery/kind.ts";
import { fieldErrors, type FieldError } from "../machinery/status-error.ts";
import { ipWarnings, legacyIpErrors, parseIp } from "./ip-checks.ts";
import {
  dns1123LabelProblems,
  dns1123SubdomainProblems,
  expressionProblem,
  labelName,
  pathSegmentProblems,
  portNameProblems,
  wildcardSubdomainProblems,
} from "./name-checks.ts";
import { immutableErrors, invalidFor, portErrors, textOf } from "./value-checks.ts";

const classAnnotation = "kubernetes.io/ingress.class";
const httpPath = String.raw`[A-Za-z0-9/\-._~%!$&'()*+,;=:]+`;
const httpPathPattern = new RegExp(`^${httpPath}$`);

const hostProblems = (host: string): string[] =>
  host.includes("*") ? wildcardSubdomainProblems(host) : dns1123SubdomainProblems(host);

interface Reference {
  readonly apiGroup?: string;
  readonly kind: string;
  readonly name: string;
}

function referenceErrors(reference: Reference, field: string): FieldError[] {
  // Go writes a missing group as null.
  const apiGroup = reference.apiGroup ?? undefined;
  const errors =
    apiGroup === undefined ? [] : invalidFor(`${field}.apiGroup`, apiGroup, dns1123SubdomainProblems(apiGroup));
  for (const part of ["kind", "name"] as const) {
    const value = textOf(reference[part]);
    if (value === "") errors.push(fieldErrors.required(`${field}.${part}`));
    else errors.push(...invalidFor(`${field}.${part}`, value, pathSegmentProblems(value, false)));
  }
  return errors;
}

function backendErrors(backend: IngressBackend | undefined, field: string): FieldError[] {
  const { resource, service } = backend ?? {};
  if (resource && service) {
    return [fieldErrors.invalid(field, "", "cannot set both resource and service backends")];
  }
  if (resource) return referenceErrors(resource, `${field}.resource`);
  if (!service) return [fieldErrors.invalid(field, "", "resource or service backend is required")];
  const name = textOf(service.name);
  const errors =
    name === ""
      ? [fieldErrors.required(`${field}.service.name`)]
      : invalidFor(`${field}.service.name`, name, dns1123LabelProblems(name));
  const { name: portName = "", number = 0 } = service.port ?? {};
  if (portName !== "" && number !== 0) {
    errors.push(fieldErrors.invalid(field, "", "cannot set both port name & port number"));
  } else if (portName !== "") {
    errors.push(...invalidFor(`${field}.service.port.name`, portName, portNameProblems(portName)));
  } else if (number !== 0) errors.push(...portErrors(`${field}.service.port.number`, number));
  else errors.push(fieldErrors.required(field, "port name or number is required"));
  return errors;
}

function pathErrors(rule: HTTPIngressPath, field: string): FieldError[] {
  const { path = "" } = rule;
  // Go writes a missing path type as null.
  const type = rule.pathType as string | null | undefined;
  if (type === undefined || type === null)
    return [fieldErrors.required(`${field}.pathType`, "pathType must be specified")];
  const errors: FieldError[] = [];
  const refuse = (detail: string): void => {
    errors.push(fieldErrors.invalid(`${field}.path`, path, detail));
  };
  if (type === "Exact" || type === "Prefix") {
    if (!path.startsWith("/")) refuse("must be an absolute path");
    for (const sequence of ["//", "/./", "/../", "%2f", "%2F"]) {
      if (path.includes(sequence)) refuse(`must not contain '${sequence}'`);
    }
    for (const suffix of ["/..", "/."]) if (path.endsWith(suffix)) refuse(`cannot end with '${suffix}'`);
  } else if (type === "ImplementationSpecific") {
    if (path !== "" && !path.startsWith("/")) refuse("must be an absolute path");
  } else {
    const types = ["Exact", "ImplementationSpecific", "Prefix"];
    errors.push(fieldErrors.notSupported(`${field}.pathType`, type, types));
  }
  return [...errors, ...backendErrors(rule.backend, `${field}.backend`)];
}

function ingressErrors(ingress: Ingress, old: Ingress | undefined): FieldError[] {
  const { rules = [], tls = [], defaultBackend, ingressClassName } = ingress.spec ?? {};
  const errors: FieldError[] = [];
  if (rules.length === 0 && defaultBackend === undefined) {
    errors.push(
      fieldErrors.invalid("spec", ingress.spec?.rules ?? null, "either `defaultBackend` or `rules` must be specified"),
    );
  }
  if (defaultBackend) errors.push(...backendErrors(defaultBackend, "spec.defaultBackend"));
  for (const [index, { host = "", http }] of rules.entries()) {
    const field = `spec.rules[${index}]`;
    if (host !== "") {
      if (parseIp(host)) {
        errors.push(fieldErrors.invalid(`${field}.host`, host, "must be a DNS name, not an IP address"));
      }
      errors.push(...invalidFor(`${field}.host`, host, hostProblems(host)));
    }
    if (http === undefined) continue;
    const paths = http.paths ?? [];
    if (paths.length === 0) errors.push(fieldErrors.required(`${field}.http.paths`));
    for (const [part, path] of paths.entries()) errors.push(...pathErrors(path, `${field}.http.paths[${part}]`));
  }
  const secretProblems = (name: string): string[] => (name === "" ? [] : dns1123SubdomainProblems(name));
  const keepsOldNames = (old?.spec?.tls ?? []).some(({ secretName = "" }) => secretProblems(secretName).length > 0);
  for (const [index, { hosts = [], secretName = "" }] of tls.entries()) {
    const field = `spec.tls[${index}]`;
    for (const [part, host] of hosts.entries()) {
      errors.push(...invalidFor(`${field}.hosts[${part}]`, host, hostProblems(host)));
    }
    if (!keepsOldNames) errors.push(...invalidFor(`${field}.secretName`, secretName, secretProblems(secretName)));
  }
  if (ingressClassName !== undefined) {
    errors.push(...invalidFor("spec.ingressClassName", ingressClassName, dns1123SubdomainProblems(ingressClassName)));
  }
  return errors;
}

/** pkg/registry/networking/ingress. */
export const ingressStrategy = defineStrategy<Ingress>({
  hasStatus: true,
  hasGeneration: true,
  validate(ingress) {
    const errors = ingressErrors(ingress, undefined);
    const annotation = ingress.metadata.annotations?.[classAnnotation];
    const name = ingress.spec?.ingressClassName;
    if (annotation !== undefined && name !== undefined && annotation !== name) {
      errors.push(
        fieldErrors.invalid(
          `annotations.${classAnnotation}`,
          annotation,
          "must match `ingressClassName` when both are specified",
        ),
      );
    }
    return errors;
  },
  validateUpdate: ingressErrors,
  validateStatusUpdate(ingress, old) {
    const kept = (old.status?.loadBalancer?.ingress ?? []).flatMap(({ ip = "" }) => (ip === "" ? [] : [ip]));
    return (ingress.status?.loadBalancer?.ingress ?? []).flatMap(({ ip = "", hostname = "" }, index) => {
      const field = `status.loadBalancer.ingress[${index}]`;
      const errors = ip === "" ? [] : legacyIpErrors(`${field}.ip`, ip, kept);
      if (hostname === "") return errors;
      errors.push(...invalidFor(`${field}.hostname`, hostname, dns1123SubdomainProblems(hostname)));
      if (parseIp(hostname)) {
        errors.push(fieldErrors.invalid(`${field}.hostname`, hostname, "must be a DNS name, not an IP address"));
      }
      return errors;
    });
  },
  warnings(ingress, old, { info }) {
    if (info.subresource === "status") {
      return (ingress.status?.loadBalancer?.ingress ?? []).flatMap(({ ip = "" }, index) =>
        ipWarnings(`status.loadBalancer.ingress[${index}]`, ip),
      );
    }
    const annotated = ingress.metadata.annotations?.[classAnnotation] !== undefined;
    return old === undefined && annotated && ingress.spec?.ingressClassName === undefined
      ? [`annotation "${classAnnotation}" is deprecated, please use 'spec.ingressClassName' instead`]
      : [];
  },
});

/** `IsDomainPrefixedPath`. */
function controllerErrors(controller: string, field: string): FieldError[] {
  if (controller === "") return [fieldErrors.required(field)];
  const slash = controller.indexOf("/");
  const host = controller.slice(0, Math.max(slash, 0));
  const path = controller.slice(slash + 1);
  if (slash < 0 || host === "" || path === "") {
    return [fieldErrors.invalid(field, controller, 'must be a domain-prefixed path (such as "acme.io/foo")')];
  }
  const errors = invalidFor(field, host, dns1123SubdomainProblems(host));
  if (!httpPathPattern.test(path)) {
    errors.push(fieldErrors.invalid(field, path, expressionProblem("Invalid path", httpPath)));
  }
  return errors;
}

function ingressClassErrors(ingressClass: IngressClass): FieldError[] {
  const { controller = "", parameters } = ingressClass.spec ?? {};
  const errors: FieldError[] = [];
  const field = "spec.controller";
  if (Buffer.byteLength(controller) > 250) errors.push(fieldErrors.tooLong(field, 250));
  errors.push(...controllerErrors(controller, field));
  if (parameters === undefined) return errors;
  errors.push(...referenceErrors(parameters, "spec.parameters"));
  const { scope, namespace } = parameters;
  if (scope === undefined) errors.push(fieldErrors.required("spec.parameters.scope"));
  else if (scope !== "Cluster" && scope !== "Namespace") {
    errors.push(fieldErrors.notSupported("spec.parameters.scope", scope, ["Cluster", "Namespace"]));
  } else if (scope === "Cluster") {
    if (namespace !== undefined) {
      errors.push(fieldErrors.forbidden("spec.parameters.namespace", "`parameters.scope` is set to 'Cluster'"));
    }
  } else if (namespace === undefined) {
    errors.push(fieldErrors.required("spec.parameters.namespace", "`parameters.scope` is set to 'Namespace'"));
  } else errors.push(...invalidFor("spec.parameters.namespace", namespace, labelName(namespace, false)));
  return errors;
}

/** pkg/registry/networking/ingressclass. */
export const ingressClassStrategy = defineStrategy<IngressClass>({
  hasGeneration: true,
  defaults(ingressClass) {
    const { parameters } = ingressClass.spec ?? {};
    if (parameters) parameters.scope ??= "Cluster";
  },
  validate: ingressClassErrors,
  validateUpdate: (ingressClass, old) => [
    ...immutableErrors("spec.controller", ingressClass.spec?.controller ?? "", old.spec?.controller ?? ""),
    ...ingressClassErrors(ingressClass),
  ],
});
