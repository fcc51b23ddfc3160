import { describe, expect, it } from "vitest";
import { argumentsOf } from "./component.ts";
import { identityOf, isAlive } from "./process-identity.ts";
import { ownerOf } from "./workspace.ts";

describe("process identity", () => {
  it("of this process is alive, and of the same number at another time is not", () => {
    const self = identityOf(process.pid);
    expect(self).toMatchObject({ pid: process.pid, startTime: expect.stringMatching(/^[0-9a-f]{8}-\d+$/) });
    expect(isAlive({ pid: process.pid, startTime: self?.startTime ?? "" })).toBe(true);
    expect(isAlive({ pid: process.pid, startTime: `${self?.startTime}0` })).toBe(false);
  });

  it("of a number that nobody has is nothing", () => {
    expect(identityOf(999_999_999)).toBeUndefined();
  });
});

describe("owner of a folder", () => {
  it.each([
    ["123_ac0428d1-4567_Xy12ab", { pid: 123, startTime: "ac0428d1-4567" }],
    ["/tmp/fleetwright-lab-0/1_00000000-1_x", { pid: 1, startTime: "00000000-1" }],
    ["123_ac0428d1-4567", undefined],
    ["something-else", undefined],
    ["..", undefined],
  ])("%s is %j", (folder, owner) => {
    expect(ownerOf(folder)).toEqual(owner);
  });
});

describe("flags", () => {
  it("become arguments; lists are joined, absent ones left out", () => {
    expect(argumentsOf({ a: "x", b: 1, c: true, d: false, e: ["p", "q"], f: undefined })).toEqual([
      "--a=x",
      "--b=1",
      "--c=true",
      "--d=false",
      "--e=p,q",
    ]);
  });
});
