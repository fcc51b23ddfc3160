import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import {
  createCertificateAuthority,
  MutatingWebhookConfigurations,
  Namespaces,
  systemClock,
  ValidatingWebhookConfigurations,
  type MutatingWebhook,
} from "@fleetwright/kube";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createFakeServer, type FakeServer } from "../auth/fake-server.ts";
import type { AdmissionAttributes } from "../machinery/admission.ts";
import type { Draft } from "../machinery/draft.ts";
import type { ServedKind } from "../machinery/kind.ts";
import type { ServerAccess } from "../machinery/request.ts";
import { builtinSchemas } from "../schema/builtin-schemas.ts";
import { callWebhook } from "./webhook-client.ts";
import { mutatingWebhookPlugin, validatingWebhookPlugin } from "./webhooks.ts";

interface Request {
  readonly path: string;
  readonly review: { readonly request: Draft & { readonly uid: string } };
}
type Answer = Draft | string | number | undefined;

const base64 = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64");
const patch = (...operations: object[]): Draft => ({
  allowed: true,
  patchType: "JSONPatch",
  patch: base64(operations),
});

let hook: Server;
let caBundle: string;
let requests: Request[] = [];
/** By path: a response, a whole body, a status, or nothing at all. */
let answers: Record<string, Answer> = {};
const aborted = new AbortController();

beforeAll(async () => {
  const authority = await createCertificateAuthority({ clock: systemClock, commonName: "ca" });
  const pair = await authority.issue({ usage: "server", commonName: "hook", hosts: ["127.0.0.1", "hook.default.svc"] });
  caBundle = Buffer.from(authority.certificate).toString("base64");
  hook = createServer({ key: pair.key, cert: pair.certificate }, (request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const review = JSON.parse(Buffer.concat(chunks).toString()) as Request["review"];
      requests.push({ path: request.url ?? "", review });
      const answer = answers[(request.url ?? "").replace(/^\/|\?.*$/g, "")];
      if (answer === undefined) return;
      if (typeof answer === "number") response.statusCode = answer;
      response.end(
        typeof answer === "object"
          ? JSON.stringify({
              kind: "AdmissionReview",
              apiVersion: "admission.k8s.io/v1",
              response: { uid: review.request.uid, ...answer },
            })
          : String(answer),
      );
    });
  });
  await new Promise<void>((resolve) => hook.listen(0, "127.0.0.1", resolve));
});
afterAll(() => {
  hook.closeAllConnections();
  hook.close();
});
beforeEach(() => {
  requests = [];
  answers = {};
});

const port = () => (hook.address() as AddressInfo).port;
const at = (path: string): MutatingWebhook["clientConfig"] => ({
  url: `https://127.0.0.1:${port()}/${path}`,
  caBundle,
});

const configMap = {
  group: "",
  version: "v1",
  kind: "ConfigMap",
  plural: "configmaps",
  namespaced: true,
  collection: "configmaps",
  builtin: true,
  schema: builtinSchemas().get("io.k8s.api.core.v1.ConfigMap") ?? {},
  strategy: {},
  subresources: new Map(),
} as unknown as ServedKind;

const webhook = (name: string, more: Partial<MutatingWebhook> = {}): MutatingWebhook => ({
  name: `${name}.hook.example`,
  clientConfig: at(name),
  admissionReviewVersions: ["v1"],
  sideEffects: "None",
  timeoutSeconds: 1,
  rules: [{ operations: ["CREATE"], apiGroups: [""], apiVersions: ["v1"], resources: ["configmaps"], scope: "*" }],
  ...more,
});

function serverWith(mutating: readonly MutatingWebhook[], validating: readonly MutatingWebhook[] = []): FakeServer {
  const server = createFakeServer();
  server.put(Namespaces, { metadata: { name: "default", labels: { team: "a" } } });
  server.put(MutatingWebhookConfigurations, { metadata: { name: "m" }, webhooks: mutating });
  server.put(ValidatingWebhookConfigurations, { metadata: { name: "v" }, webhooks: validating });
  return server;
}

interface Outcome {
  readonly object: Draft | undefined;
  readonly warnings: readonly string[];
}

