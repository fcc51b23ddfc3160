import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "@fleetwright/kube";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { loadCredentials } from "./credentials.ts";
import type { ServerCredentials } from "./credentials.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "twin-credentials-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const load = (): Promise<ServerCredentials> =>
  loadCredentials({ clock: systemClock, host: "127.0.0.1", serviceAddress: "10.96.0.1", directory });

describe("credentials in a directory", () => {
  it("are the same when they are loaded again", async () => {
    const first = await load();
    const second = await load();
    expect(second.authority.certificate).toBe(first.authority.certificate);
    expect(second.serviceAccountKey).toBe(first.serviceAccountKey);
    expect(readdirSync(directory).toSorted()).toEqual(["ca.crt", "ca.key", "service-accounts.key"]);
  });

  it.each(["ca.crt", "service-accounts.key"])(
    "are made when a start broke off before %s was there",
    async (missing) => {
      await load();
      rmSync(join(directory, missing));
      const { authority } = await load();
      // A key of another certificate would sign what nobody believes.
      const pair = await authority.issue({ usage: "client", commonName: "ada" });
      expect(pair.certificate).toContain("BEGIN CERTIFICATE");
      expect((await load()).authority.certificate).toBe(authority.certificate);
    },
  );
});
