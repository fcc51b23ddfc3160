import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createHttpTransport } from "../client/http-transport.ts";
import { answerJson, serve } from "../client/scripted-server.ts";
import { VirtualClock } from "../core/virtual-clock.ts";
import { execCredentials, type RunPlugin } from "./exec-plugin.ts";
import type { ExecConfig } from "./kubeconfig.ts";

const apiVersion = "client.authentication.k8s.io/v1";

const execOf = (parts: Partial<ExecConfig> = {}): ExecConfig => ({
  apiVersion,
  command: "login",
  args: [],
  env: [],
  provideClusterInfo: false,
  interactiveMode: "Never",
  ...parts,
});

const printed = (status: object, version = apiVersion): string =>
  JSON.stringify({ apiVersion: version, kind: "ExecCredential", status });

/** A plugin in this process that gives token-1, token-2, … and counts its runs. */
function counting(status: (run: number) => object): { run: RunPlugin; runs: () => number } {
  let runs = 0;
  return {
    run: async () => ({ exitCode: 0, stdout: printed(status(++runs)), stderr: "" }),
    runs: () => runs,
  };
}

describe("a plugin's credential", () => {
  it("is kept until it expires", async () => {
    const clock = new VirtualClock();
    const expiry = (): string => new Date(clock.now() + 60_000).toISOString();
    const plugin = counting((run) => ({ token: `token-${run}`, expirationTimestamp: expiry() }));
    const credentials = execCredentials({ exec: execOf(), source: "test", clock, run: plugin.run });
    const tokenNow = async (): Promise<string | undefined> => (await credentials.current()).headers["authorization"];
    expect(await Promise.all([tokenNow(), tokenNow(), tokenNow()])).toEqual(Array(3).fill("Bearer token-1"));
    await clock.advance(59_999);
    expect(await tokenNow()).toBe("Bearer token-1");
    await clock.advance(1);
    expect(await tokenNow()).toBe("Bearer token-2");
    expect(plugin.runs()).toBe(2);
  });

  it("is asked for anew after a 401, once however many calls were refused", async () => {
    const plugin = counting((run) => ({ token: `token-${run}` }));
    const credentials = execCredentials({ exec: execOf(), source: "test", clock: new VirtualClock(), run: plugin.run });
    const refused = await credentials.current();
    const renewed = await Promise.all([credentials.renew(refused), credentials.renew(refused)]);
    expect(renewed.map((credential) => credential?.headers["authorization"])).toEqual([
      "Bearer token-2",
      "Bearer token-2",
    ]);
    expect((await credentials.renew(refused))?.headers["authorization"]).toBe("Bearer token-2");
    expect(plugin.runs()).toBe(2);
  });

  it("may be a certificate", async () => {
    const plugin = counting(() => ({ clientCertificateData: "c", clientKeyData: "k" }));
    const credentials = execCredentials({ exec: execOf(), source: "test", clock: new VirtualClock(), run: plugin.run });
    expect(await credentials.current()).toEqual({ headers: {}, clientCertificate: { cert: "c", key: "k" } });
  });

  it("a failed run is not kept: the next call tries again", async () => {
    let runs = 0;
    const run: RunPlugin = async () => ({
      exitCode: ++runs === 1 ? 1 : 0,
      stdout: printed({ token: "t" }),
      stderr: "",
    });
    const credentials = execCredentials({ exec: execOf(), source: "test", clock: new VirtualClock(), run });
    await expect(credentials.current()).rejects.toThrow("failed with exit code 1");
    expect((await credentials.current()).headers).toEqual({ authorization: "Bearer t" });
  });
});

