import {
  ConfigMaps,
  MutatingAdmissionPolicies,
  MutatingAdmissionPolicyBindings,
  Namespaces,
  systemClock,
  ValidatingAdmissionPolicies,
  ValidatingAdmissionPolicyBindings,
  type MutatingAdmissionPolicySpec,
  type ValidatingAdmissionPolicyBindingSpec,
  type ValidatingAdmissionPolicySpec,
} from "@fleetwright/kube";
import { describe, expect, it } from "vitest";
import { createFakeServer } from "../auth/fake-server.ts";
import type { AdmissionAttributes } from "../machinery/admission.ts";
import type { Draft } from "../machinery/draft.ts";
import type { ServedKind } from "../machinery/kind.ts";
import type { ServerAccess } from "../machinery/request.ts";
import { builtinSchemas } from "../schema/builtin-schemas.ts";
import { mutatingPolicyPlugin } from "./policy-mutating.ts";
import { validatingPolicyPlugin } from "./policy-validating.ts";

const served = (kind: string, plural: string): ServedKind =>
  ({
    group: "",
    version: "v1",
    kind,
    plural,
    namespaced: true,
    collection: plural,
    builtin: true,
    schema: builtinSchemas().get(`io.k8s.api.core.v1.${kind}`) ?? {},
    strategy: {},
    subresources: new Map(),
  }) as unknown as ServedKind;
const configMap = served("ConfigMap", "configmaps");
const pod = served("Pod", "pods");

const matchConstraints = {
  matchPolicy: "Equivalent",
  resourceRules: [
    { apiGroups: [""], apiVersions: ["v1"], operations: ["CREATE", "UPDATE"], resources: ["configmaps", "pods"] },
  ],
};

interface Outcome {
  readonly object: Draft | undefined;
  readonly warnings: readonly string[];
}

async function create(
  policies: {
    readonly validating?: ValidatingAdmissionPolicySpec;
    readonly binding?: Partial<ValidatingAdmissionPolicyBindingSpec>;
    readonly mutating?: MutatingAdmissionPolicySpec;
  },
  object: Draft = { metadata: { name: "c" }, data: { x: "b" } },
  kind: ServedKind = configMap,
): Promise<Outcome> {
  const server = createFakeServer();
  server.put(Namespaces, { metadata: { name: "default", labels: { team: "a" } } });
  server.put(ConfigMaps, {
    metadata: { name: "settings", namespace: "default", labels: { for: "policies" } },
    data: { x: "b" },
  });
  if (policies.validating !== undefined) {
    server.put(ValidatingAdmissionPolicies, {
      metadata: { name: "p" },
      spec: { matchConstraints, ...policies.validating },
    });
    server.put(ValidatingAdmissionPolicyBindings, {
      metadata: { name: "b" },
      spec: { policyName: "p", validationActions: ["Deny"], ...policies.binding },
    });
  }
  if (policies.mutating !== undefined) {
    server.put(MutatingAdmissionPolicies, {
      metadata: { name: "p" },
      spec: { matchConstraints, ...policies.mutating },
    });
    server.put(MutatingAdmissionPolicyBindings, { metadata: { name: "b" }, spec: { policyName: "p" } });
  }
  const warnings: string[] = [];
  const attributes: AdmissionAttributes = {
    operation: "CREATE",
    kind: { group: "", version: "v1", kind: kind.kind },
    resource: { group: "", version: "v1", resource: kind.plural },
    subresource: "",
    namespace: "default",
    name: "c",
    object: { kind: kind.kind, apiVersion: "v1", ...object },
    oldObject: undefined,
    options: {},
    user: { username: "alice", groups: ["system:authenticated"] },
    dryRun: false,
    served: kind,
    context: { warn: (text: string) => warnings.push(text) } as unknown as AdmissionAttributes["context"],
  };
  const access: ServerAccess = {
    ...(server as unknown as ServerAccess),
    clock: systemClock,
    kinds: () => [configMap, pod],
  };
  const deps = {
    server: access,
    authorize: (_user: unknown, { resource }: { readonly resource: string }) => ({
      allowed: resource === "pods",
      reason: "",
    }),
  };
  await mutatingPolicyPlugin(deps).admit?.(attributes);
  await validatingPolicyPlugin(deps).validate?.(attributes);
  return { object: attributes.object, warnings };
}

