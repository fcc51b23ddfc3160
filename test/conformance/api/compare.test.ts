import { describe, expect, it } from "vitest";
import { differences, judge } from "./compare.ts";
import { normalise } from "./normalise.ts";

const surroundings = {
  url: "https://127.0.0.1:6443",
  now: Date.parse("2026-05-05T12:00:00Z"),
  baseRevision: 100,
  managedFields: false,
};
const configMap = (name: string, resourceVersion: string, uid = "11111111-2222-3333-4444-555555555555"): object => ({
  kind: "ConfigMap",
  metadata: { name, resourceVersion, uid, creationTimestamp: "2026-05-05T11:59:59Z" },
});
const bodies = (...all: readonly unknown[]): readonly unknown[] =>
  normalise(
    all.map((body) => ({ request: "GET /x", status: 200, headers: {}, body })),
    surroundings,
  ).map(({ body }) => body);

describe("normalisation", () => {
  it("keeps the order of revisions and says which object a list follows", () => {
    const list = { kind: "ConfigMapList", metadata: { resourceVersion: "150" }, items: [configMap("b", "140")] };
    expect(bodies(configMap("a", "120"), configMap("b", "140"), list)).toMatchObject([
      { metadata: { resourceVersion: "r1" } },
      { metadata: { resourceVersion: "r2" } },
      { metadata: { resourceVersion: "r2+" }, items: [{ metadata: { resourceVersion: "r2" } }] },
    ]);
  });

  it("does not rank what was there before, nor the revisions that clients make up", () => {
    expect(bodies(configMap("old", "9"), { metadata: { resourceVersion: "0" } })).toMatchObject([
      { metadata: { resourceVersion: "r-" } },
      { metadata: { resourceVersion: "0" } },
    ]);
  });

  it("gives the same uid the same word, and another one another", () => {
    const other = "99999999-2222-3333-4444-555555555555";
    expect(bodies(configMap("a", "120"), configMap("b", "121", other), configMap("a", "122"))).toMatchObject([
      { metadata: { uid: "<uid1>" } },
      { metadata: { uid: "<uid2>" } },
      { metadata: { uid: "<uid1>" } },
    ]);
  });

  it("replaces the time of the run but not a time that a client chose", () => {
    expect(bodies({ a: "2026-05-05T12:00:01Z", b: "2020-01-01T00:00:00Z", c: "2026-05-05T12:00:01.123456Z" })).toEqual([
      { a: "<time>", b: "2020-01-01T00:00:00Z", c: "<microtime>" },
    ]);
  });

  it("follows a generated name through the conversation", () => {
    const made = { metadata: { name: "job-abcde", generateName: "job-", resourceVersion: "120", uid: "x" } };
    expect(bodies(made, { message: 'pods "job-abcde" not found' })).toMatchObject([
      { metadata: { name: "job-<name1>" } },
      { message: 'pods "job-<name1>" not found' },
    ]);
  });
});

describe("comparison", () => {
  const at = (body: unknown): { request: string; body: unknown }[] => [{ request: "GET /x", body }];

  it.each([
    ["equal whatever the order of keys", { a: 1, b: 2 }, { b: 2, a: 1 }, []],
    ["a missing key", { a: 1 }, {}, ["[0].body.a"]],
    ["null is not absent", { a: null }, {}, ["[0].body.a"]],
    ["items of another order", [1, 2], [2, 1], ["[0].body[0]", "[0].body[1]"]],
    ["another type", { a: {} }, { a: [] }, ["[0].body.a"]],
    ["names of every object", JSON.parse('{"__proto__":1}') as unknown, {}, ["[0].body.__proto__"]],
  ])("%s", (_, expected, actual, paths) => {
    expect(differences(at(expected), at(actual)).map(({ path }) => path)).toEqual(paths);
  });

  it("excuses only the paths of an explanation, in its scenarios", () => {
    const found = differences(at({ a: 1, b: 1 }), at({ a: 2, b: 2 }));
    const explained = [{ id: "a", scenarios: ["area/*"], paths: /\.a$/ }];
    expect(judge("area/x", found, explained)).toMatchObject({ kind: "different", used: ["a"] });
    expect(judge("area/x", found.slice(0, 1), explained).kind).toBe("explained");
    expect(judge("other/x", found.slice(0, 1), explained).kind).toBe("different");
    expect(judge("area/x", [], explained)).toMatchObject({ kind: "equal", used: [] });
  });
});