async function create(server: FakeServer, more: Partial<AdmissionAttributes> = {}): Promise<Outcome> {
  const access: ServerAccess = {
    ...(server as unknown as ServerAccess),
    objects: (server as unknown as ServerAccess).objects,
    clock: systemClock,
    random: { next: () => 0.5 },
    kinds: () => [configMap],
  };
  const warnings: string[] = [];
  const attributes: AdmissionAttributes = {
    operation: "CREATE",
    kind: { group: "", version: "v1", kind: "ConfigMap" },
    resource: { group: "", version: "v1", resource: "configmaps" },
    subresource: "",
    namespace: "default",
    name: "c",
    object: { kind: "ConfigMap", apiVersion: "v1", metadata: { name: "c", labels: { app: "x" } }, data: { a: "b" } },
    oldObject: undefined,
    options: { kind: "CreateOptions", apiVersion: "meta.k8s.io/v1" },
    user: { username: "alice", groups: ["system:authenticated"] },
    dryRun: false,
    served: configMap,
    context: {
      signal: aborted.signal,
      warn: (text: string) => warnings.push(text),
    } as unknown as AdmissionAttributes["context"],
    ...more,
  };
  const deps = {
    server: access,
    authorize: () => ({ allowed: true, reason: "" }),
    resolveService: ({ name }: { readonly name: string }) => {
      if (name === "hook") return { host: "127.0.0.1", port: port() };
      throw new Error(`service ${JSON.stringify(name)} not found`);
    },
    callWebhook,
  };
  await mutatingWebhookPlugin(deps).admit?.(attributes);
  await validatingWebhookPlugin(deps).validate?.(attributes);
  return { object: attributes.object, warnings };
}

describe("a mutating webhook", () => {
  it("is sent the object with who did what, and may change it and warn", async () => {
    answers["patch"] = { ...patch({ op: "add", path: "/data/z", value: "1" }), warnings: ["careful"] };
    const { object, warnings } = await create(serverWith([webhook("patch")]));
    expect(object?.["data"]).toEqual({ a: "b", z: "1" });
    expect(warnings).toEqual(["careful"]);
    expect(requests[0]?.path).toBe("/patch?timeout=1s");
    expect(requests[0]?.review.request).toMatchObject({
      kind: { group: "", version: "v1", kind: "ConfigMap" },
      resource: { group: "", version: "v1", resource: "configmaps" },
      operation: "CREATE",
      namespace: "default",
      userInfo: { username: "alice", groups: ["system:authenticated"] },
      object: { data: { a: "b" } },
      oldObject: null,
      dryRun: false,
    });
  });

  it("is called again when another one changed the object after it, if it wants to", async () => {
    answers["first"] = { allowed: true };
    answers["second"] = patch({ op: "add", path: "/data/z", value: "1" });
    await create(serverWith([webhook("first", { reinvocationPolicy: "IfNeeded" }), webhook("second")]));
    expect(requests.map(({ path }) => path)).toEqual(["/first?timeout=1s", "/second?timeout=1s", "/first?timeout=1s"]);
    expect(requests[2]?.review.request).toMatchObject({ object: { data: { a: "b", z: "1" } } });
  });

  it.each([
    [
      patch({ op: "remove", path: "/metadata/nope" }),
      "error in remove for path: '/metadata/nope': Unable to remove nonexistent key: nope: missing value",
    ],
    [
      patch({ op: "replace", path: "/data", value: 5 }),
      "json: cannot unmarshal number into Go struct field ConfigMap.data of type map[string]string",
    ],
    [
      { allowed: true, patchType: "JSONPatch", patch: Buffer.from("{").toString("base64") },
      'failed calling webhook "bad.hook.example": received undecodable patch in webhook response: unexpected end of JSON input',
    ],
    [
      { allowed: true, patch: base64([]) },
      'failed calling webhook "bad.hook.example": received invalid webhook response: webhook returned response.patch but not response.patchType',
    ],
    [
      { allowed: true, uid: "other" },
      'failed calling webhook "bad.hook.example": received invalid webhook response: expected response.uid="88888888-8888-4888-a888-888888888888", got "other"',
    ],
  ])("that answers %j is an internal error: %s", async (answer, message) => {
    answers["bad"] = answer;
    await expect(create(serverWith([webhook("bad")]))).rejects.toMatchObject({
      code: 500,
      message: `Internal error occurred: ${message}`,
    });
  });
});

