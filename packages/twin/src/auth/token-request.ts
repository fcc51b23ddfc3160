import { Nodes, Pods, Secrets, ServiceAccounts, type Clock, type KubeObject } from "@fleetwright/kube";
import { typed, type Draft, type Mutable } from "../machinery/draft.ts";
import type { Subresource, SubresourceCall } from "../machinery/kind.ts";
import { fieldErrors, refusals } from "../machinery/status-error.ts";
import type { ServiceAccountTokens, TokenSubject } from "./service-account-tokens.ts";

interface TokenRequest extends KubeObject {
  readonly spec: {
    readonly audiences?: readonly string[] | null;
    readonly expirationSeconds?: number;
    readonly boundObjectRef?: {
      readonly apiVersion?: string;
      readonly kind?: string;
      readonly name?: string;
      readonly uid?: string;
    } | null;
  };
}

const group = "authentication.k8s.io";
const minimumSeconds = 600;
/** What kubelets ask for, plus a margin: such tokens live a year longer, with a warning. */
const warnOnlySeconds = 3607;
const extendedSeconds = 365 * 24 * 3600;

type Reference = NonNullable<TokenRequest["spec"]["boundObjectRef"]>;
type Bound = Pick<TokenSubject, "pod" | "secret" | "node">;

/** What the token lives as long as. Throws 400, 404 and 409. */
function boundObject(call: SubresourceCall, reference: Reference): Bound {
  const { namespace, server } = call;
  const { apiVersion = "", kind = "", name = "", uid = "" } = reference;
  const core = apiVersion === "v1" || apiVersion === "";
  const check = (object: KubeObject | undefined, resource: string): string => {
    if (object === undefined) throw refusals.notFound({ group: "", resource }, name);
    const found = object.metadata.uid ?? "";
    if (uid !== "" && uid !== found) {
      throw refusals.conflict(
        { group: "", resource: kind },
        name,
        `the UID in the bound object reference (${uid}) does not match the UID in record. The object might have been deleted and then recreated`,
      );
    }
    return found;
  };
  if (core && kind === "Pod") {
    const pod = server.objects.get(Pods, { namespace, name });
    if (pod !== undefined && pod.spec?.serviceAccountName !== call.name) {
      throw refusals.badRequest(
        `cannot bind token for serviceaccount ${JSON.stringify(call.name)} to pod running with different serviceaccount name.`,
      );
    }
    const found = check(pod, "pods");
    const nodeName = pod?.spec?.nodeName ?? "";
    if (nodeName === "") return { pod: { name, uid: found } };
    const nodeUid = server.objects.get(Nodes, { name: nodeName })?.metadata.uid;
    return {
      pod: { name, uid: found },
      node: { name: nodeName, ...(nodeUid === undefined ? {} : { uid: nodeUid }) },
    };
  }
  if (core && kind === "Node") return { node: { name, uid: check(server.objects.get(Nodes, { name }), "nodes") } };
  if (core && kind === "Secret") {
    return { secret: { name, uid: check(server.objects.get(Secrets, { namespace, name }), "secrets") } };
  }
  const [apiGroup, version] = apiVersion.includes("/") ? apiVersion.split("/", 2) : ["", apiVersion];
  throw refusals.badRequest(`cannot bind token to object of type ${apiGroup}/${version}, Kind=${kind}`);
}

function uuid(random: () => number): string {
  const hex = Array.from({ length: 32 }, () => Math.floor(random() * 16).toString(16));
  hex[12] = "4";
  hex[16] = "89ab"[Math.floor(random() * 4)] ?? "8";
  const text = hex.join("");
  return [text.slice(0, 8), text.slice(8, 12), text.slice(12, 16), text.slice(16, 20), text.slice(20)].join("-");
}

/** `POST serviceaccounts/NAME/token` (pkg/registry/core/serviceaccount/storage/token.go). */
export function createTokenSubresource({
  tokens,
  clock,
}: {
  readonly tokens: ServiceAccountTokens;
  readonly clock: Clock;
}): Omit<Subresource, "kind" | "schema" | "verbs"> {
  async function create(call: SubresourceCall): Promise<Draft> {
    const { name, namespace, server } = call;
    const request: Mutable<TokenRequest> = typed<TokenRequest>(call.body);
    const { metadata, spec } = request;
    const subject = { group, resource: "TokenRequest" };
    if ((metadata?.name ?? "") !== "" && metadata.name !== name) {
      throw refusals.invalid(subject, name, [
        fieldErrors.invalid("metadata.name", metadata.name, "must match the service account name if specified"),
      ]);
    }
    if ((metadata?.namespace ?? "") !== "" && metadata.namespace !== namespace) {
      throw refusals.invalid(subject, name, [
        fieldErrors.invalid(
          "metadata.namespace",
          metadata.namespace,
          "must match the service account namespace if specified",
        ),
      ]);
    }
    const account = server.objects.get(ServiceAccounts, { namespace, name });
    if (account === undefined) throw refusals.notFound({ group: "", resource: "serviceaccounts" }, name);
    const accountUid = account.metadata.uid ?? "";
    const askedUid = metadata?.uid ?? "";
    if (askedUid !== "" && askedUid !== accountUid) {
      throw refusals.conflict(
        subject,
        name,
        `the UID in the token request (${askedUid}) does not match the UID of the service account (${accountUid})`,
      );
    }
    const audiences = (spec.audiences ?? []).length === 0 ? tokens.audiences : (spec.audiences ?? []);
    const expirationSeconds = spec.expirationSeconds ?? 3600;
    if (expirationSeconds < minimumSeconds) {
      throw refusals.invalid(subject, "", [
        fieldErrors.invalid(
          "spec.expirationSeconds",
          expirationSeconds,
          "may not specify a duration less than 10 minutes",
        ),
      ]);
    }
    if (expirationSeconds > 2 ** 32) {
      throw refusals.invalid(subject, "", [
        fieldErrors.invalid(
          "spec.expirationSeconds",
          expirationSeconds,
          "may not specify a duration larger than 2^32 seconds",
        ),
      ]);
    }
    const bound: Bound =
      spec.boundObjectRef === undefined || spec.boundObjectRef === null ? {} : boundObject(call, spec.boundObjectRef);
    const extended =
      bound.pod !== undefined &&
      expirationSeconds === warnOnlySeconds &&
      audiences.every((audience) => tokens.audiences.includes(audience));
    const token = tokens.issue(
      { namespace, serviceAccount: { name, uid: accountUid }, ...bound },
      {
        audiences,
        expirationSeconds: extended ? extendedSeconds : expirationSeconds,
        ...(extended ? { warnAfterSeconds: expirationSeconds } : {}),
        id: uuid(() => server.random.next()),
      },
    );
    const text = (milliseconds: number): string => new Date(milliseconds).toISOString().replace(/\.\d+Z$/, "Z");
    const now = clock.now();
    return {
      kind: "TokenRequest",
      apiVersion: `${group}/v1`,
      metadata: {
        ...(call.body["metadata"] as Draft | undefined),
        name,
        namespace,
        uid: accountUid,
        creationTimestamp: text(now),
      },
      spec: {
        audiences: [...audiences],
        expirationSeconds,
        boundObjectRef: (call.body["spec"] as Draft)["boundObjectRef"] ?? null,
      },
      status: { token, expirationTimestamp: text(now + expirationSeconds * 1000) },
    };
  }
  return { name: "token", create };
}
