/** Programs that others wrote for Kubernetes work with the twin as they do with the real server. */
import { execFile, spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ConfigMaps, Deployments, Namespaces, Secrets, Services, createClient, isNotFound } from "@fleetwright/kube";
import type { Client } from "@fleetwright/kube";
import { bringTestProgram, buildProblem, findTestProgram, foreignClients } from "../../hack/kubernetes/go-build.ts";
import type { TestProgram } from "../../hack/kubernetes/go-build.ts";
import type { ControlPlane } from "@fleetwright/lab";
import { serverName, startServer } from "./server.ts";

const chart = new URL("testdata/chart", import.meta.url).pathname;

/** `undefined`, said out loud, where it is neither built nor can be; on the twin nothing is built that takes Go and minutes. */
async function bring(program: TestProgram): Promise<string | undefined> {
  if ((await findTestProgram(program)) === undefined) {
    const problem = serverName === "twin" ? "make test-real builds it" : await buildProblem(program);
    if (problem !== undefined) {
      console.warn(`SKIPPED: ${program.name} is not built: ${problem}`);
      return undefined;
    }
  }
  return bringTestProgram(program, (text) => console.info(text));
}

const informer = await bring(foreignClients.informer);
const helm = await bring(foreignClients.helm);

describe(`clients of others on the ${serverName} server`, () => {
  let server: ControlPlane;
  let client: Client;
  let home: string;
  const children: ChildProcess[] = [];
  beforeAll(async () => {
    server = await startServer();
    client = createClient({ kubeconfig: server.kubeconfigPath });
    home = mkdtempSync(join(tmpdir(), "foreign-clients-"));
    for (const name of ["watched", "released"]) await client.create(Namespaces, { metadata: { name } });
  });
  afterAll(async () => {
    for (const child of children) child.kill("SIGKILL");
    await client?.close();
    await server?.stop();
    if (home) rmSync(home, { recursive: true, force: true });
  });

  it.skipIf(informer === undefined)("a shared informer of client-go sees what is there and every change", async () => {
    const key = (name: string): { readonly namespace: string; readonly name: string } => ({
      namespace: "watched",
      name,
    });
    await client.create(ConfigMaps, { metadata: key("before"), data: { n: "1" } });
    const program = spawn(informer ?? "", ["-kubeconfig", server.kubeconfigPath, "-namespace", "watched"], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    children.push(program);
    const lines = createInterface(program.stdout)[Symbol.asyncIterator]();
    const next = async (): Promise<unknown> => JSON.parse(String((await lines.next()).value)) as unknown;
    expect(await next()).toEqual({ event: "add", name: "before", data: { n: "1" } });
    expect(await next()).toEqual({ event: "synced" });
    await client.create(ConfigMaps, { metadata: key("after"), data: { n: "1" } });
    expect(await next()).toEqual({ event: "add", name: "after", data: { n: "1" } });
    await client.patch(ConfigMaps, key("after"), { type: "merge", patch: { data: { n: "2" } } });
    expect(await next()).toEqual({ event: "update", name: "after", data: { n: "2" } });
    await client.delete(ConfigMaps, key("before"));
    expect(await next()).toEqual({ event: "delete", name: "before", data: { n: "1" } });
    program.kill("SIGTERM");
  });

  it.skipIf(helm === undefined)("Helm installs, upgrades, rolls back and uninstalls a chart", async () => {
    const env = { HOME: home, PATH: process.env["PATH"], KUBECONFIG: server.kubeconfigPath };
    const run = async (...args: readonly string[]): Promise<string> => {
      const { stdout } = await promisify(execFile)(helm ?? "", ["--namespace", "released", ...args], { env });
      return stdout;
    };
    const greeting = async (): Promise<string | undefined> =>
      (await client.get(ConfigMaps, { namespace: "released", name: "first-words" })).data?.["greeting"];
    const replicas = async (): Promise<number | undefined> =>
      (await client.get(Deployments, { namespace: "released", name: "first" })).spec?.replicas;

    expect(await run("install", "first", chart)).toContain("STATUS: deployed");
    expect([await greeting(), await replicas()]).toEqual(["hello", 1]);
    expect((await client.get(Services, { namespace: "released", name: "first" })).spec?.clusterIP).toMatch(/^\d+\./);

    await run("upgrade", "first", chart, "--set", "greeting=servus,replicas=3,extra=true");
    expect([await greeting(), await replicas()]).toEqual(["servus", 3]);
    expect((await client.get(Secrets, { namespace: "released", name: "first-extra" })).data).toEqual({
      key: "dmFsdWU=",
    });

    await run("rollback", "first", "1");
    expect([await greeting(), await replicas()]).toEqual(["hello", 1]);
    await expect(client.get(Secrets, { namespace: "released", name: "first-extra" })).rejects.toSatisfy(isNotFound);
    const history = JSON.parse(await run("history", "first", "-o", "json")) as readonly { readonly status: string }[];
    expect(history.map(({ status }) => status)).toEqual(["superseded", "superseded", "deployed"]);

    await run("uninstall", "first");
    await expect(greeting()).rejects.toSatisfy(isNotFound);
    expect(JSON.parse(await run("list", "-o", "json"))).toEqual([]);
  });
});
