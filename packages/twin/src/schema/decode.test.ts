import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { StatusError } from "../machinery/status-error.ts";
import { builtinKinds } from "./builtin-schemas.ts";
import { canonicalObject, decodeBody } from "./decode.ts";
import type { DecodeOptions, FieldValidation } from "./decode.ts";

function optionsFor(group: string, kind: string, change: Partial<DecodeOptions> = {}): DecodeOptions {
  const found = builtinKinds().find((candidate) => candidate.group === group && candidate.kind === kind);
  if (found === undefined) throw new Error(`no kind ${kind}`);
  const { version, schema } = found;
  return {
    contentType: "application/json",
    schema,
    kind: { group, version, kind },
    fieldValidation: "Warn",
    builtin: true,
    ...change,
  };
}

const configMap = optionsFor("", "ConfigMap");
const deployment = optionsFor("apps", "Deployment");
const lease = optionsFor("coordination.k8s.io", "Lease");
const custom: DecodeOptions = {
  contentType: "application/json",
  schema: {},
  kind: { group: "example.com", version: "v1", kind: "Foo" },
  fieldValidation: "Warn",
  builtin: false,
};

const decode = (text: string, options: DecodeOptions) => decodeBody(Buffer.from(text), options);

function refusal(text: string, options: DecodeOptions): string {
  try {
    decode(text, options);
  } catch (error) {
    if (error instanceof StatusError) return error.message;
    throw error;
  }
  return "taken";
}

const unrecognized = "the object provided is unrecognized (must be of type ConfigMap): ";
const notJson = `${unrecognized}couldn't get version/kind; json parse error: `;
const findKind = String.raw`struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }`;

const ofDeployment = 'Deployment in version "v1" cannot be handled as a Deployment: ';
const inPod = (text: string): string => `{"metadata":{"name":"a"},"spec":{"template":{"spec":${text}}}}`;
const quantities = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

