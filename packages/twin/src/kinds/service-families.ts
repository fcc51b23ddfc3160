import { fieldErrors, type FieldError } from "../machinery/status-error.ts";
import { legacyIpErrors, parseIp } from "./ip-checks.ts";
import {
  clusterIpsOf,
  familiesOf,
  hasSelector,
  isHeadless,
  sameClusterIps,
  sameFamilies,
  specOf,
  typeOf,
  type ReadonlyService,
  type ServiceDraft,
} from "./service-fields.ts";

/** The families of the cluster's service ranges, the primary one first. */
export type ClusterFamilies = readonly [string, ...string[]];

const otherFamily = (family: string): string => (family === "IPv4" ? "IPv6" : "IPv4");
const familyOf = (ip: string): string => (parseIp(ip)?.family === 6 ? "IPv6" : "IPv4");

/**
 * Fills in `ipFamilyPolicy` and `ipFamilies` (`initIPFamilyFields` of pkg/registry/core/service/storage/alloc.go) and says
 * what is wrong with them. Without the cluster's families only what follows from the object itself is filled in.
 */
export function fillFamilies(
  service: ServiceDraft,
  old: ReadonlyService | undefined,
  cluster: ClusterFamilies | undefined,
): FieldError[] {
  if (typeOf(service) === "ExternalName" || keepsPreferredDualStack(service, old)) return [];
  const spec = (service.spec ??= {});
  const forNobody = spec.clusterIP === "None" && !hasSelector(service);
  spec.ipFamilyPolicy ??= (old && specOf(old).ipFamilyPolicy) ?? (forNobody ? "RequireDualStack" : "SingleStack");
  const policy = spec.ipFamilyPolicy;
  const loose = clusterIpErrors(service, old);
  if (loose.length > 0) return loose;
  const errors: FieldError[] = [];
  const policyField = "spec.ipFamilyPolicy";
  if (old !== undefined) {
    if (policy === "SingleStack") {
      if (sameClusterIps(old, service) && clusterIpsOf(service).length > 1)
        spec.clusterIPs = spec.clusterIPs?.slice(0, 1);
      if (sameFamilies(old, service) && familiesOf(service).length > 1) spec.ipFamilies = spec.ipFamilies?.slice(0, 1);
    } else {
      if (reduced(clusterIpsOf(old), clusterIpsOf(service))) {
        errors.push(
          fieldErrors.invalid(policyField, policy, "must be 'SingleStack' to release the secondary cluster IP"),
        );
      }
      if (reduced(familiesOf(old), familiesOf(service))) {
        errors.push(
          fieldErrors.invalid(policyField, policy, "must be 'SingleStack' to release the secondary IP family"),
        );
      }
    }
  }
  if (policy === "SingleStack") {
    const rule = "must be 'RequireDualStack' or 'PreferDualStack' when multiple";
    if (clusterIpsOf(service).length === 2) {
      errors.push(fieldErrors.invalid(policyField, policy, `${rule} cluster IPs are specified`));
    }
    if (familiesOf(service).length === 2) {
      errors.push(fieldErrors.invalid(policyField, policy, `${rule} IP families are specified`));
    }
  }
  for (const [index, ip] of clusterIpsOf(service).entries()) {
    if (ip === "None") break;
    if (index < familiesOf(service).length) continue;
    const family = familyOf(ip);
    if (cluster !== undefined && !cluster.includes(family)) {
      errors.push(
        fieldErrors.invalid(
          `spec.clusterIPs[${index}]`,
          clusterIpsOf(service),
          `${family} is not configured on this cluster`,
        ),
      );
    } else spec.ipFamilies = [...familiesOf(service), family];
  }
  if (errors.length > 0 || cluster === undefined) return errors;
  if (forNobody) {
    const [family = cluster[0]] = familiesOf(service);
    if (familiesOf(service).length < 2) {
      spec.ipFamilies = policy === "SingleStack" ? [family] : [family, otherFamily(family)];
    }
    return [];
  }
  if (policy === "RequireDualStack" && cluster.length < 2) {
    errors.push(fieldErrors.invalid(policyField, policy, "this cluster is not configured for dual-stack services"));
  }
  for (const [index, family] of familiesOf(service).entries()) {
    if (!cluster.includes(family)) {
      errors.push(fieldErrors.invalid(`spec.ipFamilies[${index}]`, family, "not configured on this cluster"));
    }
  }
  if (errors.length > 0) return errors;
  const [family = cluster[0]] = familiesOf(service);
  if (familiesOf(service).length < 2) {
    spec.ipFamilies = policy !== "SingleStack" && cluster.length === 2 ? [family, otherFamily(family)] : [family];
  }
  return [];
}

const reduced = (before: readonly string[], now: readonly string[]): boolean =>
  before.length === 2 && now.length === 1 && before[0] === now[0];

/** A service that takes what it gets is not changed because the cluster has. */
function keepsPreferredDualStack(service: ReadonlyService, old: ReadonlyService | undefined): boolean {
  if (old === undefined || typeOf(old) !== typeOf(service)) return false;
  return (
    specOf(service).ipFamilyPolicy === "PreferDualStack" &&
    (specOf(old).ipFamilyPolicy ?? "PreferDualStack") === "PreferDualStack" &&
    sameClusterIps(old, service) &&
    sameFamilies(old, service)
  );
}

