import { describe, expect, it } from "vitest";
import { columnsOfPrinterColumns } from "./printer-columns.ts";

const nowMs = Date.parse("2026-01-01T01:00:00Z");
const object = {
  metadata: { name: "a", creationTimestamp: "2026-01-01T00:00:00Z", annotations: { "example.com/x.y": "dotted" } },
  spec: {
    text: "t",
    count: 3.7,
    flag: true,
    nothing: null,
    list: ["a", "b", "c", "d"],
    items: [
      { type: "Ready", status: "True", weight: 1 },
      { type: "Other", status: "False", weight: 5 },
    ],
    deep: { x: { n: 1 }, y: { n: 2 } },
    until: "never",
  },
};

const cell = (jsonPath: string, type = "string") =>
  columnsOfPrinterColumns([{ name: "C", type, jsonPath }])[1]?.cell(object, nowMs);

describe("a custom resource's column", () => {
  it.each([
    [".spec.text", "string", "t"],
    ["$.spec.text", "string", "t"],
    [".spec['text']", "string", "t"],
    [String.raw`.metadata.annotations.example\.com/x\.y`, "string", "dotted"],
    [".metadata.annotations['example.com/x.y']", "string", "dotted"],
    [".spec.list[0]", "string", "a"],
    [".spec.list[-1]", "string", "d"],
    [".spec.list[1:3]", "string", "b"],
    [".spec.list[*]", "string", "a"],
    [".spec.list", "string", '["a","b","c","d"]'],
    [".spec.deep.*.n", "integer", 1],
    [".spec.count", "integer", 3],
    [".spec.count", "number", 3.7],
    [".spec.count", "string", "3.7"],
    [".spec.flag", "boolean", true],
    [".spec.flag", "string", "true"],
    [".spec.text", "integer", null],
    [".spec.nothing", "integer", null],
    [".spec.missing.deeper", "string", null],
    [".metadata.creationTimestamp", "date", "60m"],
    [".spec.until", "date", "<invalid>"],
    ['.spec.items[?(@.type=="Ready")].status', "string", "True"],
    [".spec.items[?(@.type == 'Other')].status", "string", "False"],
    [".spec.items[?(@.weight>1)].type", "string", "Other"],
    [".spec.items[?(@.type!='Ready')].type", "string", "Other"],
    [".spec.items[?(@.missing)].type", "string", null],
    [".spec.items[?(@.weight)].type", "string", "Ready"],
    [".__proto__", "string", null],
    ["spec.text", "string", null],
    [".spec[", "string", null],
    [".spec.items[?(@.a[?(@.b[?(@.c)])])]", "string", null],
  ])("%s as %s is %j", (jsonPath, type, expected) => {
    expect(cell(jsonPath, type)).toBe(expected);
  });

  it("describes itself by its path, and is the age when none is defined", () => {
    expect(columnsOfPrinterColumns([{ name: "C", type: "string", jsonPath: ".a", priority: 1 }])[1]).toMatchObject({
      description: "Custom resource definition column (in JSONPath format): .a",
      priority: 1,
      format: "",
    });
    expect(columnsOfPrinterColumns([]).map(({ name, type }) => `${name} ${type}`)).toEqual(["Name string", "Age date"]);
  });
});