describe("a plugin that goes wrong", () => {
  const outcome = async (stdout: string, exitCode: number | null = 0, stderr = ""): Promise<unknown> =>
    execCredentials({
      exec: execOf(),
      source: 'kubeconfig "/x" context "c"',
      clock: new VirtualClock(),
      run: async () => ({ exitCode, stdout, stderr }),
    }).current();

  it.each([
    [
      "fails",
      "",
      3,
      "\u001b[31mnot logged in\u001b[0m\nrun login",
      "failed with exit code 3: not logged in run login; run it by hand",
    ],
    ["is killed", "", null, "", "was ended by a signal; run it by hand"],
    ["prints no JSON", "hello", 0, "", "did not print an ExecCredential as JSON"],
    [
      "prints another version",
      printed({ token: "t" }, "client.authentication.k8s.io/v1beta1"),
      0,
      "",
      "not ExecCredential of client.authentication.k8s.io/v1",
    ],
    ["prints nothing of use", printed({}), 0, "", "neither a token nor a certificate"],
    ["prints half a pair", printed({ clientKeyData: "k" }), 0, "", "it must print both"],
    ["prints a wrong time", printed({ token: "t", expirationTimestamp: "soon" }), 0, "", '"soon", which is no time'],
  ])("%s", async (_name, stdout, exitCode, stderr, message) => {
    const expected = { code: "FW_EXEC_PLUGIN", message: expect.stringContaining(message) };
    await expect(outcome(stdout, exitCode, stderr)).rejects.toMatchObject(expected);
    await expect(outcome(stdout, exitCode, stderr)).rejects.toThrow(
      /^kubeconfig "\/x" context "c": credential plugin "login": /,
    );
  });

  it("wants a person where there is none", async () => {
    const exec = execOf({ interactiveMode: "Always" });
    const credentials = execCredentials({ exec, source: "test", clock: new VirtualClock(), terminal: false });
    await expect(credentials.current()).rejects.toThrow("standard input is no terminal; run it from one");
  });
});

describe("a plugin that is a program", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "plugin-"));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const script = (text: string): string => {
    const path = join(folder, "plugin.sh");
    writeFileSync(path, `#!/bin/sh\n${text}\n`);
    chmodSync(path, 0o755);
    return path;
  };

  it("gets its arguments, environment and what it should know, and its token is used, then renewed at a 401", async () => {
    const command = script(
      `printf '%s' "$KUBERNETES_EXEC_INFO" > "$0.info"\n` +
        `echo run >> "$0.runs"\n` +
        `echo "{\\"apiVersion\\":\\"${apiVersion}\\",\\"kind\\":\\"ExecCredential\\",\\"status\\":{\\"token\\":\\"$1-$NAME-$(wc -l < "$0.runs" | tr -d ' ')\\"}}"`,
    );
    const exec = execOf({ command, args: ["arg"], env: [{ name: "NAME", value: "env" }], provideClusterInfo: true });
    const credentials = execCredentials({
      exec,
      clusterInfo: { server: "https://k" },
      source: "test",
      clock: new VirtualClock(),
    });
    const seen: (string | undefined)[] = [];
    await using server = await serve((request, response) => {
      seen.push(request.headers.authorization);
      answerJson(response, {}, seen.length === 2 ? 401 : 200);
    });
    const transport = createHttpTransport({ server: server.url, credentials });
    for (let call = 0; call < 3; call++) {
      const response = await transport({ method: "GET", path: "/" });
      expect(response.status).toBe(200);
      for await (const chunk of response.body) expect(chunk.length).toBe(2);
    }
    await transport.close();
    expect(seen).toEqual(["Bearer arg-env-1", "Bearer arg-env-1", "Bearer arg-env-2", "Bearer arg-env-2"]);
    expect(JSON.parse(readFileSync(`${command}.info`, "utf8"))).toEqual({
      apiVersion,
      kind: "ExecCredential",
      spec: { cluster: { server: "https://k" }, interactive: false },
    });
  });

  it("that is not installed is told with its hint", async () => {
    const exec = execOf({ command: join(folder, "nothing"), installHint: "get it from\n  example.com" });
    const credentials = execCredentials({ exec, source: "test", clock: new VirtualClock() });
    await expect(credentials.current()).rejects.toThrow(/nothing": not found; get it from example.com$/);
  });

  it("its own words are in the error when it fails", async () => {
    const exec = execOf({ command: script("echo 'please log in' >&2; exit 4") });
    const credentials = execCredentials({ exec, source: "test", clock: new VirtualClock() });
    await expect(credentials.current()).rejects.toThrow("failed with exit code 4: please log in");
  });
});
