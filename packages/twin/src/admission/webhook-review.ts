import type { AdmissionAttributes } from "../machinery/admission.ts";
import { isDraft, type Draft } from "../machinery/draft.ts";
import type { MatchedForm } from "./webhook-matching.ts";

/** A random version 4 UUID. */
export function randomUuid(next: () => number): string {
  const digit = (bound: number) => Math.floor(next() * bound);
  return "xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx".replaceAll(/[xy]/g, (letter) =>
    (letter === "x" ? digit(16) : 8 + digit(4)).toString(16),
  );
}

/** `AdmissionRequest` without its objects: what expressions see as `request`. */
export function admissionRequest(attributes: AdmissionAttributes, form: MatchedForm): Draft {
  const { user } = attributes;
  return {
    kind: { ...form.kind },
    resource: { ...form.resource },
    ...(attributes.subresource === "" ? {} : { subResource: attributes.subresource }),
    requestKind: { ...attributes.kind },
    requestResource: { ...attributes.resource },
    ...(attributes.subresource === "" ? {} : { requestSubResource: attributes.subresource }),
    ...(attributes.name === "" ? {} : { name: attributes.name }),
    ...(attributes.namespace === "" ? {} : { namespace: attributes.namespace }),
    operation: attributes.operation,
    userInfo: {
      ...(user.username === undefined ? {} : { username: user.username }),
      ...(user.uid === undefined || user.uid === "" ? {} : { uid: user.uid }),
      ...(user.groups === undefined || user.groups.length === 0 ? {} : { groups: [...user.groups] }),
      ...(user.extra === undefined || Object.keys(user.extra).length === 0
        ? {}
        : { extra: Object.fromEntries(Object.entries(user.extra).map(([key, values]) => [key, [...values]])) }),
    },
    dryRun: attributes.dryRun,
    options: Object.keys(attributes.options).length === 0 ? null : (attributes.options as Draft),
  };
}

/** The body of a call: apiserver/pkg/admission/plugin/webhook/request/admissionreview.go. */
export const admissionReview = (
  version: "v1" | "v1beta1",
  uid: string,
  attributes: AdmissionAttributes,
  form: MatchedForm,
  object: Draft | undefined,
  oldObject: Draft | undefined,
): Draft => {
  const { dryRun, options, ...request } = admissionRequest(attributes, form);
  return {
    kind: "AdmissionReview",
    apiVersion: `admission.k8s.io/${version}`,
    request: { uid, ...request, object: object ?? null, oldObject: oldObject ?? null, dryRun, options },
  };
};

export interface AdmissionAnswer {
  readonly allowed: boolean;
  readonly result: Draft | undefined;
  /** JSON in base64. */
  readonly patch: string;
  readonly patchType: string;
  readonly warnings: readonly string[];
}

/** The answer is not one; the message comes after `received invalid webhook response: `. */
export class InvalidAnswer extends Error {
  override readonly name = "InvalidAnswer";
  /** It was not even an answer of the version asked for: the call itself counts as failed. */
  readonly isUnreadable: boolean;
  constructor(message: string, isUnreadable = false) {
    super(message);
    this.isUnreadable = isUnreadable;
  }
}

/** Reads and checks an answer. Throws InvalidAnswer. */
export function readAnswer(
  review: unknown,
  version: "v1" | "v1beta1",
  uid: string,
  mutating: boolean,
): AdmissionAnswer {
  const other = version === "v1" ? "v1beta1" : "v1";
  if (isDraft(review) && review["apiVersion"] === `admission.k8s.io/${other}` && review["kind"] === "AdmissionReview") {
    throw new InvalidAnswer(
      `converting (${other}.AdmissionReview) to (${version}.AdmissionReview): unknown conversion`,
      true,
    );
  }
  const response = isDraft(review) ? review["response"] : undefined;
  if (!isDraft(review) || !isDraft(response)) throw new InvalidAnswer("webhook response was absent");
  const text = (name: string): string => (typeof response[name] === "string" ? response[name] : "");
  if (version === "v1") {
    if (text("uid") !== uid) {
      throw new InvalidAnswer(`expected response.uid=${JSON.stringify(uid)}, got ${JSON.stringify(text("uid"))}`);
    }
    const apiVersion = typeof review["apiVersion"] === "string" ? review["apiVersion"] : "";
    const kind = typeof review["kind"] === "string" ? review["kind"] : "";
    if (apiVersion !== "admission.k8s.io/v1" || kind !== "AdmissionReview") {
      const got = apiVersion === "" ? `/, Kind=${kind}` : `${apiVersion}, Kind=${kind}`;
      throw new InvalidAnswer(`expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got ${got}`);
    }
    checkPatch(text("patch"), response["patchType"], mutating);
  }
  const warnings = response["warnings"];
  return {
    allowed: response["allowed"] === true,
    result: isDraft(response["status"]) ? response["status"] : undefined,
    patch: mutating ? text("patch") : "",
    patchType: version === "v1" ? text("patchType") : "JSONPatch",
    warnings: Array.isArray(warnings) ? warnings.filter((warning) => typeof warning === "string") : [],
  };
}

function checkPatch(patch: string, patchType: unknown, mutating: boolean): void {
  const hasType = typeof patchType === "string";
  if (!mutating) {
    if (patch !== "") throw new InvalidAnswer("validating webhook may not return response.patch");
    if (hasType) throw new InvalidAnswer("validating webhook may not return response.patchType");
    return;
  }
  if (patch !== "" && !hasType) throw new InvalidAnswer("webhook returned response.patch but not response.patchType");
  if (patch === "" && hasType) throw new InvalidAnswer("webhook returned response.patchType but not response.patch");
  if (patchType === "") throw new InvalidAnswer('webhook returned invalid response.patchType of ""');
}
