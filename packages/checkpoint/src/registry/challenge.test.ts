import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseChallenges } from "./challenge.ts";

describe("WWW-Authenticate", () => {
  it.each([
    ["Basic", [{ scheme: "basic", parameters: {} }]],
    ['Basic realm="a, b"', [{ scheme: "basic", parameters: { realm: "a, b" } }]],
    [
      'Bearer realm="https://auth.example.com/token",service="reg",scope="repository:a/b:pull,push", error = insufficient_scope',
      [
        {
          scheme: "bearer",
          parameters: {
            realm: "https://auth.example.com/token",
            service: "reg",
            scope: "repository:a/b:pull,push",
            error: "insufficient_scope",
          },
        },
      ],
    ],
    [
      String.raw`Negotiate, BEARER Realm="x\"y\\z" , Basic realm=b`,
      [
        { scheme: "negotiate", parameters: {} },
        { scheme: "bearer", parameters: { realm: String.raw`x"y\z` } },
        { scheme: "basic", parameters: { realm: "b" } },
      ],
    ],
    ['Bearer __proto__="x"', [{ scheme: "bearer", parameters: JSON.parse('{"__proto__":"x"}') as object }]],
    ["", []],
    ['realm="x"', []],
    ['Bearer realm="not closed', [{ scheme: "bearer", parameters: {} }]],
  ])("reads %s", (header, expected) => {
    const found = parseChallenges(header).map(({ scheme, parameters }) => ({
      scheme,
      entries: Object.entries(parameters),
    }));
    expect(found).toEqual(expected.map(({ scheme, parameters }) => ({ scheme, entries: Object.entries(parameters) })));
  });

  it("reads back what RFC 9110 writes, and ends on anything", () => {
    const token = fc.stringMatching(/^[a-z][a-z0-9-]{0,8}$/);
    const written = fc.array(
      fc.tuple(token, fc.dictionary(token, fc.string({ maxLength: 12 }), { minKeys: 1, maxKeys: 3 })),
      { maxLength: 3 },
    );
    fc.assert(
      fc.property(written, (challenges) => {
        const header = challenges
          .map(([scheme, parameters]) => {
            const pairs = Object.entries(parameters).map(
              ([name, value]) => `${name}="${value.replaceAll(/["\\]/g, String.raw`\$&`)}"`,
            );
            return `${scheme} ${pairs.join(", ")}`;
          })
          .join(", ");
        const read = parseChallenges(header).map(({ scheme, parameters }) => [scheme, { ...parameters }]);
        expect(read).toEqual(challenges.map(([scheme, parameters]) => [scheme, { ...parameters }]));
      }),
      { seed: 3 },
    );
    fc.assert(
      fc.property(fc.string(), (text) => parseChallenges(text).length <= text.length),
      { seed: 4, numRuns: 1000 },
    );
  });
});
