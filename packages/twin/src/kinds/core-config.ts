import { jsonEqual, type ConfigMap, type Json, type Secret, type ServiceAccount } from "@fleetwright/kube";
import { defineStrategy } from "../machinery/kind.ts";
import { fieldErrors, type FieldError } from "../machinery/status-error.ts";
import { configKeyProblems } from "./name-checks.ts";
import { immutableErrors, invalidFor } from "./value-checks.ts";

const maxDataBytes = 1024 * 1024;
const enforceMountable = "kubernetes.io/enforce-mountable-secrets";
const serviceAccountName = "kubernetes.io/service-account.name";

type Data = Readonly<Record<string, string>>;

const base64Bytes = (text: string): number => Buffer.byteLength(text, "base64");
const sameData = (left: Data | undefined, right: Data | undefined): boolean =>
  jsonEqual((left ?? {}) as Json, (right ?? {}) as Json);

function keyErrors(data: Data | undefined, field: string): FieldError[] {
  return Object.keys(data ?? {}).flatMap((key) => invalidFor(`${field}[${key}]`, key, configKeyProblems(key)));
}

function configMapErrors(map: ConfigMap): FieldError[] {
  const errors: FieldError[] = [];
  let bytes = 0;
  for (const [key, value] of Object.entries(map.data ?? {})) {
    const field = `data[${key}]`;
    errors.push(...invalidFor(field, key, configKeyProblems(key)));
    if (Object.hasOwn(map.binaryData ?? {}, key)) {
      errors.push(fieldErrors.invalid(field, key, "duplicate of key present in binaryData"));
    }
    bytes += Buffer.byteLength(value);
  }
  errors.push(...keyErrors(map.binaryData, "binaryData"));
  for (const value of Object.values(map.binaryData ?? {})) bytes += base64Bytes(value);
  if (bytes > maxDataBytes) errors.push(fieldErrors.tooLong("[]", maxDataBytes));
  return errors;
}

const frozen = "field is immutable when `immutable` is set";

/** pkg/registry/core/configmap. */
export const configMapStrategy = defineStrategy<ConfigMap>({
  validate: configMapErrors,
  validateUpdate(map, old) {
    const errors: FieldError[] = [];
    if (old.immutable === true) {
      if (map.immutable !== true) errors.push(fieldErrors.forbidden("immutable", frozen));
      if (!sameData(map.data, old.data)) errors.push(fieldErrors.forbidden("data", frozen));
      if (!sameData(map.binaryData, old.binaryData)) errors.push(fieldErrors.forbidden("binaryData", frozen));
    }
    return [...errors, ...configMapErrors(map)];
  },
});

/** What Go's JSON decoder says about something that is no object. */
function jsonObjectProblem(base64: string): string | undefined {
  const text = Buffer.from(base64, "base64").toString();
  if (text.trim() === "") return "unexpected end of JSON input";
  try {
    const value: unknown = JSON.parse(text);
    if (value === null || (typeof value === "object" && !Array.isArray(value))) return undefined;
    const kind = Array.isArray(value) ? "array" : typeof value === "boolean" ? "bool" : typeof value;
    return `json: cannot unmarshal ${kind} into Go value of type map[string]interface {}`;
  } catch {
    const first = text.trim()[0] ?? "";
    return /[{["0-9tfn-]/.test(first)
      ? "unexpected end of JSON input"
      : `invalid character '${first}' looking for beginning of value`;
  }
}

function secretErrors(secret: Secret): FieldError[] {
  const data = secret.data ?? {};
  const errors = keyErrors(data, "data");
  let bytes = 0;
  for (const value of Object.values(data)) bytes += base64Bytes(value);
  if (bytes > maxDataBytes) errors.push(fieldErrors.tooLong("data", maxDataBytes));
  const need = (key: string): void => {
    if (!Object.hasOwn(data, key)) errors.push(fieldErrors.required(`data[${key}]`));
  };
  const needJson = (key: string): void => {
    need(key);
    const value = Object.hasOwn(data, key) ? data[key] : undefined;
    const problem = value === undefined ? undefined : jsonObjectProblem(value);
    if (problem !== undefined) {
      errors.push(fieldErrors.invalid(`data[${key}]`, "<secret contents redacted>", problem));
    }
  };
  switch (secret.type) {
    case "kubernetes.io/service-account-token":
      if ((secret.metadata.annotations?.[serviceAccountName] ?? "") === "") {
        errors.push(fieldErrors.required(`metadata.annotations[${serviceAccountName}]`));
      }
      break;
    case "kubernetes.io/dockercfg":
      needJson(".dockercfg");
      break;
    case "kubernetes.io/dockerconfigjson":
      needJson(".dockerconfigjson");
      break;
    case "kubernetes.io/basic-auth":
      if (!Object.hasOwn(data, "username") && !Object.hasOwn(data, "password")) {
        need("username");
        need("password");
      }
      break;
    case "kubernetes.io/ssh-auth":
      if ((data["ssh-privatekey"] ?? "") === "") errors.push(fieldErrors.required("data[ssh-privatekey]"));
      break;
    case "kubernetes.io/tls":
      need("tls.crt");
      need("tls.key");
  }
  return errors;
}

/** pkg/registry/core/secret. */
export const secretStrategy = defineStrategy<Secret>({
  selectableFields: ["type"],
  fieldValue: (secret) => secret.type ?? "",
  defaults(secret) {
    secret.type ||= "Opaque";
    if (secret.stringData === undefined) return;
    const data = new Map(Object.entries(secret.data ?? {}));
    for (const [key, value] of Object.entries(secret.stringData)) data.set(key, Buffer.from(value).toString("base64"));
    // `fromEntries` defines what it is given, a key named `__proto__` included.
    if (data.size > 0) secret.data = Object.fromEntries(data);
    delete secret.stringData;
  },
  prepareForUpdate(secret, old) {
    // A PUT without a type keeps it: defaults said Opaque.
    if (secret.type === undefined && old.type !== undefined) secret.type = old.type;
  },
  validate: secretErrors,
  validateUpdate(secret, old) {
    const errors = immutableErrors("type", secret.type ?? "", old.type ?? "");
    if (old.immutable === true) {
      if (secret.immutable !== true) errors.push(fieldErrors.forbidden("immutable", frozen));
      if (!sameData(secret.data, old.data)) errors.push(fieldErrors.forbidden("data", frozen));
    }
    return [...errors, ...secretErrors(secret)];
  },
});

/** pkg/registry/core/serviceaccount. */
export const serviceAccountStrategy = defineStrategy<ServiceAccount>({
  prepareForCreate: keepSecretNames,
  prepareForUpdate: keepSecretNames,
  validate: () => [],
  warnings(account, old) {
    const has = (one: ServiceAccount | undefined): boolean =>
      one?.metadata.annotations?.[enforceMountable] !== undefined;
    return has(account) && !has(old)
      ? [
          `metadata.annotations[${enforceMountable}]: deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets`,
        ]
      : [];
  },
});

function keepSecretNames(account: { secrets?: { name?: string }[] }): void {
  if (account.secrets === undefined) return;
  account.secrets = account.secrets.map(({ name }) => (name === undefined ? {} : { name }));
}