/** `ValidateServiceClusterIPsRelatedFields` (pkg/apis/core/validation/validation.go). */
export function clusterIpErrors(service: ReadonlyService, old: ReadonlyService | undefined): FieldError[] {
  if (typeOf(service) === "ExternalName") return [];
  const spec = specOf(service);
  const ips = clusterIpsOf(service);
  const families = familiesOf(service);
  const field = "spec.clusterIPs";
  const errors: FieldError[] = [];
  if ((spec.clusterIP ?? "") === "") {
    if (ips.length > 0) errors.push(fieldErrors.invalid(field, ips, "must be empty when `clusterIP` is not specified"));
  } else if (ips.length === 0) errors.push(fieldErrors.required(field));
  else if (ips[0] !== spec.clusterIP) {
    errors.push(fieldErrors.invalid(field, ips, "first value must match `clusterIP`"));
  }
  for (const [index, family] of families.entries()) {
    if (family !== "IPv4" && family !== "IPv6") {
      errors.push(fieldErrors.notSupported(`spec.ipFamilies[${index}]`, family, ["IPv4", "IPv6"]));
    }
    if (families.indexOf(family) < index) errors.push(fieldErrors.duplicate(`spec.ipFamilies[${index}]`, family));
  }
  const policies = ["PreferDualStack", "RequireDualStack", "SingleStack"];
  if (spec.ipFamilyPolicy !== undefined && !policies.includes(spec.ipFamilyPolicy)) {
    errors.push(fieldErrors.notSupported("spec.ipFamilyPolicy", spec.ipFamilyPolicy, policies));
  }
  let broken = false;
  for (const [index, ip] of ips.entries()) {
    if (index === 0 && ip === "None") {
      if (ips.length > 1) {
        broken = true;
        errors.push(fieldErrors.invalid(field, ips, "'None' must be the first and only value"));
      }
      continue;
    }
    const problems = legacyIpErrors(`${field}[${index}]`, ip, old ? clusterIpsOf(old) : []);
    broken ||= problems.length > 0;
    errors.push(...problems);
  }
  if (ips.length > 2) errors.push(fieldErrors.invalid(field, ips, "may only hold up to 2 values"));
  if (broken) return errors;
  const kinds = new Set(ips.map(familyOf));
  if (ips.length > 1 && kinds.size < ips.length) {
    errors.push(fieldErrors.invalid(field, ips, "may specify no more than one IP for each IP family"));
  }
  if (!isHeadless(service)) {
    for (const [index, ip] of ips.entries()) {
      const family = families[index];
      if ((family === "IPv4" || family === "IPv6") && familyOf(ip) !== family) {
        errors.push(
          fieldErrors.invalid(
            `${field}[${index}]`,
            ip,
            `expected an ${family} value as indicated by \`ipFamilies[${index}]\``,
          ),
        );
      }
    }
  }
  return errors;
}

/** What an update may do to addresses: add a second one, or give it back (`validateUpgradeDowngradeClusterIPs`). */
export function clusterIpUpdateErrors(service: ReadonlyService, old: ReadonlyService): FieldError[] {
  if (typeOf(service) === "ExternalName" || typeOf(old) === "ExternalName") return [];
  if (isHeadless(old) && isHeadless(service)) return [];
  const before = clusterIpsOf(old);
  const now = clusterIpsOf(service);
  const errors: FieldError[] = [];
  const fixed = (index: number): void => {
    errors.push(fieldErrors.invalid(`spec.clusterIPs[${index}]`, now, "may not change once set"));
  };
  if (before.length === now.length) {
    for (const [index, ip] of before.entries()) if (ip !== now[index]) fixed(index);
    return errors;
  }
  if (now.length === 0) {
    errors.push(fieldErrors.invalid("spec.clusterIPs[0]", now, "primary clusterIP can not be unset"));
  }
  if (before.length > 0 && now.length > 0 && before[0] !== now[0]) fixed(0);
  const policy = specOf(service).ipFamilyPolicy;
  if (before.length > now.length && now.length === 1 && policy !== "SingleStack") {
    errors.push(
      fieldErrors.invalid(
        "spec.ipFamilyPolicy",
        policy,
        "must be set to 'SingleStack' when releasing the secondary clusterIP",
      ),
    );
  }
  return errors;
}

/** The same for families (`validateUpgradeDowngradeIPFamilies`). */
export function familyUpdateErrors(service: ReadonlyService, old: ReadonlyService): FieldError[] {
  if (typeOf(service) === "ExternalName" || typeOf(old) === "ExternalName") return [];
  if (isHeadless(old) || isHeadless(service)) return [];
  const before = familiesOf(old);
  const now = familiesOf(service);
  const errors: FieldError[] = [];
  if (before.length === now.length) {
    for (const [index, family] of before.entries()) {
      if (family !== now[index]) errors.push(fieldErrors.invalid("spec.ipFamilies[0]", now, "may not change once set"));
    }
    return errors;
  }
  const ips = clusterIpsOf(service);
  if (before.length > now.length && ips.length === 0) {
    errors.push(fieldErrors.invalid("spec.ipFamilies[0]", now, "primary ipFamily can not be unset"));
  }
  if (before.length > 0 && now.length > 0 && before[0] !== now[0]) {
    errors.push(fieldErrors.invalid("spec.ipFamilies[0]", ips, "may not change once set"));
  }
  const policy = specOf(service).ipFamilyPolicy;
  if (before.length > now.length && now.length === 1 && policy !== "SingleStack") {
    errors.push(
      fieldErrors.invalid(
        "spec.ipFamilyPolicy",
        policy,
        "must be set to 'SingleStack' when releasing the secondary ipFamily",
      ),
    );
  }
  return errors;
}
