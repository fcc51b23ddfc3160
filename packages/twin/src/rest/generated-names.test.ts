import { expect, it } from "vitest";
import { seededRandom } from "@fleetwright/kube";
import { fillSystemFields } from "./metadata.ts";

const named = (isTaken: (name: string) => boolean): string => {
  const object = { metadata: { generateName: "web-" } as Record<string, string> };
  fillSystemFields(object, seededRandom(1), 0, isTaken);
  return object.metadata["name"] ?? "";
};

it("draws another generated name when one is taken, eight times at most", () => {
  const first = named(() => false);
  expect(first).toMatch(/^web-[a-z0-9]{5}$/);
  expect(named((name) => name === first)).not.toBe(first);
  let asked = 0;
  named(() => ++asked > 0);
  expect(asked).toBe(7);
});
