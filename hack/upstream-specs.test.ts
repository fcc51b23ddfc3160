import { describe, expect, it } from "vitest";
import { focusOf, outcomeOf, parseSpecNames } from "./upstream-specs.ts";

const watchers =
  "[sig-api-machinery] Watchers should observe add, update, and delete watch notifications on configmaps [Conformance]";

describe("names of upstream's specs", () => {
  it("come one a line, with comments", () => {
    expect(parseSpecNames(`# header\n\n${watchers}\n`)).toEqual([watchers]);
  });

  it("are matched as they are written, whole", () => {
    const focus = new RegExp(focusOf([watchers, "a.b"]));
    expect(focus.test(watchers)).toBe(true);
    expect(focus.test(`${watchers} more`)).toBe(false);
    expect(focus.test("axb")).toBe(false);
  });
});

it("counts what passed, what failed and what never ran", () => {
  const report = (text: string, State: string, LeafNodeType = "It"): Parameters<typeof outcomeOf>[1][number] => ({
    ContainerHierarchyTexts: ["[sig-x] Thing"],
    LeafNodeText: text,
    LeafNodeType,
    State,
    Failure: { Message: "boom" },
  });
  const asked = [
    "[sig-x] Thing passes",
    "[sig-x] Thing fails",
    "[sig-x] Thing is left out",
    "[sig-x] Thing is unknown",
  ];
  const reports = [
    report("passes", "passed"),
    report("fails", "failed"),
    report("is left out", "skipped"),
    report("", "passed", "BeforeSuite"),
  ];
  expect(outcomeOf(asked, reports)).toEqual({
    passed: ["[sig-x] Thing passes"],
    failed: [{ name: "[sig-x] Thing fails", message: "boom" }],
    missing: ["[sig-x] Thing is left out", "[sig-x] Thing is unknown"],
  });
});
