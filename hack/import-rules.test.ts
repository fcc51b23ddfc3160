import { describe, expect, it } from "vitest";
import { violation } from "./import-rules.ts";

const at = (file: string, specifier: string): string | undefined => violation({ file, specifier, line: 1 });

describe("import rules", () => {
  it("lets a domain import what its row names", () => {
    expect(at("packages/quota/src/core/ledger.ts", "@fleetwright/kube")).toBeUndefined();
    expect(at("packages/quota/src/core/ledger.ts", "./footprint.ts")).toBeUndefined();
    expect(at("packages/fleetwright/src/main.ts", "@fleetwright/quota")).toBeUndefined();
    expect(at("test/e2e/a.test.ts", "@fleetwright/lab")).toBeUndefined();
  });
  it("refuses one domain in another, and anything of ours in the ground floor", () => {
    expect(at("packages/teams/src/a.ts", "@fleetwright/quota")).toMatch("teams may import api, kube, not quota");
    expect(at("packages/kube/src/a.ts", "@fleetwright/api")).toMatch("nothing of ours");
  });
  it("refuses deep imports and paths that leave the package", () => {
    expect(at("packages/quota/src/a.ts", "@fleetwright/kube/src/client.ts")).toMatch("deep import");
    expect(at("packages/quota/src/a.ts", "../../kube/src/index.ts")).toMatch("leaves packages/quota");
    expect(at("test/e2e/a.test.ts", "../../packages/kube/src/index.ts")).toMatch("leaves its folder");
  });
  it("refuses a package that the table does not know", () => {
    expect(at("packages/extra/src/a.ts", "@fleetwright/kube")).toMatch("not in the table");
  });
});
