import { labelKeyProblems, parseQuantity, type Container } from "@fleetwright/kube";
import { fieldErrors, type FieldError } from "../machinery/status-error.ts";
import { configKeyProblems, subdomainName } from "./name-checks.ts";
import { dnsLabelErrors, invalidFor, textOf } from "./value-checks.ts";

type Variable = NonNullable<Container["env"]>[number];
type Source = NonNullable<Variable["valueFrom"]>;

/** `IsRelaxedEnvVarName`: printable ASCII but `=`. */
function variableNameProblems(name: string): string[] {
  return /^[ -<>-~]+$/.test(name)
    ? []
    : ["a valid environment variable name must consist only of printable ASCII characters other than '='"];
}

const environmentFields = [
  "metadata.name",
  "metadata.namespace",
  "metadata.uid",
  "spec.nodeName",
  "spec.serviceAccountName",
  "status.hostIP",
  "status.hostIPs",
  "status.podIP",
  "status.podIPs",
];
const volumeFields = ["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];
/** Fields that the downward API can name at all, in variables or files. */
const convertible: ReadonlySet<string> = new Set([
  ...environmentFields,
  ...volumeFields,
  "spec.restartPolicy",
  "spec.schedulerName",
  "status.phase",
]);
const amounts = [
  "limits.cpu",
  "limits.ephemeral-storage",
  "limits.memory",
  "requests.cpu",
  "requests.ephemeral-storage",
  "requests.memory",
];

function fieldReferenceErrors(
  reference: NonNullable<Source["fieldRef"]>,
  field: string,
  supported: readonly string[],
): FieldError[] {
  const { apiVersion = "" } = reference;
  const fieldPath = textOf(reference.fieldPath);
  if (apiVersion === "") return [fieldErrors.required(`${field}.apiVersion`)];
  if (fieldPath === "") return [fieldErrors.required(`${field}.fieldPath`)];
  const at = `${field}.fieldPath`;
  if (apiVersion !== "v1") {
    return [fieldErrors.invalid(at, fieldPath, `error converting fieldPath: unsupported pod version: ${apiVersion}`)];
  }
  const subscripted = /^([^[\]]+)\['(.*)'\]$/.exec(fieldPath);
  if (subscripted) {
    const [, path = "", subscript = ""] = subscripted;
    if (path === "metadata.annotations")
      return invalidFor(field, subscript.toLowerCase(), labelKeyProblems(subscript.toLowerCase()));
    if (path === "metadata.labels") return invalidFor(field, subscript, labelKeyProblems(subscript));
    return [
      fieldErrors.invalid(
        at,
        fieldPath,
        `error converting fieldPath: field label does not support subscript: ${fieldPath}`,
      ),
    ];
  }
  if (!convertible.has(fieldPath)) {
    return [fieldErrors.invalid(at, fieldPath, `error converting fieldPath: field label not supported: ${fieldPath}`)];
  }
  return supported.includes(fieldPath) ? [] : [fieldErrors.notSupported(at, fieldPath, supported)];
}

const sizes = ["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];

function divisorErrors(resource: string, divisor: string, field: string): FieldError[] {
  const quantity = parseQuantity(divisor);
  if (quantity.sign === 0) return [];
  const [, kind = ""] = /^(?:limits|requests)\.(.*)$/.exec(resource) ?? [];
  const rules = new Map<string, readonly [readonly string[], string]>([
    ["cpu", [["1m", "1"], "1m and 1 are supported with the cpu resource"]],
    ["memory", [sizes, `${sizes.join(", ")} are supported with the memory resource`]],
    ["ephemeral-storage", [sizes, `${sizes.join(", ")} are supported with the local ephemeral storage resource`]],
  ]);
  const rule =
    rules.get(kind) ??
    (kind.startsWith("hugepages-")
      ? ([sizes, `${sizes.join(", ")} are supported with the hugepages resource`] as const)
      : undefined);
  if (rule === undefined || rule[0].includes(quantity.toString())) return [];
  return [fieldErrors.invalid(`${field}.divisor`, resource, `only divisor's values ${rule[1]}`)];
}

function amountReferenceErrors(
  reference: NonNullable<Source["resourceFieldRef"]>,
  field: string,
  inVolume: boolean,
): FieldError[] {
  const { containerName = "", divisor = "0" } = reference;
  const resource = textOf(reference.resource);
  const errors: FieldError[] = [];
  if (inVolume && containerName === "") errors.push(fieldErrors.required(`${field}.containerName`));
  else if (resource === "") errors.push(fieldErrors.required(`${field}.resource`));
  else if (!amounts.includes(resource) && !/^(?:limits|requests)\.hugepages-/.test(resource)) {
    errors.push(fieldErrors.notSupported(`${field}.resource`, resource, amounts));
  }
  return [...errors, ...divisorErrors(resource, divisor, field)];
}

/** One item of a downward API volume. */
export function downwardItemErrors(
  item: { readonly fieldRef?: Source["fieldRef"]; readonly resourceFieldRef?: Source["resourceFieldRef"] },
  field: string,
): FieldError[] {
  if (item.fieldRef) {
    const errors = fieldReferenceErrors(item.fieldRef, `${field}.fieldRef`, volumeFields);
    if (item.resourceFieldRef) {
      errors.push(
        fieldErrors.invalid(field, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously"),
      );
    }
    return errors;
  }
  if (item.resourceFieldRef) return amountReferenceErrors(item.resourceFieldRef, `${field}.resourceFieldRef`, true);
  return [fieldErrors.required(field, "one of fieldRef and resourceFieldRef is required")];
}

function keyReferenceErrors(reference: { readonly name?: string; readonly key?: string }, field: string): FieldError[] {
  const { name = "", key = "" } = reference;
  return [
    ...invalidFor(`${field}.name`, name, subdomainName(name, false)),
    ...(key === "" ? [fieldErrors.required(`${field}.key`)] : invalidFor(`${field}.key`, key, configKeyProblems(key))),
  ];
}

/** `validatePathNoBacksteps`. */
export const backstepErrors = (path: string, field: string): FieldError[] =>
  path.split("/").includes("..") ? [fieldErrors.invalid(field, path, "must not contain '..'")] : [];

function fileReferenceErrors(reference: NonNullable<Source["fileKeyRef"]>, field: string): FieldError[] {
  const { key, volumeName, path } = reference;
  return [
    ...(key ? invalidFor(`${field}.key`, key, variableNameProblems(key)) : [fieldErrors.required(`${field}.key`)]),
    ...(volumeName ? dnsLabelErrors(`${field}.volumeName`, volumeName) : [fieldErrors.required(`${field}.volumeName`)]),
    ...(path ? backstepErrors(path, `${field}.path`) : [fieldErrors.required(`${field}.path`)]),
  ];
}

function valueErrors({ value = "", valueFrom }: Variable, field: string): FieldError[] {
  if (valueFrom === undefined) return [];
  const { fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef, fileKeyRef } = valueFrom;
  const errors = [
    ...(fieldRef ? fieldReferenceErrors(fieldRef, `${field}.fieldRef`, environmentFields) : []),
    ...(resourceFieldRef ? amountReferenceErrors(resourceFieldRef, `${field}.resourceFieldRef`, false) : []),
    ...(configMapKeyRef ? keyReferenceErrors(configMapKeyRef, `${field}.configMapKeyRef`) : []),
    ...(secretKeyRef ? keyReferenceErrors(secretKeyRef, `${field}.secretKeyRef`) : []),
    ...(fileKeyRef ? fileReferenceErrors(fileKeyRef, `${field}.fileKeyRef`) : []),
  ];
  const given = [fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef, fileKeyRef].filter(Boolean).length;
  if (given === 0) {
    errors.push(
      fieldErrors.invalid(
        field,
        "",
        "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
      ),
    );
  } else if (value !== "") {
    errors.push(fieldErrors.invalid(field, "", "may not be specified when `value` is not empty"));
  } else if (given > 1) {
    errors.push(fieldErrors.invalid(field, "", "may not have more than one field specified at a time"));
  }
  return errors;
}

/** `ValidateEnv`. */
export const environmentErrors = (variables: Container["env"], field: string): FieldError[] =>
  (variables ?? []).flatMap((variable, index) => [
    ...(variable.name
      ? invalidFor(`${field}[${index}].name`, variable.name, variableNameProblems(variable.name))
      : [fieldErrors.required(`${field}[${index}].name`)]),
    ...valueErrors(variable, `${field}[${index}].valueFrom`),
  ]);

/** `ValidateEnvFrom`. */
export function environmentSourceErrors(sources: Container["envFrom"], field: string): FieldError[] {
  return (sources ?? []).flatMap(({ prefix, configMapRef, secretRef }, index) => {
    const at = `${field}[${index}]`;
    const errors = prefix ? invalidFor(`${at}.prefix`, prefix, variableNameProblems(prefix)) : [];
    for (const [part, reference] of [
      ["configMapRef", configMapRef],
      ["secretRef", secretRef],
    ] as const) {
      if (reference === undefined) continue;
      const { name = "" } = reference;
      errors.push(
        ...(name === ""
          ? [fieldErrors.required(`${at}.${part}.name`)]
          : invalidFor(`${at}.${part}.name`, name, subdomainName(name, true))),
      );
    }
    if (!configMapRef && !secretRef) {
      errors.push(fieldErrors.invalid(field, "", "must specify one of: `configMapRef` or `secretRef`"));
    } else if (configMapRef && secretRef) {
      errors.push(fieldErrors.invalid(field, "", "may not have more than one field specified at a time"));
    }
    return errors;
  });
}
