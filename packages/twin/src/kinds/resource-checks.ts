import { fieldErrors, type FieldError } from "../machinery/status-error.ts";
import { dns1123SubdomainProblems, expressionProblem } from "./name-checks.ts";
import { driverNameErrors } from "./storage.ts";
import { invalidFor } from "./value-checks.ts";

/** Names in resource.k8s.io (pkg/apis/resource/validation/validation.go). */
const maxIdentifierBytes = 32;
const maxPoolBytes = 253;
const identifier = "[A-Za-z_][A-Za-z0-9_]*";
const identifierPattern = new RegExp(`^${identifier}$`);

function identifierErrors(field: string, name: string): FieldError[] {
  const errors = Buffer.byteLength(name) > maxIdentifierBytes ? [fieldErrors.tooLong(field, maxIdentifierBytes)] : [];
  if (identifierPattern.test(name)) return errors;
  const rule =
    "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters or '_'";
  errors.push(fieldErrors.invalid(field, name, expressionProblem(rule, identifier, "my_name", "MY_NAME", "MyName")));
  return errors;
}

/** `validateQualifiedName`: `model` or `gpu.example.com/model`. */
export function deviceKeyErrors(field: string, key: string): FieldError[] {
  const parts = key.split("/");
  const [first = "", second = ""] = parts;
  if (parts.length === 1) return identifierErrors(field, first);
  if (parts.length > 2) return [];
  return [
    ...(first === ""
      ? [fieldErrors.invalid(field, "", "the domain must not be empty")]
      : driverNameErrors(field, first)),
    ...(second === ""
      ? [fieldErrors.invalid(field, "", "the name must not be empty")]
      : identifierErrors(field, second)),
  ];
}

/** `validateFullyQualifiedName`. */
export function fullyQualifiedErrors(field: string, name: string): FieldError[] {
  const errors = deviceKeyErrors(field, name);
  if (!name.includes("/")) {
    const rule = "a fully qualified name must be a domain and a name separated by a slash";
    errors.push(fieldErrors.invalid(field, name, rule));
  }
  return errors;
}

/** `validatePoolName`: subdomains between slashes. */
export function poolNameErrors(field: string, name: string): FieldError[] {
  if (name === "") return [fieldErrors.required(field)];
  return [
    ...(Buffer.byteLength(name) > maxPoolBytes ? [fieldErrors.tooLong(field, maxPoolBytes)] : []),
    ...name.split("/").flatMap((part) => invalidFor(field, part, dns1123SubdomainProblems(part))),
  ];
}
