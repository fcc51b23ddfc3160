import { describe, expect, it } from "vitest";
import { isDraft } from "../machinery/draft.ts";
import { builtinSchemas } from "../schema/builtin-schemas.ts";
import { StatusError } from "../machinery/status-error.ts";
import { applyPatchBody, parsePatch, sourceOf } from "./patch-body.ts";

const deployment = { group: "apps", version: "v1", kind: "Deployment" };

function refusalOf(run: () => unknown): StatusError {
  try {
    run();
  } catch (error) {
    if (error instanceof StatusError) return error;
    throw error;
  }
  throw new Error("it was not refused");
}

describe("a patch", () => {
  it.each([
    ["merge", "null", 400, "Invalid JSON Patch"],
    [
      "merge",
      "[]",
      400,
      "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}",
    ],
    ["strategic", "[]", 400, "json: cannot unmarshal array into Go value of type map[string]interface {}"],
    [
      "json",
      "{}",
      400,
      "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp",
    ],
  ] as const)("as %s of %s is refused", (type, text, code, message) => {
    const refusal = refusalOf(() => parsePatch(type, text));
    expect([refusal.code, refusal.message]).toEqual([code, message]);
  });

  it.each([
    ["merge", 3000, "error decoding patch: exceeded max depth: this server keeps 2000 levels"],
    ["merge", 200_000, "error decoding patch: invalid character '[' exceeded max depth"],
    ["strategic", 200_000, "invalid character '[' exceeded max depth"],
  ] as const)("as %s, %d levels deep, is refused", (type, levels, message) => {
    const text = `{"data":${"[".repeat(levels)}${"]".repeat(levels)}}`;
    expect(refusalOf(() => parsePatch(type, text)).message).toBe(message);
  });

  it("tells of fields that are there twice or are not known", () => {
    expect(parsePatch("merge", '{"a":{"b":1,"b":2}}').findings).toEqual(['duplicate field "a.b"']);
    expect(parsePatch("json", '[{"op":"add","path":"/a","value":1,"extra":1}]').findings).toEqual([
      'json patch unknown field "[0].extra"',
    ]);
  });

  it.each([
    [{ spec: { "$setElementOrder/x": 5 } }, 500, "expected a []interface {}, but received a int64"],
    [{ spec: { $retainKeys: 1 } }, 400, "invalid patch format of retainKeys"],
    [{ spec: { $patch: "what", a: [1, null] } }, 500, "unknown patch type: what in map: map[$patch:what a:[1 <nil>]]"],
  ])("that does not fit is refused as upstream refuses it: %j", (value, code, message) => {
    const live = { spec: { replicas: 1 } };
    const refusal = refusalOf(() => applyPatchBody(deployment, live, { type: "strategic", value, findings: [] }));
    expect([refusal.code, refusal.message]).toEqual([code, message]);
  });

  it("is shown as the patched object: sorted where it changes something, as Go writes it elsewhere", () => {
    const schema = builtinSchemas().get("io.k8s.api.core.v1.ConfigMap") ?? {};
    const live = { kind: "ConfigMap", apiVersion: "v1", metadata: { uid: "u", name: "a" }, data: { b: "1" } };
    const patch = parsePatch("merge", '{"data":{"a":5}}');
    const patched = applyPatchBody({ group: "", version: "v1", kind: "ConfigMap" }, live, patch);
    expect(isDraft(patched["data"])).toBe(true);
    expect(sourceOf(patch, { schema, builtin: true }, live, patched).text()).toBe(
      '{"apiVersion":"v1","data":{"a":5,"b":"1"},"kind":"ConfigMap","metadata":{"name":"a","uid":"u"}}',
    );
  });
});
