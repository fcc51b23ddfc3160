import { jsonEqual, type CertificateSigningRequest, type Json, type UserInfo } from "@fleetwright/kube";
import type { AdmissionAttributes, AdmissionPlugin } from "../machinery/admission.ts";
import type { Authorize } from "../machinery/authorizer.ts";
import { typed } from "../machinery/draft.ts";
import { requestSubject } from "../auth/certificate-request.ts";
import { groupResource, refusal } from "./refusal.ts";

const requests = "certificatesigningrequests.certificates.k8s.io";
const clientSigner = "kubernetes.io/kube-apiserver-client";

/** Whether a user may act for a signer: by its name, or for its whole domain (pkg/certauthorization). */
function maySign(authorize: Authorize, user: UserInfo, verb: string, signerName: string): boolean {
  const may = (name: string): boolean =>
    authorize(user, {
      isResource: true,
      path: "",
      verb,
      group: "certificates.k8s.io",
      version: "*",
      namespace: "",
      resource: "signers",
      subresource: "",
      name,
    }).allowed;
  return may(signerName) || may(`${signerName.split("/", 1)[0]}/*`);
}

const oldRequest = (attributes: AdmissionAttributes): CertificateSigningRequest | undefined =>
  attributes.oldObject as unknown as CertificateSigningRequest | undefined;

/** Who may approve for a signer (plugin/pkg/admission/certificates/approval). */
export const certificateApproval = (authorize: Authorize): AdmissionPlugin => ({
  name: "CertificateApproval",
  handles: (operation) => operation === "UPDATE",
  validate(attributes) {
    if (attributes.subresource !== "approval" || groupResource(attributes) !== requests) return;
    const signerName = oldRequest(attributes)?.spec.signerName ?? "";
    if (maySign(authorize, attributes.user, "approve", signerName)) return;
    throw refusal(attributes, `user not permitted to approve requests with signerName ${JSON.stringify(signerName)}`);
  },
});

/** Who may sign as a signer (plugin/pkg/admission/certificates/signing). */
export const certificateSigning = (authorize: Authorize): AdmissionPlugin => ({
  name: "CertificateSigning",
  handles: (operation) => operation === "UPDATE",
  validate(attributes) {
    const { object, subresource, user } = attributes;
    if (subresource !== "status" || groupResource(attributes) !== requests || object === undefined) return;
    const old = oldRequest(attributes);
    const now = typed<CertificateSigningRequest>(object);
    const unchanged =
      (now.status?.certificate ?? "") === (old?.status?.certificate ?? "") &&
      jsonEqual((now.status?.conditions ?? []) as unknown as Json, (old?.status?.conditions ?? []) as unknown as Json);
    const signerName = old?.spec.signerName ?? "";
    if (unchanged || maySign(authorize, user, "sign", signerName)) return;
    throw refusal(attributes, `user not permitted to sign requests with signerName ${JSON.stringify(signerName)}`);
  },
});

/** No certificate makes a master (plugin/pkg/admission/certificates/subjectrestriction). */
export const certificateSubjectRestriction: AdmissionPlugin = {
  name: "CertificateSubjectRestriction",
  handles: (operation) => operation === "CREATE",
  validate(attributes) {
    const { object, subresource } = attributes;
    if (subresource !== "" || groupResource(attributes) !== requests || object === undefined) return;
    const { signerName, request } = typed<CertificateSigningRequest>(object).spec;
    if (signerName !== clientSigner) return;
    let organizations: readonly string[];
    try {
      ({ organizations } = requestSubject(request));
    } catch (error) {
      throw refusal(attributes, `failed to parse CSR: ${(error as Error).message}`);
    }
    if (!organizations.includes("system:masters")) return;
    throw refusal(attributes, `use of ${clientSigner} signer with system:masters group is not allowed`);
  },
};
