import { jsonEqual, type CertificateSigningRequest, type Json } from "@fleetwright/kube";
import { requestSubject } from "../auth/certificate-request.ts";
import { copyJson, typed, untyped, type Mutable } from "../machinery/draft.ts";
import { defineStrategy, type Strategy, type Subresource } from "../machinery/kind.ts";
import type { RequestContext } from "../machinery/request.ts";
import { fieldErrors, type FieldError } from "../machinery/status-error.ts";
import { dns1123SubdomainProblems } from "./name-checks.ts";
import { invalidFor } from "./value-checks.ts";

const group = "certificates.k8s.io";
const legacySigner = "kubernetes.io/legacy-unknown";
const minimumSeconds = 600;

const usages: readonly string[] = [
  "any",
  "cert sign",
  "client auth",
  "code signing",
  "content commitment",
  "crl sign",
  "data encipherment",
  "decipher only",
  "digital signature",
  "email protection",
  "encipher only",
  "ipsec end system",
  "ipsec tunnel",
  "ipsec user",
  "key agreement",
  "key encipherment",
  "microsoft sgc",
  "netscape sgc",
  "ocsp signing",
  "s/mime",
  "server auth",
  "signing",
  "timestamping",
];

type Condition = NonNullable<NonNullable<CertificateSigningRequest["status"]>["conditions"]>[number];

const conditionsOf = ({ status }: CertificateSigningRequest): readonly Condition[] => status?.conditions ?? [];
const ofType = (request: CertificateSigningRequest, type: string): readonly Condition[] =>
  conditionsOf(request).filter((condition) => condition.type === type);

/** `ValidateSignerName`: `<domain>/<path>`. */
function signerNameErrors(field: string, name: string): FieldError[] {
  if (name === "") return [fieldErrors.required(field)];
  const [domain = "", path = "", ...rest] = name.split("/");
  if (rest.length > 0 || !name.includes("/")) {
    return [
      fieldErrors.invalid(
        field,
        name,
        "must be a fully qualified domain and path of the form 'example.com/signer-name'",
      ),
    ];
  }
  return [
    ...invalidFor(field, domain, dns1123SubdomainProblems(domain)),
    ...(domain.includes(".")
      ? []
      : [fieldErrors.invalid(field, domain, "should be a domain with at least two segments separated by dots")]),
    ...invalidFor(field, path, dns1123SubdomainProblems(path)),
  ];
}

function requestErrors(request: string): FieldError[] {
  try {
    requestSubject(request);
    return [];
  } catch (error) {
    return [fieldErrors.invalid("spec.request", request, (error as Error).message)];
  }
}

function conditionErrors(request: CertificateSigningRequest): FieldError[] {
  const errors: FieldError[] = [];
  const seen = new Set<string>();
  for (const [index, { type = "", status = "" }] of conditionsOf(request).entries()) {
    const field = `status.conditions[${index}]`;
    if (type === "") errors.push(fieldErrors.required(`${field}.type`));
    const allowed = ["Approved", "Denied", "Failed"].includes(type) ? ["True"] : ["False", "True", "Unknown"];
    if (status === "") errors.push(fieldErrors.required(`${field}.status`));
    else if (!allowed.includes(status)) errors.push(fieldErrors.notSupported(`${field}.status`, status, allowed));
    const opposite = type === "Approved" ? "Denied" : type === "Denied" ? "Approved" : undefined;
    if (opposite !== undefined && seen.has(opposite)) {
      errors.push(
        fieldErrors.invalid("status.conditions", type, "Approved and Denied conditions are mutually exclusive"),
      );
    }
    if (seen.has(type)) errors.push(fieldErrors.duplicate(`${field}.type`, type));
    seen.add(type);
  }
  return errors;
}

function certificateProblem(certificate: string | undefined): string | undefined {
  if (certificate === undefined || certificate === "") return undefined;
  const blocks = [
    ...Buffer.from(certificate, "base64")
      .toString("latin1")
      .matchAll(/-----BEGIN ([^-]+)-----/g),
  ];
  if (blocks.length === 0) return "must contain at least one CERTIFICATE PEM block";
  const other = blocks.find(([, type]) => type !== "CERTIFICATE")?.[1];
  return other === undefined ? undefined : `only CERTIFICATE PEM blocks are allowed, found ${JSON.stringify(other)}`;
}

function objectErrors(object: CertificateSigningRequest, old?: CertificateSigningRequest): FieldError[] {
  const { spec, status } = object;
  const errors = old === undefined ? requestErrors(spec.request) : [];
  const asked: readonly string[] = spec.usages ?? [];
  if (asked.length === 0) errors.push(fieldErrors.required("spec.usages"));
  for (const [index, usage] of asked.entries()) {
    if (!usages.includes(usage)) errors.push(fieldErrors.notSupported(`spec.usages[${index}]`, usage, usages));
  }
  for (const [index, usage] of asked.entries()) {
    if (asked.indexOf(usage) < index) errors.push(fieldErrors.duplicate(`spec.usages[${index}]`, usage));
  }
  if (spec.signerName === legacySigner) {
    errors.push(
      fieldErrors.invalid(
        "spec.signerName",
        spec.signerName,
        "the legacy signerName is not allowed via this API version",
      ),
    );
  } else errors.push(...signerNameErrors("spec.signerName", spec.signerName ?? ""));
  if (spec.expirationSeconds !== undefined && spec.expirationSeconds < minimumSeconds) {
    errors.push(
      fieldErrors.invalid(
        "spec.expirationSeconds",
        spec.expirationSeconds,
        "may not specify a duration less than 600 seconds (10 minutes)",
      ),
    );
  }
  errors.push(...conditionErrors(object));
  const problem = certificateProblem(status?.certificate);
  if (problem !== undefined) errors.push(fieldErrors.invalid("status.certificate", "<certificate data>", problem));
  return errors;
}