const by = "configmaps \"c\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request:";

describe("a validating policy", () => {
  it.each<[string, ValidatingAdmissionPolicySpec, number, string, string]>([
    [
      "the expression",
      { validations: [{ expression: "object.data.x == 'a'" }] },
      422,
      "Invalid",
      "failed expression: object.data.x == 'a'",
    ],
    [
      "the message and the reason",
      { validations: [{ expression: "false", message: "never", reason: "Forbidden" }] },
      403,
      "Forbidden",
      "never",
    ],
    [
      "the message's expression",
      {
        variables: [
          { name: "x", expression: "object.data.x" },
          { name: "y", expression: "variables.x + '!'" },
        ],
        validations: [
          {
            expression: "variables.y == 'a!'",
            messageExpression: "'got ' + variables.y + ' of ' + request.userInfo.username",
            reason: "RequestEntityTooLarge",
          },
        ],
      },
      413,
      "RequestEntityTooLarge",
      "got b! of alice",
    ],
    [
      "what failed",
      { validations: [{ expression: "object.data.missing == 'a'" }] },
      422,
      "Invalid",
      "expression 'object.data.missing == 'a'' resulted in error: no such key: missing",
    ],
    [
      "what failed in a variable",
      {
        variables: [{ name: "bad", expression: "object.data.missing" }],
        validations: [{ expression: "variables.bad == 'x'" }],
      },
      422,
      "Invalid",
      "expression 'variables.bad == 'x'' resulted in error: composited variable \"bad\" fails to evaluate: no such key: missing",
    ],
    [
      "what does not compile",
      { validations: [{ expression: "object.x ==" }] },
      422,
      "Invalid",
      "compilation error: compilation failed: ERROR: <input>:1:12: Syntax error: mismatched input '<EOF>'",
    ],
    [
      "a failed annotation",
      { auditAnnotations: [{ key: "k", valueExpression: "string(object.data.missing)" }] },
      422,
      "Invalid",
      "expression 'string(object.data.missing)' resulted in error",
    ],
  ])("refuses with %s", async (_what, validating, code, reason, message) => {
    const refusal = create({ validating });
    await expect(refusal).rejects.toMatchObject({ code, status: { reason } });
    await expect(refusal).rejects.toThrow(`${by} ${message}`);
  });

  it.each<[string, ValidatingAdmissionPolicySpec]>([
    [
      "its conditions do not hold",
      {
        matchConditions: [{ name: "c", expression: "request.operation == 'UPDATE'" }],
        validations: [{ expression: "false" }],
      },
    ],
    [
      "it fails and failures are ignored",
      { failurePolicy: "Ignore", validations: [{ expression: "object.data.missing == 'a'" }] },
    ],
    [
      "labels differ",
      {
        matchConstraints: { ...matchConstraints, namespaceSelector: { matchLabels: { team: "b" } } },
        validations: [{ expression: "false" }],
      },
    ],
    [
      "its rules leave the object out",
      {
        matchConstraints: {
          ...matchConstraints,
          excludeResourceRules: [{ ...matchConstraints.resourceRules[0], resourceNames: ["c"] }],
        },
        validations: [{ expression: "false" }],
      },
    ],
    [
      "what it knows of the request is so",
      {
        validations: [
          {
            expression:
              "oldObject == null && namespaceObject.metadata.labels.team == 'a' && request.kind.kind == 'ConfigMap' && !request.dryRun" +
              " && authorizer.group('').resource('pods').check('get').allowed() && !authorizer.requestResource.check('get').allowed()",
          },
        ],
      },
    ],
  ])("lets an object pass when %s", async (_what, validating) => {
    await expect(create({ validating })).resolves.toMatchObject({ warnings: [] });
  });

  it("warns instead of refusing", async () => {
    const { warnings } = await create({
      validating: { validations: [{ expression: "false", message: "no" }] },
      binding: { validationActions: ["Warn", "Audit"] },
    });
    expect(warnings).toEqual(["Validation failed for ValidatingAdmissionPolicy 'p' with binding 'b': no"]);
  });

  it("takes its parameters by name and by labels", async () => {
    const validating = {
      paramKind: { apiVersion: "v1", kind: "ConfigMap" },
      validations: [{ expression: "object.data.x == params.data.x && params.kind == 'ConfigMap'" }],
    };
    const bound = (paramRef: object) => create({ validating, binding: { paramRef } });
    await expect(bound({ name: "settings", parameterNotFoundAction: "Deny" })).resolves.toBeDefined();
    await expect(
      bound({ selector: { matchLabels: { for: "policies" } }, parameterNotFoundAction: "Deny" }),
    ).resolves.toBeDefined();
    await expect(bound({ name: "gone", parameterNotFoundAction: "Allow" })).resolves.toBeDefined();
    await expect(bound({ name: "gone", parameterNotFoundAction: "Deny" })).rejects.toThrow(
      `${by} failed to configure binding: no params found for policy binding with \`Deny\` parameterNotFoundAction`,
    );
  });

  it("is given up when it has cost too much", async () => {
    const numbers = `[${Array.from({ length: 100 }, (_, at) => at).join(",")}]`;
    const expression = `${numbers}.all(a, ${numbers}.all(b, ${numbers}.all(c, a + b + c >= 0)))`;
    await expect(create({ validating: { validations: [{ expression }] } })).rejects.toThrow(
      "resulted in error: operation cancelled: actual cost limit exceeded",
    );
  });
});

