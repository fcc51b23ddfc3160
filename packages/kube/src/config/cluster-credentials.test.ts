import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { VirtualClock } from "../core/virtual-clock.ts";
import { clusterCredentials } from "./cluster-credentials.ts";
import type { ClusterConfig } from "./cluster-config.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "credentials-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const config = (parts: Partial<ClusterConfig>): ClusterConfig => ({
  source: "test",
  server: "https://k",
  namespace: "default",
  identity: { kind: "anonymous" },
  ...parts,
});

const bearer = (token: string): object => ({ headers: { authorization: `Bearer ${token}` } });

describe("a token file", () => {
  const started = (
    token?: string,
  ): { path: string; clock: VirtualClock; credentials: ReturnType<typeof clusterCredentials> } => {
    const path = join(folder, "token");
    const clock = new VirtualClock();
    const identity = { kind: "token", file: path, ...(token === undefined ? {} : { token }) } as const;
    return { path, clock, credentials: clusterCredentials(config({ identity }), clock) };
  };

  it("is looked at again after a minute, and its new content used", async () => {
    const { path, clock, credentials } = started();
    writeFileSync(path, "first\n");
    expect(await credentials.current()).toEqual(bearer("first"));
    writeFileSync(path, "second, longer\n");
    await clock.advance(59_999);
    expect(await credentials.current()).toEqual(bearer("first"));
    await clock.advance(1);
    expect(await credentials.current()).toEqual(bearer("second, longer"));
  });

  it("is looked at at once when the server refuses the token; the same token is not tried again", async () => {
    const { path, credentials } = started();
    writeFileSync(path, "first");
    const refused = await credentials.current();
    expect(await credentials.renew(refused)).toBeUndefined();
    writeFileSync(path, "second");
    expect(await credentials.renew(refused)).toEqual(bearer("second"));
  });

  it("that is empty or gone for a moment leaves the last token in use", async () => {
    const { path, clock, credentials } = started();
    writeFileSync(path, "first");
    await credentials.current();
    writeFileSync(path, "");
    await clock.advance(60_000);
    expect(await credentials.current()).toEqual(bearer("first"));
    rmSync(path);
    await clock.advance(60_000);
    expect(await credentials.current()).toEqual(bearer("first"));
  });

  it("that cannot be read falls back on the kubeconfig's token, and without one says so", async () => {
    expect(await started("fallback").credentials.current()).toEqual(bearer("fallback"));
    const { path, credentials } = started();
    await expect(credentials.current()).rejects.toThrow(
      `test: token file "${path}" cannot be read (ENOENT); put it there`,
    );
    writeFileSync(path, " \n");
    await expect(started().credentials.current()).rejects.toThrow("is empty; put a token in it");
  });
});

it("a password becomes a Basic header", async () => {
  const identity = { kind: "basic", username: "me", password: "p:ä" } as const;
  const credentials = clusterCredentials(config({ identity }), new VirtualClock());
  expect(await credentials.current()).toEqual({
    headers: { authorization: `Basic ${Buffer.from("me:p:ä").toString("base64")}` },
  });
  expect(await credentials.renew(await credentials.current())).toBeUndefined();
});

it("client certificate files are read again when they change", async () => {
  const paths = { cert: join(folder, "cert"), key: join(folder, "key") };
  writeFileSync(paths.cert, "cert 1");
  writeFileSync(paths.key, "key 1");
  const clock = new VirtualClock();
  const clientCertificate = {
    cert: { kind: "file", path: paths.cert },
    key: { kind: "file", path: paths.key },
  } as const;
  const credentials = clusterCredentials(config({ clientCertificate }), clock);
  expect((await credentials.current()).clientCertificate).toEqual({ cert: "cert 1", key: "key 1" });
  writeFileSync(paths.cert, "cert two");
  writeFileSync(paths.key, "key two");
  await clock.advance(60_000);
  expect((await credentials.current()).clientCertificate).toEqual({ cert: "cert two", key: "key two" });
});