function updateErrors(
  object: CertificateSigningRequest,
  old: CertificateSigningRequest,
  may: "approve" | "nothing" | "sign",
): FieldError[] {
  const errors = objectErrors(object, old);
  const field = "status.conditions";
  for (const type of ["Approved", "Denied", "Failed"]) {
    if (ofType(object, type).length < ofType(old, type).length) {
      errors.push(fieldErrors.forbidden(field, `updates may not remove a condition of type ${JSON.stringify(type)}`));
    }
  }
  for (const type of may === "approve" ? [] : ["Approved", "Denied"]) {
    const [now, before] = [ofType(object, type), ofType(old, type)];
    if (now.length > before.length) {
      errors.push(fieldErrors.forbidden(field, `updates may not add a condition of type ${JSON.stringify(type)}`));
    } else if (now.length === before.length && !jsonEqual(now as unknown as Json, before as unknown as Json)) {
      errors.push(fieldErrors.forbidden(field, `updates may not modify a condition of type ${JSON.stringify(type)}`));
    }
  }
  const before = old.status?.certificate ?? "";
  if ((object.status?.certificate ?? "") !== before) {
    if (may !== "sign") {
      errors.push(fieldErrors.forbidden("status.certificate", "updates may not set certificate content"));
    } else if (before !== "") {
      errors.push(fieldErrors.forbidden("status.certificate", "updates may not modify existing certificate content"));
    }
  }
  return errors;
}

function setTimes(object: Mutable<CertificateSigningRequest>, old: CertificateSigningRequest, nowMs: number): void {
  const now = new Date(nowMs).toISOString().replace(/\.\d+Z$/, "Z");
  for (const condition of object.status?.conditions ?? []) {
    condition.lastUpdateTime ??= now;
    condition.lastTransitionTime ??=
      conditionsOf(old).find(
        ({ type, status, lastTransitionTime }) =>
          type === condition.type && status === condition.status && lastTransitionTime !== undefined,
      )?.lastTransitionTime ?? now;
  }
}

const requestStrategy = defineStrategy<CertificateSigningRequest>({
  hasStatus: true,
  allowCreateOnUpdate: false,
  allowUnconditionalUpdate: true,
  nameProblems: () => [],
  selectableFields: ["spec.signerName"],
  fieldValue: ({ spec }, field) => (field === "spec.signerName" ? (spec.signerName ?? "") : ""),
  prepareForCreate(object, { user }) {
    const { username: _name, uid: _uid, groups: _groups, extra: _extra, ...asked } = object.spec;
    object.spec = {
      ...asked,
      username: user.username ?? "",
      ...((user.uid ?? "") === "" ? {} : { uid: user.uid ?? "" }),
      ...(user.groups === undefined ? {} : { groups: [...user.groups] }),
      ...(user.extra === undefined || Object.keys(user.extra).length === 0
        ? {}
        : { extra: copyJson(user.extra) as Record<string, string[]> }),
    };
    object.status = {};
  },
  prepareForUpdate(object, old) {
    object.spec = copyJson(old.spec) as typeof object.spec;
  },
  validate: (object) => objectErrors(object),
  validateUpdate: (object, old) => updateErrors(object, old, "nothing"),
  prepareForStatusUpdate(object, old, { nowMs }) {
    for (const type of ["Approved", "Denied"]) {
      const kept = ofType(old, type);
      const conditions = object.status?.conditions ?? [];
      if (conditions.filter((condition) => condition.type === type).length !== kept.length) continue;
      let next = 0;
      for (const [index, condition] of conditions.entries()) {
        if (condition.type !== type) continue;
        const original = kept[next];
        if (original !== undefined) conditions[index] = copyJson(original) as Mutable<Condition>;
        next += 1;
      }
    }
    setTimes(object, old, nowMs);
  },
  validateStatusUpdate: (object, old) => updateErrors(object, old, "sign"),
});

/** Approving changes conditions and nothing else. */
const approval: Omit<Subresource, "kind" | "schema" | "verbs"> = {
  name: "approval",
  view: {
    read: (parent) => copyJson(parent),
    write(parent, view, { nowMs }: RequestContext) {
      const object = typed<CertificateSigningRequest>(parent);
      const old = copyJson(object) as unknown as CertificateSigningRequest;
      const asked = typed<CertificateSigningRequest>(view);
      parent["metadata"] = untyped(copyJson(asked.metadata));
      const conditions = copyJson(asked.status?.conditions ?? []);
      object.status = { ...object.status, ...(conditions.length === 0 ? {} : { conditions }) };
      if (conditions.length === 0) delete object.status.conditions;
      setTimes(object, old, nowMs);
    },
    validate: (object, old) =>
      updateErrors(
        object as unknown as CertificateSigningRequest,
        old as unknown as CertificateSigningRequest,
        "approve",
      ),
  },
};

/** pkg/registry/certificates, pkg/apis/certificates, by `group/Kind`. */
export const certificateStrategies: Readonly<Record<string, Strategy>> = {
  [`${group}/CertificateSigningRequest`]: requestStrategy,
};

export const certificateSubresources: Readonly<
  Record<string, readonly Omit<Subresource, "kind" | "schema" | "verbs">[]>
> = { [`${group}/CertificateSigningRequest`]: [approval] };
