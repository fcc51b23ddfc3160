import fastCheck from "fast-check";
import { describe, expect, it } from "vitest";
import type { Draft } from "../machinery/draft.ts";
import { StatusError } from "../machinery/status-error.ts";
import { builtinSchemas } from "./builtin-schemas.ts";
import { decodeBody } from "./decode.ts";
import recorded from "./testdata/protobuf-objects.json" with { type: "json" };

const protobuf = "application/vnd.kubernetes.protobuf";

/** The same object of the real server in both encodings. */
const objects = recorded as unknown as readonly {
  path: string;
  json: Draft & { apiVersion: string; kind: string };
  protobuf: string;
}[];

function schemaOf(apiVersion: string, kind: string): { schema: object; group: string; version: string } {
  const [group = "", version = ""] = apiVersion.includes("/") ? apiVersion.split("/") : ["", apiVersion];
  const schema = [...builtinSchemas().values()].find((one) =>
    one["x-kubernetes-group-version-kind"]?.some(
      (own) => own.group === group && own.version === version && own.kind === kind,
    ),
  );
  if (schema === undefined) throw new Error(`no schema of ${apiVersion} ${kind}`);
  return { schema, group, version };
}

function decode(bytes: Buffer, contentType: string, apiVersion = "v1", kind = "ConfigMap"): Draft {
  const { schema, group, version } = schemaOf(apiVersion, kind);
  const options = { schema, kind: { group, version, kind }, fieldValidation: "Strict", builtin: true } as const;
  return decodeBody(bytes, { contentType, ...options }).object;
}

/** The refusal, or nothing. */
function outcome(run: () => Draft): string {
  try {
    run();
  } catch (error) {
    if (error instanceof StatusError) return `${error.code} ${error.message}`;
    throw error;
  }
  return "";
}

const field = (number: number, bytes: Buffer | string): Buffer =>
  Buffer.concat([Buffer.of((number << 3) | 2, bytes.length), Buffer.from(bytes)]);

const envelope = (apiVersion: string, kind: string, ...raw: readonly number[]): Buffer =>
  Buffer.concat([
    Buffer.from("k8s\0"),
    field(1, Buffer.concat([field(1, apiVersion), field(2, kind)])),
    field(2, Buffer.from(raw)),
  ]);