describe("a validating webhook", () => {
  it.each([
    [{ allowed: false }, 400, "", 'admission webhook "deny.hook.example" denied the request without explanation'],
    [
      { allowed: false, status: { message: "because", reason: "Why", code: 418 } },
      418,
      "Why",
      'admission webhook "deny.hook.example" denied the request: because',
    ],
    [
      { allowed: false, status: { reason: "OnlyReason", code: 200 } },
      400,
      "OnlyReason",
      'admission webhook "deny.hook.example" denied the request: OnlyReason',
    ],
  ])("that answers %j refuses", async (answer, code, reason, message) => {
    answers["deny"] = answer;
    const refusal = create(serverWith([], [webhook("deny", { failurePolicy: "Ignore" })]));
    await expect(refusal).rejects.toMatchObject({ code, message, status: { code, message } });
    await expect(refusal).rejects.toSatisfy(
      (error: { status: { reason?: string } }) => (error.status.reason ?? "") === reason,
    );
  });

  it.each<[string, Answer, string]>([
    ["500", 500, 'an error on the server ("500") has prevented the request from succeeding'],
    ["404", 404, "the server could not find the requested resource"],
    ["redirect", 302, "the server responded with the status code 302 but did not return more information"],
    ["empty", "", "0-length response with status code: 200 and content type: application/json"],
    ["slow", undefined, 'Post "https://127.0.0.1:PORT/slow?timeout=1s": context deadline exceeded'],
  ])("that fails with %s counts by its policy", async (path, answer, reason) => {
    answers[path] = answer;
    const failing = create(serverWith([], [webhook(path, { failurePolicy: "Fail" })]));
    await expect(failing).rejects.toMatchObject({
      code: 500,
      message: `Internal error occurred: failed calling webhook "${path}.hook.example": failed to call webhook: ${reason.replace("PORT", String(port()))}`,
    });
    await expect(create(serverWith([], [webhook(path, { failurePolicy: "Ignore" })]))).resolves.toBeDefined();
  });

  it("is reached through its service, by the service's name", async () => {
    answers["path"] = { allowed: true };
    const service = { name: "hook", namespace: "default", path: "/path" };
    await create(serverWith([], [webhook("svc", { clientConfig: { service, caBundle } })]));
    expect(requests).toHaveLength(1);
    const missing = webhook("svc", { clientConfig: { service: { ...service, name: "gone" }, caBundle } });
    await expect(create(serverWith([], [missing]))).rejects.toThrow(
      'failed to call webhook: Post "https://gone.default.svc:443/path?timeout=1s": service "gone" not found',
    );
  });

  it("with a certificate of nobody known, or no server at all, fails", async () => {
    const unknown = webhook("a", { clientConfig: { url: `https://127.0.0.1:${port()}/a` } });
    await expect(create(serverWith([], [unknown]))).rejects.toThrow(
      "tls: failed to verify certificate: x509: certificate signed by unknown authority",
    );
    const refused = webhook("a", { clientConfig: { url: "https://127.0.0.1:1/a", caBundle } });
    await expect(create(serverWith([], [refused]))).rejects.toThrow(
      'Post "https://127.0.0.1:1/a?timeout=1s": dial tcp 127.0.0.1:1: connect: connection refused',
    );
  });
});

describe("whether a webhook is called", () => {
  it.each<[string, Partial<MutatingWebhook>, Partial<AdmissionAttributes>, boolean]>([
    [
      "other operations",
      { rules: [{ operations: ["UPDATE"], apiGroups: ["*"], apiVersions: ["*"], resources: ["*/*"] }] },
      {},
      false,
    ],
    [
      "everything",
      { rules: [{ operations: ["*"], apiGroups: ["*"], apiVersions: ["*"], resources: ["*/*"] }] },
      {},
      true,
    ],
    [
      "subresources",
      { rules: [{ operations: ["*"], apiGroups: ["*"], apiVersions: ["*"], resources: ["*"] }] },
      { subresource: "status" },
      false,
    ],
    [
      "cluster-wide objects",
      { rules: [{ operations: ["*"], apiGroups: ["*"], apiVersions: ["*"], resources: ["*"], scope: "Cluster" }] },
      {},
      false,
    ],
    ["labels of the namespace", { namespaceSelector: { matchLabels: { team: "b" } } }, {}, false],
    ["labels of the namespace", { namespaceSelector: { matchLabels: { team: "a" } } }, {}, true],
    ["labels of the object", { objectSelector: { matchLabels: { app: "y" } } }, {}, false],
    ["a condition", { matchConditions: [{ name: "c", expression: "object.data.a == 'c'" }] }, {}, false],
    [
      "a condition",
      {
        matchConditions: [
          {
            name: "c",
            expression:
              "request.userInfo.username == 'alice' && authorizer.group('').resource('pods').check('get').allowed()",
          },
        ],
      },
      {},
      true,
    ],
    [
      "admission's own kinds",
      { rules: [{ operations: ["*"], apiGroups: ["*"], apiVersions: ["*"], resources: ["*"] }] },
      { kind: { group: "admissionregistration.k8s.io", version: "v1", kind: "ValidatingAdmissionPolicy" } },
      false,
    ],
  ])("%s: %j", async (_what, more, attributes, called) => {
    answers["hook"] = { allowed: true };
    await create(serverWith([], [webhook("hook", more)]), attributes);
    expect(requests.length > 0).toBe(called);
  });

  it("refuses a dry run when the webhook would have side effects", async () => {
    answers["hook"] = { allowed: true };
    const server = serverWith([], [webhook("hook", { sideEffects: "Some" })]);
    await expect(create(server, { dryRun: true })).rejects.toMatchObject({
      code: 400,
      message: 'admission webhook "hook.hook.example" does not support dry run',
    });
  });

  it("refuses when a condition fails, unless failures are ignored", async () => {
    const matchConditions = [{ name: "c", expression: "object.data.missing == 'c'" }];
    await expect(create(serverWith([], [webhook("hook", { matchConditions })]))).rejects.toMatchObject({
      code: 403,
      message:
        "configmaps \"c\" is forbidden: expression 'object.data.missing == 'c'' resulted in error: no such key: missing",
    });
    await create(serverWith([], [webhook("hook", { matchConditions, failurePolicy: "Ignore" })]));
    expect(requests).toEqual([]);
  });
});