describe("what a body is refused with (as kube-apiserver 1.36.3 answered)", () => {
  it.each([
    ["x", `${notJson}invalid character 'x' looking for beginning of value (78)`],
    ["", `${notJson}unexpected end of JSON input (<empty>)`],
    ["[]", `${notJson}json: cannot unmarshal array into Go value of type ${findKind} (5b5d)`],
    ['"a"', `${notJson}json: cannot unmarshal string into Go value of type ${findKind} (226122)`],
    [
      '{"kind":5,"apiVersion":"v1"}',
      `${notJson}json: cannot unmarshal number into Go struct field .kind of type string ({"kind":5,"apiVersion":"v1"})`,
    ],
    ['{"kind":"ConfigMap"} x', `${notJson}invalid character 'x' after top-level value ({"kind":"ConfigMap"} x)`],
    [
      '{"kind":"ConfigMap","apiVersion":"a/b/c"}',
      `${unrecognized}unexpected GroupVersion string: a/b/c ({"kind":"ConfigMap","apiVersio ...)`,
    ],
    [
      '{"kind":"Secret","apiVersion":"v1"}',
      'Secret in version "v1" cannot be handled as a ConfigMap: converting (v1.Secret) to (core.ConfigMap): unknown conversion',
    ],
    [
      '{"kind":"Foo","apiVersion":"v1"}',
      'Foo in version "v1" cannot be handled as a ConfigMap: no kind "Foo" is registered for version "v1" in scheme "pkg/runtime/scheme.go:111"',
    ],
    [
      '{"kind":"ConfigMap","apiVersion":"apps/v1"}',
      'ConfigMap in version "v1" cannot be handled as a ConfigMap: no kind "ConfigMap" is registered for version "apps/v1" in scheme "pkg/runtime/scheme.go:111"',
    ],
    [
      '{"data":{"a":5}}',
      'ConfigMap in version "v1" cannot be handled as a ConfigMap: json: cannot unmarshal number into Go struct field ConfigMap.data of type string',
    ],
    [
      '{"binaryData":{"x":"YQ"}}',
      'ConfigMap in version "v1" cannot be handled as a ConfigMap: illegal base64 data at input byte 0',
    ],
  ])("ConfigMap %.60s", (text, message) => {
    expect(refusal(text, configMap)).toBe(message);
  });

  it("JSON that is deeper than Go reads", () => {
    expect(refusal(`{"metadata":${"[".repeat(10_001)}${"]".repeat(10_001)}}`, configMap)).toMatch(
      /invalid character '\[' exceeded max depth/,
    );
  });

  it.each([
    [
      '{"spec":{"replicas":"x","foo":1}}',
      "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
    ],
    [
      '{"spec":{"replicas":1.0}}',
      "json: cannot unmarshal number 1.0 into Go struct field DeploymentSpec.spec.replicas of type int32",
    ],
    [
      '{"spec":{"replicas":3000000000}}',
      "json: cannot unmarshal number 3000000000 into Go struct field DeploymentSpec.spec.replicas of type int32",
    ],
    [
      '{"metadata":{"creationTimestamp":"x"}}',
      'parsing time "x" as "2006-01-02T15:04:05Z07:00": cannot parse "x" as "2006"',
    ],
    [
      '{"metadata":{"creationTimestamp":5}}',
      "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.creationTimestamp of type string",
    ],
    [
      '{"spec":{"strategy":{"rollingUpdate":{"maxSurge":true}}}}',
      "json: cannot unmarshal bool into Go struct field RollingUpdateDeployment.spec.strategy.rollingUpdate.maxSurge of type int32",
    ],
    [
      '{"spec":{"strategy":{"rollingUpdate":{"maxSurge":1.5}}}}',
      "json: cannot unmarshal number 1.5 into Go struct field RollingUpdateDeployment.spec.strategy.rollingUpdate.maxSurge of type int32",
    ],
    [
      inPod('{"containers":{}}'),
      "json: cannot unmarshal object into Go struct field PodSpec.spec.template.spec.containers of type []v1.Container",
    ],
    [
      inPod('{"containers":[5]}'),
      "json: cannot unmarshal number into Go struct field PodSpec.spec.template.spec.containers of type v1.Container",
    ],
    [
      inPod('{"volumes":[{"emptyDir":5}]}'),
      "json: cannot unmarshal number into Go struct field Volume.spec.template.spec.volumes.VolumeSource.emptyDir of type v1.EmptyDirVolumeSource",
    ],
    [inPod('{"containers":[{"resources":{"limits":{"cpu":"1x"}}}]}'), quantities],
    [inPod('{"containers":[{"resources":{"limits":{"cpu":true}}}]}'), quantities],
    ['{"metadata":[]}', "json: cannot unmarshal array into Go struct field Deployment.metadata of type v1.ObjectMeta"],
    [
      '{"metadata":{"labels":[]}}',
      "json: cannot unmarshal array into Go struct field ObjectMeta.metadata.labels of type map[string]string",
    ],
  ])("Deployment %s", (text, message) => {
    expect(refusal(text, deployment)).toBe(`${ofDeployment}${message}`);
  });

  it.each([
    [
      "2020-01-01T00:00:00Z",
      'parsing time "2020-01-01T00:00:00Z" as "2006-01-02T15:04:05.000000Z07:00": cannot parse "Z" as ".000000"',
    ],
    [
      "2020-01-01T00:00:00.12Z",
      'parsing time "2020-01-01T00:00:00.12Z" as "2006-01-02T15:04:05.000000Z07:00": cannot parse ".12Z" as ".000000"',
    ],
  ])("a lease renewed at %s", (time, message) => {
    expect(refusal(`{"spec":{"renewTime":"${time}"}}`, lease)).toBe(
      `Lease in version "v1" cannot be handled as a Lease: ${message}`,
    );
  });

  it.each([
    ["{}", "the object provided is unrecognized (must be of type Foo): Object 'Kind' is missing in '{}' ({})"],
    ['{"kind":"Foo"}', "the API version in the data () does not match the expected API version (example.com/v1)"],
    [
      '{"kind":"Bar","apiVersion":"example.com/v1"}',
      'Bar.example.com "" is invalid: kind: Invalid value: "Bar": must be Foo',
    ],
    [
      '{"kind":"Foo","apiVersion":"example.com/v1","metadata":{"name":5}}',
      'Foo in version "v1" cannot be handled as a Foo: json: cannot unmarshal number into Go struct field ObjectMeta.name of type string',
    ],
    [
      '{"kind":"Foo","apiVersion":"example.com/v1","metadata":[]}',
      'Foo in version "v1" cannot be handled as a Foo: json: cannot unmarshal array into Go value of type v1.ObjectMeta',
    ],
  ])("a custom resource %s", (text, message) => {
    expect(refusal(text, custom)).toBe(message);
  });
});

