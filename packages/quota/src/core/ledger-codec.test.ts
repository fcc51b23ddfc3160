import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeLedger, encodeLedger } from "./ledger-codec.ts";
import { emptyLedger, type Ledger } from "./ledger.ts";

const amounts = fc
  .dictionary(
    fc.string({ minLength: 1, maxLength: 20 }).filter((key) => key !== "__proto__"),
    fc.bigInt({ min: 1n, max: 10n ** 30n }),
    { maxKeys: 6 },
  )
  .map((entries) => new Map(Object.entries(entries)));
const hold = fc.record({
  uid: fc.uuid(),
  kind: fc.constantFrom("deployments.apps", "pods"),
  namespace: fc.string(),
  name: fc.string(),
  base: fc.constantFrom("", "17", "4000000000"),
  at: fc.nat(),
  charge: amounts,
});
const ledgers: fc.Arbitrary<Ledger> = fc.record(
  {
    self: amounts,
    granted: amounts,
    holds: fc.array(hold, { maxLength: 20 }),
    seen: fc.constant({ pods: "12" }),
    closingSince: fc.nat(),
  },
  { requiredKeys: ["self", "granted", "holds", "seen"] },
);

describe("the ledger's text", () => {
  it("comes back as it was", () => {
    fc.assert(
      fc.property(ledgers, (ledger) => {
        expect(decodeLedger(encodeLedger(ledger), "g")).toEqual(ledger);
      }),
    );
  });

  it("keeps a key of a hold whose amount is zero: a child group names it", () => {
    const holds = [{ uid: "u", kind: "k", namespace: "", name: "n", base: "", at: 1, charge: new Map([["pods", 0n]]) }];
    expect(decodeLedger(encodeLedger({ ...emptyLedger, holds }), "g").holds[0]?.charge.has("pods")).toBe(true);
  });

  it("writes the charge of many replicas of one workload once", () => {
    const charge = new Map([["requests.nvidia.com/gpu.A30", 8_000_000_000n]]);
    const holds = Array.from({ length: 100 }, (_, index) => ({
      uid: `u${index}`,
      kind: "pods",
      namespace: "ns",
      name: `n${index}`,
      base: "",
      at: 1,
      charge,
    }));
    expect(encodeLedger({ ...emptyLedger, holds }).split("A30")).toHaveLength(2);
  });

  it.each([
    "{}",
    "nonsense",
    '{"v":2}',
    '{"v":1,"keys":[],"kinds":[],"charges":[],"self":[3,"1"],"granted":[],"holds":[],"seen":{}}',
  ])("names the group and the way out when it is %s", (text) => {
    expect(() => decodeLedger(text, "vision")).toThrow(/bizrq "vision".*kubectl patch/s);
  });
});