const apply = (expression: string): MutatingAdmissionPolicySpec => ({
  reinvocationPolicy: "Never",
  mutations: [{ patchType: "ApplyConfiguration", applyConfiguration: { expression } }],
});
const json = (expression: string): MutatingAdmissionPolicySpec => ({
  reinvocationPolicy: "Never",
  mutations: [{ patchType: "JSONPatch", jsonPatch: { expression } }],
});

describe("a mutating policy", () => {
  it("applies a configuration field by field, and lists by their keys", async () => {
    const mutating = apply(
      "Object{metadata: Object.metadata{labels: Object.metadata.labels{added: 'yes'}}," +
        " spec: Object.spec{containers: [Object.spec.containers{name: 'side', image: 'b'}, Object.spec.containers{name: 'c', imagePullPolicy: 'Always'}]}}",
    );
    const { object } = await create(
      { mutating },
      { metadata: { name: "c" }, spec: { containers: [{ name: "c", image: "a" }] } },
      pod,
    );
    expect(object).toMatchObject({
      metadata: { labels: { added: "yes" } },
      spec: {
        containers: [
          { name: "side", image: "b" },
          { name: "c", image: "a", imagePullPolicy: "Always" },
        ],
      },
    });
  });

  it("applies JSON patches, unless their test fails", async () => {
    const patch = (value: string) =>
      json(
        `[JSONPatch{op: 'test', path: '/data/x', value: '${value}'}, JSONPatch{op: 'add', path: '/data/' + jsonpatch.escapeKey('a/b'), value: object.data.x + '!'}]`,
      );
    expect((await create({ mutating: patch("b") })).object?.["data"]).toEqual({ x: "b", "a/b": "b!" });
    expect((await create({ mutating: patch("z") })).object?.["data"]).toEqual({ x: "b" });
  });

  it.each<[string, MutatingAdmissionPolicySpec]>([
    [
      'type mismatch: unexpected type name "Object.meta", expected "Object.metadata", which matches field name path from root Object type',
      apply("Object{metadata: Object.meta{labels: {'a': 'b'}}}"),
    ],
    [
      "expression 'Object{data: {'k': object.data.missing}}' resulted in error: no such key: missing",
      apply("Object{data: {'k': object.data.missing}}"),
    ],
    [
      "JSON Patch: error in remove for path: '/data/nope': Unable to remove nonexistent key: nope: missing value",
      json("[JSONPatch{op: 'remove', path: '/data/nope'}]"),
    ],
    [
      "error applying patch: invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: .metadata.ownerReferences[0]",
      apply("Object{metadata: Object.metadata{ownerReferences: [Object.metadata.ownerReferences{uid: 'u'}]}}"),
    ],
  ])("refuses: %s", async (message, mutating) => {
    await expect(create({ mutating })).rejects.toMatchObject({
      code: 403,
      message: `policy 'p' with binding 'b' denied request: ${message}`,
    });
    await expect(create({ mutating: { ...mutating, failurePolicy: "Ignore" } })).resolves.toBeDefined();
  });
});