describe("unknown and doubled fields", () => {
  const text = '{"metadata":{"name":"a","name":"b"},"data":{"x":"1","x":"2"},"foo":1,"foo":2}';
  const findings = ['duplicate field "metadata.name"', 'duplicate field "data.x"', 'unknown field "foo"'];
  const withValidation = (fieldValidation: FieldValidation) => ({ ...configMap, fieldValidation });

  it("are warnings, in the order of the text, and the last of doubled ones counts", () => {
    const { object, warnings } = decode(text, withValidation("Warn"));
    expect(warnings).toEqual(findings);
    expect(object).toMatchObject({ metadata: { name: "b" }, data: { x: "2" } });
  });

  it("are refused when that is asked for, and not mentioned when not", () => {
    expect(refusal(text, withValidation("Strict"))).toBe(
      `ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: ${findings.join(", ")}`,
    );
    expect(decode(text, withValidation("Ignore")).warnings).toEqual([]);
  });

  it("of a custom resource come from its metadata and from what its definition drops", () => {
    const { object, warnings } = decode(
      '{"kind":"Foo","apiVersion":"example.com/v1","metadata":{"name":"a","x":1,"labels":{}},"spec":{"x":1,"x":2}}',
      { ...custom, prune: () => ["spec.x"] },
    );
    expect(warnings).toEqual(['duplicate field "spec.x"', 'unknown field "metadata.x"', 'unknown field "spec.x"']);
    expect(object).toEqual({
      apiVersion: "example.com/v1",
      kind: "Foo",
      metadata: { name: "a" },
      spec: { x: 2 },
    });
  });

  it("are found in YAML as Go's reader of YAML finds them", () => {
    const yaml = "kind: ConfigMap\nmetadata: {name: a}\ndata:\n  a: b\n  a: c\n";
    const options = { ...configMap, contentType: "application/yaml" };
    const { object, warnings } = decode(yaml, options);
    expect(object).toMatchObject({ data: { a: "c" } });
    expect(warnings).toEqual(['line 5: key "a" already set in map']);
    expect(refusal(yaml, { ...options, fieldValidation: "Strict" })).toBe(
      'ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: yaml: unmarshal errors:\n  line 5: key "a" already set in map',
    );
  });
});

describe("the form in which values are kept", () => {
  it("is Go's: empty fields are left out or written as their tags say, quantities and times are canonical", () => {
    const { object } = decode(
      inPod(
        '{"containers":[{"name":"a","args":[],"env":[null,{"name":"x","value":""}],"command":[null],' +
          '"resources":{"limits":{"cpu":"1000m","memory":null}}}],"volumes":[{"name":"y","emptyDir":null}],' +
          '"nodeSelector":{},"securityContext":{"runAsUser":0},"hostNetwork":false}',
      ),
      deployment,
    );
    expect(object).toEqual({
      kind: "Deployment",
      apiVersion: "apps/v1",
      metadata: { name: "a" },
      spec: {
        selector: null,
        strategy: {},
        template: {
          metadata: {},
          spec: {
            containers: [
              {
                name: "a",
                command: [""],
                env: [{ name: "" }, { name: "x" }],
                resources: { limits: { cpu: "1", memory: "0" } },
              },
            ],
            volumes: [{ name: "y" }],
            securityContext: { runAsUser: 0 },
          },
        },
      },
      status: {},
    });
  });

  it("writes a list that must be there as null when it is empty", () => {
    expect(decode('{"rules":[]}', optionsFor("rbac.authorization.k8s.io", "ClusterRole")).object).toMatchObject({
      rules: null,
    });
  });

  it.each([3000, 9900])("drops an unknown field that is %d deep, and keeps no field so deep", (levels) => {
    const deep = `${"[".repeat(levels)}${"]".repeat(levels)}`;
    expect(decode(`{"metadata":{"name":"a"},"x":${deep}}`, configMap).object).not.toHaveProperty("x");
    expect(refusal(`{"metadata":{"managedFields":[{"fieldsV1":${deep}}]}}`, configMap)).toContain("keeps 2000 levels");
  });

  it("keeps micro seconds in UTC", () => {
    const { object } = decode('{"spec":{"renewTime":"2020-01-01T01:00:00.123456+01:00"}}', lease);
    expect(object).toMatchObject({ spec: { renewTime: "2020-01-01T00:00:00.123456Z" } });
  });

  it("replaces lone surrogates and keeps keys such as __proto__", () => {
    const { object } = decode(String.raw`{"data":{"a":"\ud800","__proto__":"b"}}`, configMap);
    expect(JSON.stringify(object["data"])).toBe('{"__proto__":"b","a":"\ufffd"}');
    expect(Object.getPrototypeOf(object["data"])).toBe(Object.prototype);
  });

  it("does not change when it is written again", () => {
    const { object } = decode(inPod('{"containers":[{"name":"a","ports":[{"containerPort":80}]}]}'), deployment);
    expect(canonicalObject(object, deployment.schema)).toEqual(object);
  });

  it("takes any JSON for a custom resource's own fields", () => {
    fc.assert(
      fc.property(fc.json(), (json) => {
        const text = `{"kind":"Foo","apiVersion":"example.com/v1","spec":${json}}`;
        const { object, warnings } = decode(text, custom);
        expect(object["spec"]).toEqual(JSON.parse(JSON.stringify(JSON.parse(json))));
        expect(warnings).toEqual([]);
      }),
    );
  });
});
