import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { dockerCredentials } from "./docker-config.ts";
import type { RunHelper } from "./docker-config.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fleetwright-docker-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));
afterEach(() => void vi.unstubAllEnvs());

const base64 = (text: string): string => Buffer.from(text).toString("base64");

async function written(config: unknown): Promise<string> {
  const path = join(folder, "config.json");
  await writeFile(path, typeof config === "string" ? config : JSON.stringify(config));
  return path;
}

describe("docker's configuration", () => {
  it.each([
    [
      "the registry",
      { "reg.io:5000": { auth: base64("ada:a:b") } },
      { kind: "password", username: "ada", password: "a:b" },
    ],
    [
      "an old URL",
      { "https://reg.io:5000/v1/": { auth: base64("ada:b\0\0") } },
      { kind: "password", username: "ada", password: "b" },
    ],
    [
      "the longest path",
      {
        "reg.io:5000": { auth: base64("a:1") },
        "reg.io:5000/team": { auth: base64("b:2") },
        "reg.io:5000/te": { auth: base64("c:3") },
      },
      { kind: "password", username: "b", password: "2" },
    ],
    [
      "names in the open",
      { "reg.io:5000": { username: "ada", password: "b" } },
      { kind: "password", username: "ada", password: "b" },
    ],
    [
      "an identity token",
      { "reg.io:5000": { auth: base64("x:"), identitytoken: "t" } },
      { kind: "identity-token", token: "t" },
    ],
    ["a registry token", { "reg.io:5000": { registrytoken: "t" } }, { kind: "registry-token", token: "t" }],
    ["another port's nothing", { "reg.io": { auth: base64("a:1") } }, undefined],
    ["an empty entry, as a store leaves it", { "reg.io:5000": {} }, undefined],
  ])("gives %s", async (_, auths, expected) => {
    const find = dockerCredentials({ path: await written({ auths }) });
    expect(await find("reg.io:5000", "team/web")).toEqual(expected);
  });

  it("lies where DOCKER_CONFIG says; nobody is logged in when there is none", async () => {
    await written({ auths: { "reg.io": { auth: base64("a:1") } } });
    const find = dockerCredentials({ environment: { DOCKER_CONFIG: folder } });
    expect(await find("reg.io", "web")).toMatchObject({ username: "a" });
    expect(
      await dockerCredentials({ environment: { DOCKER_CONFIG: join(folder, "none") } })("reg.io", "web"),
    ).toBeUndefined();
  });

  it.each([
    ["is not JSON", '{"auths": {"reg.io": {"auth": "c2VjcmV0'],
    ["is not a docker configuration", []],
    ["is not a docker configuration", { auths: { "reg.io": "x" } }],
    ['auths["reg.io"].auth is not user:password', { auths: { "reg.io": { auth: base64("nocolon") } } }],
    ["is no name of a program", { credsStore: "../evil" }],
  ])("says that it %s, and shows no secret", async (problem, config) => {
    const error = await dockerCredentials({ path: await written(config) })("reg.io", "web").catch(
      (reason: unknown) => reason,
    );
    expect(error).toMatchObject({
      code: "FW_CHECKPOINT_CREDENTIALS",
      message: expect.stringContaining(problem) as string,
    });
    expect(String(error)).not.toContain("c2VjcmV0");
  });

  it("that was named must be there", async () => {
    await expect(dockerCredentials({ path: join(folder, "none") })("reg.io", "web")).rejects.toMatchObject({
      code: "FW_CHECKPOINT_CREDENTIALS",
    });
  });

  it("asks the helper of that registry first, then the store, then the file", async () => {
    const asked: string[] = [];
    const runHelper: RunHelper = (program, input) => {
      asked.push(`${program} ${input}`);
      return Promise.resolve(
        input === "token.io"
          ? { exitCode: 0, stdout: JSON.stringify({ Username: "<token>", Secret: "t" }), stderr: "" }
          : input === "known.io"
            ? { exitCode: 0, stdout: JSON.stringify({ ServerURL: "x", Username: "u", Secret: "s" }), stderr: "" }
            : { exitCode: 1, stdout: "credentials not found in native keychain\n", stderr: "" },
      );
    };
    const config = {
      credsStore: "store",
      credHelpers: { "token.io": "special" },
      auths: { "file.io": { auth: base64("f:1") }, "known.io": { auth: base64("old:1") } },
    };
    const find = dockerCredentials({ path: await written(config), runHelper });
    expect(await find("token.io", "web")).toEqual({ kind: "identity-token", token: "t" });
    expect(await find("known.io", "web")).toEqual({ kind: "password", username: "u", password: "s" });
    expect(await find("file.io", "web")).toMatchObject({ username: "f" });
    expect(asked).toEqual([
      "docker-credential-special token.io",
      "docker-credential-store known.io",
      "docker-credential-store file.io",
    ]);
  });

  it("runs a real helper, and says how it failed", async () => {
    const path = await written({ credsStore: "test" });
    const find = dockerCredentials({ path });
    vi.stubEnv("PATH", `${folder}:${process.env["PATH"]}`);
    const helper = async (script: string): Promise<void> => {
      await writeFile(join(folder, "docker-credential-test"), `#!/bin/sh\n${script}\n`);
      await chmod(join(folder, "docker-credential-test"), 0o755);
    };
    const failed = (problem: string): object => ({
      code: "FW_CHECKPOINT_CREDENTIALS",
      message: expect.stringContaining(problem) as string,
    });
    await expect(find("reg.io", "web")).rejects.toMatchObject(failed("docker-credential-test: cannot be run"));
    await helper('test "$1" = get && read -r host; echo "{\\"Username\\":\\"u-$host\\",\\"Secret\\":\\"s\\"}"');
    expect(await find("reg.io", "web")).toEqual({ kind: "password", username: "u-reg.io", password: "s" });
    await helper("echo locked >&2; exit 3");
    await expect(find("reg.io", "web")).rejects.toMatchObject(failed("failed for reg.io (locked)"));
    await helper("echo secret");
    await expect(find("reg.io", "web")).rejects.toMatchObject(failed("did not print a Username"));
  });
});
