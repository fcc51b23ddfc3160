import { describe, expect, it } from "vitest";
import { deviceExpressionProblem } from "./device-expressions.ts";

describe("a selector of devices", () => {
  it.each([
    'device.driver == "gpu.example.com"',
    'device.attributes["gpu.example.com"].model == "a100"',
    'device.attributes["gpu.example.com"].healthy',
    'device.capacity["gpu.example.com"].memory.isGreaterThan(quantity("10Gi"))',
    'device.attributes["a.example.com"].driverVersion.isGreaterThan(semver("1.0.0"))',
    '"gpu.example.com" in device.attributes && !device.allowMultipleAllocations',
    'cel.bind(dra, device.attributes["dra.example.com"], dra.one && dra.other)',
  ])("may be %s", (source) => {
    expect(deviceExpressionProblem(source)).toBeUndefined();
  });

  it("yields a boolean, of a device as it is declared", () => {
    expect(deviceExpressionProblem("device.driver")).toBe("must evaluate to bool or the unknown type, not string");
    expect(deviceExpressionProblem("device.nothing")).toContain(
      "compilation failed: ERROR: <input>:1:7: undefined field",
    );
    expect(deviceExpressionProblem("node.name == 'a'")).toContain("undeclared reference to 'node'");
  });
});