describe("bodies in protobuf", () => {
  it.each(objects.map((object) => [object.path, object] as const))("%s reads as its JSON does", (_, object) => {
    const { apiVersion, kind } = object.json;
    const read = (bytes: Buffer, type: string): Draft => decode(bytes, type, apiVersion, kind);
    const json = read(Buffer.from(JSON.stringify(object.json)), "application/json");
    expect(read(Buffer.from(object.protobuf, "base64"), protobuf)).toEqual(json);
  });

  it("takes the path's kind where the envelope names none", () => {
    expect(decode(envelope("", "", 10, 5, 10, 3, 97, 97, 97), protobuf)).toMatchObject({
      kind: "ConfigMap",
      metadata: { name: "aaa" },
    });
  });

  it("passes over fields and groups that the type has not", () => {
    const bytes = envelope("v1", "ConfigMap", 0x9b, 6, 8, 1, 0x9c, 6, 0x9d, 6, 1, 2, 3, 4, 10, 3, 10, 1, 97);
    expect(decode(bytes, protobuf)).toMatchObject({ metadata: { name: "a" } });
  });

  it("reads integers that come packed, and negative ones", () => {
    // ContainerSecurityContext… a pod's `supplementalGroups` (14.4): 1, then 300 and -1 in one field.
    const groups = [32, 1, 34, 12, 0xac, 2, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1];
    const spec = [114, groups.length, ...groups];
    const bytes = envelope("v1", "Pod", 18, spec.length, ...spec);
    expect(decode(bytes, protobuf, "v1", "Pod")).toMatchObject({
      spec: { securityContext: { supplementalGroups: [1, 300, -1] } },
    });
  });

  it("reads DeleteOptions in the version of any group", () => {
    const options = [8, 30, 18, 3, 10, 1, 117, 34, 6, ...Buffer.from("Orphan")];
    const read = decodeBody(envelope("apps/v1", "DeleteOptions", ...options), {
      contentType: protobuf,
      schema: builtinSchemas().get("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions") ?? {},
      kind: { group: "", version: "v1", kind: "DeleteOptions" },
      fieldValidation: "Ignore",
      builtin: true,
      anyVersion: true,
    });
    expect(read.object).toMatchObject({
      gracePeriodSeconds: 30,
      preconditions: { uid: "u" },
      propagationPolicy: "Orphan",
    });
  });

  const own = 'ConfigMap in version "v1" cannot be handled as a ConfigMap: ';
  const none = "the object provided is unrecognized (must be of type ConfigMap): ";
  it.each([
    ["nothing", Buffer.alloc(0), `${none}empty data (<empty>)`],
    [
      "JSON",
      Buffer.from("{}"),
      `${none}provided data does not appear to be a protobuf message, expected prefix [107 56 115 0] ({})`,
    ],
    ["the prefix alone", Buffer.from("k8s\0"), `${none}empty body (6b387300)`],
    ["an envelope cut short", Buffer.from("k8s\0\n\t"), `${none}unexpected EOF (6b3873000a09)`],
    ["an object cut short", envelope("v1", "ConfigMap", 10, 9), `${own}unexpected EOF`],
    [
      "a number for an object",
      envelope("v1", "ConfigMap", 8, 9),
      `${own}proto: wrong wireType = 0 for field ObjectMeta`,
    ],
    ["a number for a text", envelope("v1", "ConfigMap", 10, 2, 8, 9), `${own}proto: wrong wireType = 0 for field Name`],
    ["field 0", envelope("v1", "ConfigMap", 0, 2), `${own}proto: ConfigMap: illegal tag 0 (wire type 0)`],
    [
      "the end of no group",
      envelope("v1", "ConfigMap", 12, 2),
      `${own}proto: ConfigMap: wiretype end group for non-group`,
    ],
    ["an unknown wire type", envelope("v1", "ConfigMap", 0x9e, 6, 1), `${own}proto: illegal wireType 6`],
    [
      "a number without an end",
      envelope("v1", "ConfigMap", 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1),
      `${own}proto: integer overflow`,
    ],
    [
      "a negative length",
      envelope("v1", "ConfigMap", 10, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1),
      `${own}proto: negative length found during unmarshaling`,
    ],
    [
      "another kind",
      envelope("apps/v1", "Deployment"),
      'Deployment in version "v1" cannot be handled as a ConfigMap: converting (v1.Deployment) to (core.ConfigMap): unknown conversion',
    ],
    [
      "a version that there is not",
      envelope("v2", "ConfigMap"),
      'ConfigMap in version "v2" cannot be handled as a ConfigMap: no kind "ConfigMap" is registered for version "v2" in scheme "pkg/runtime/scheme.go:111"',
    ],
  ])("refuses %s as kube-apiserver does", (_, bytes, message) => {
    expect(outcome(() => decode(bytes, protobuf))).toBe(`400 ${message}`);
  });

  it("answers 400 or an object, whatever comes", () => {
    const pod = Buffer.from(objects.find(({ path }) => path.includes("/pods/"))?.protobuf ?? "", "base64");
    const change = fastCheck.tuple(fastCheck.nat(pod.length - 1), fastCheck.nat(255));
    fastCheck.assert(
      fastCheck.property(fastCheck.array(change, { minLength: 1, maxLength: 4 }), (changes) => {
        const bytes = Buffer.from(pod);
        for (const [at, value] of changes) bytes[at] = value;
        expect(outcome(() => decode(bytes, protobuf, "v1", "Pod"))).toMatch(/^(?:$|400 )/);
      }),
    );
  });

  it("ends with messages that nest without end", () => {
    let raw = Buffer.alloc(0);
    // JSONSchemaProps within `not`, 3,000 times.
    for (let depth = 0; depth < 3000; depth++) {
      const length = [];
      for (let rest = raw.length; ; rest >>= 7) {
        length.push(rest < 0x80 ? rest : (rest & 0x7f) | 0x80);
        if (rest < 0x80) break;
      }
      raw = Buffer.concat([Buffer.of(0xe2, 1, ...length), raw]);
    }
    const wrap = (number: number, bytes: Buffer): Buffer => {
      const size = [bytes.length & 0x7f, (bytes.length >> 7) & 0x7f, bytes.length >> 14].map((part, index) =>
        index < 2 ? part | 0x80 : part,
      );
      return Buffer.concat([Buffer.of((number << 3) | 2, ...size), bytes]);
    };
    const spec = wrap(2, wrap(7, wrap(4, wrap(1, raw))));
    const bytes = Buffer.concat([Buffer.from("k8s\0"), wrap(2, spec)]);
    expect(() => decode(bytes, protobuf, "apiextensions.k8s.io/v1", "CustomResourceDefinition")).toThrow(
      /nested more than 200 times/,
    );
  });
});
