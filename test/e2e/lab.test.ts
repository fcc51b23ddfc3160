import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ApiError, TransportError, createClient, isForbidden, systemRandom } from "@fleetwright/kube";
import type { Client, KubeObject, Resource } from "@fleetwright/kube";
import { auditWrites, cleanUpLeftovers, startControlPlane, startFaultProxy } from "@fleetwright/lab";
import type { ControlPlane, FaultProxy } from "@fleetwright/lab";

const configMaps: Resource = { group: "", version: "v1", kind: "ConfigMap", plural: "configmaps", namespaced: true };
const namespaces: Resource = { group: "", version: "v1", kind: "Namespace", plural: "namespaces", namespaced: false };
const configMap = (name: string): KubeObject => ({ metadata: { name, namespace: "default" } });

const isRunning = (pid: number): boolean => {
  try {
    // A zombie has ended, whoever has yet to notice.
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
};

describe("control planes side by side", () => {
  let first: ControlPlane;
  let second: ControlPlane;
  let clients: readonly [Client, Client];
  beforeAll(async () => {
    [first, second] = await Promise.all([startControlPlane({ audit: auditWrites }), startControlPlane()]);
    clients = [createClient({ kubeconfig: first.kubeconfigPath }), createClient({ kubeconfig: second.kubeconfigPath })];
  });
  afterAll(async () => {
    await Promise.all(clients.map((client) => client.close()));
    await Promise.all([first.stop(), second.stop()]);
  });

  it("keep their objects apart", async () => {
    await clients[0].create(configMaps, configMap("only-here"));
    const names = async (client: Client): Promise<readonly (string | undefined)[]> =>
      (await client.list(configMaps, { namespace: "default" })).items.map(({ metadata }) => metadata.name);
    expect(await names(clients[0])).toContain("only-here");
    expect(await names(clients[1])).not.toContain("only-here");
  });

  it("know a user by name and groups, and give no rights of their own", async () => {
    const ada = await first.issueUser("ada", ["ml"]);
    const client = createClient({ kubeconfig: ada.kubeconfigPath });
    const review = {
      apiVersion: "authentication.k8s.io/v1",
      kind: "SelfSubjectReview",
    };
    const path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    expect(await client.raw("POST", path, { body: review })).toMatchObject({
      status: { userInfo: { username: "ada", groups: ["ml", "system:authenticated"] } },
    });
    await expect(client.list(namespaces)).rejects.toSatisfy(isForbidden);
    await client.close();
  });

  it("write every change that was answered to the audit log", async () => {
    await clients[0].create(configMaps, configMap("audited"));
    const lines = readFileSync(first.auditLogPath ?? "", "utf8")
      .trim()
      .split("\n");
    const events = lines.map((line) => JSON.parse(line) as { objectRef?: { name?: string }; verb: string });
    expect(events).toContainEqual(
      expect.objectContaining({ verb: "create", objectRef: expect.objectContaining({ resource: "configmaps" }) }),
    );
    expect(events.some(({ verb }) => verb === "list")).toBe(false);
  });

  it("keep address and objects when the API server alone is killed and started again", async () => {
    const { url } = second;
    await clients[1].create(configMaps, configMap("survivor"));
    await second.stopApiServer("kill");
    await expect(clients[1].list(namespaces)).rejects.toBeInstanceOf(TransportError);
    await second.startApiServer();
    expect(second.url).toBe(url);
    const found = await clients[1].get(configMaps, { namespace: "default", name: "survivor" });
    expect(found.metadata.name).toBe("survivor");
  });
});

describe("a port that is taken between the choice and the start", () => {
  it("costs another try on other ports", async () => {
    let draws = 0;
    // The first two draws choose one port for etcd's clients and its peers: it finds its own port taken.
    const random = { next: () => (draws++ < 2 ? 0.5 : systemRandom.next()) };
    await using controlPlane = await startControlPlane({ random });
    expect(draws).toBeGreaterThanOrEqual(5);
    const client = createClient({ kubeconfig: controlPlane.kubeconfigPath });
    expect((await client.list(namespaces)).items.length).toBeGreaterThan(0);
    await client.close();
  });
});

describe("a control plane that cannot start", () => {
  it("says which component, its last lines and where its log is, and leaves no process behind", async () => {
    const root = mkdtempSync(join(tmpdir(), "fleetwright-lab-test-"));
    const failed = startControlPlane({ root, apiServerFlags: { "no-such-flag": "1" } });
    await expect(failed).rejects.toMatchObject({
      code: "FW_LAB_START",
      message: expect.stringMatching(
        /^kube-apiserver ended \(exit code 1\)[^]*unknown flag: --no-such-flag[^]*log: \//,
      ),
    });
    const [folder = ""] = readdirSync(root);
    const record = JSON.parse(readFileSync(join(root, folder, "processes.json"), "utf8")) as unknown[];
    expect(record).toEqual([]);
    rmSync(root, { recursive: true });
  });
});

describe("what a kill -9 leaves behind", () => {
  const root = mkdtempSync(join(tmpdir(), "fleetwright-lab-test-"));
  const children: ChildProcess[] = [];
  afterAll(() => {
    for (const child of children) child.kill("SIGKILL");
    rmSync(root, { recursive: true, force: true });
  });

  it("is ended and removed by the next start, and only that", async () => {
    const script = `
      import { startControlPlane } from "@fleetwright/lab";
      const controlPlane = await startControlPlane({ root: ${JSON.stringify(root)} });
      console.log(JSON.stringify({
        directory: controlPlane.directory,
        pids: [controlPlane.pid("etcd"), controlPlane.pid("kube-apiserver")],
      }));
      setInterval(() => {}, 1000);`;
    const owner = spawn(process.execPath, ["--input-type=module", "--eval", script], {
      cwd: import.meta.dirname,
      stdio: ["ignore", "pipe", "inherit"],
    });
    children.push(owner);
    const [line] = (await once(createInterface(owner.stdout), "line")) as [string];
    const { directory, pids } = JSON.parse(line) as { directory: string; pids: number[] };

    expect(await cleanUpLeftovers({ root })).toEqual({ endedProcesses: 0, removedFolders: 0 });
    expect(pids.map(isRunning)).toEqual([true, true]);

    owner.kill("SIGKILL");
    await once(owner, "exit");
    expect(pids.map(isRunning)).toEqual([true, true]);
    expect(await cleanUpLeftovers({ root })).toEqual({ endedProcesses: 2, removedFolders: 1 });
    expect(pids.map(isRunning)).toEqual([false, false]);
    expect(existsSync(directory)).toBe(false);
  });

  it("never costs a process that only has a recorded number", async () => {
    const bystander = spawn(process.execPath, ["--eval", "setInterval(() => {}, 1000)"], { stdio: "ignore" });
    children.push(bystander);
    await once(bystander, "spawn");
    // Above every pid_max: an owner that cannot be alive.
    const folder = join(root, "999999999_deadbeef-1_old");
    mkdirSync(folder);
    const record = [{ name: "etcd", pid: bystander.pid, startTime: "deadbeef-1" }];
    writeFileSync(join(folder, "processes.json"), JSON.stringify(record));
    expect(await cleanUpLeftovers({ root })).toEqual({ endedProcesses: 0, removedFolders: 1 });
    expect(isRunning(bystander.pid ?? 0)).toBe(true);
  });
});

describe("fault proxy before a real API server", () => {
  let controlPlane: ControlPlane;
  let proxy: FaultProxy;
  let client: Client;
  beforeAll(async () => {
    controlPlane = await startControlPlane();
    proxy = await startFaultProxy({ target: controlPlane, seed: 1 });
    client = createClient({ kubeconfig: proxy.kubeconfigPath, maxRetries: 0, timeoutMs: 2000 });
  });
  afterAll(async () => {
    await client.close();
    await proxy.stop();
    await controlPlane.stop();
  });

  it("passes calls and watches through as long as there is no fault", async () => {
    proxy.setRules([]);
    const names: (string | undefined)[] = [];
    for await (const event of client.watch(namespaces, {
      timeoutSeconds: 1,
      sendInitialEvents: true,
      resourceVersionMatch: "NotOlderThan",
    }))
      if (event.type === "ADDED") names.push(event.object.metadata.name);
    expect(names).toContain("default");
  });

  it("leaves callers who they are", async () => {
    proxy.setRules([]);
    const ada = createClient({ kubeconfig: await proxy.kubeconfigFor(await controlPlane.issueUser("ada", ["ml"])) });
    await expect(ada.list(namespaces)).rejects.toMatchObject({ message: expect.stringContaining('User "ada"') });
    await ada.close();
  });

  it.each([
    [
      { kind: "refuse", status: 503 },
      { httpStatus: 503, reason: "ServiceUnavailable" },
    ],
    [
      { kind: "refuse", status: 429, retryAfterSeconds: 7 },
      { httpStatus: 429, retryAfterMs: 7000 },
    ],
    [
      { kind: "refuse", status: 410 },
      { httpStatus: 410, reason: "Expired" },
    ],
    [{ kind: "cut-before" }, { code: "FW_KUBE_TRANSPORT" }],
    [{ kind: "cut-during", afterBytes: 50 }, { code: "FW_KUBE_TRANSPORT" }],
    [{ kind: "truncate", afterBytes: 50 }, { code: "FW_KUBE_TRANSPORT" }],
  ] as const)("answers a list with %j as the client must see it", async (fault, expected) => {
    proxy.setRules([{ match: (request) => request.resource === "namespaces", fault }]);
    await expect(client.list(namespaces)).rejects.toMatchObject(expected);
  });

  it("lets the server carry out a request whose answer it then cuts off", async () => {
    proxy.setRules([{ match: (request) => request.verb === "create", fault: { kind: "cut-after" } }]);
    await expect(client.create(configMaps, configMap("unheard"))).rejects.toBeInstanceOf(TransportError);
    expect((await client.get(configMaps, { namespace: "default", name: "unheard" })).metadata.name).toBe("unheard");
  });

  it("ends a watch with an ERROR event of 410", async () => {
    proxy.setRules([{ match: (request) => request.verb === "watch", fault: { kind: "error-event", status: 410 } }]);
    const watch = async (): Promise<void> => {
      for await (const event of client.watch(namespaces)) expect(event.type).toBe("never an event");
    };
    await expect(watch()).rejects.toSatisfy((error) => error instanceof ApiError && error.httpStatus === 410);
  });

  it("goes silent, and partitions and heals while clients are connected", async () => {
    proxy.setRules([{ match: (request) => request.resource === "namespaces", times: 1, fault: { kind: "silence" } }]);
    await expect(client.list(namespaces, { timeoutMs: 300 })).rejects.toMatchObject({
      name: expect.stringMatching(/Error$/),
    });
    proxy.partition("blackhole");
    await expect(client.list(namespaces, { timeoutMs: 300 })).rejects.toMatchObject({
      name: expect.stringMatching(/Error$/),
    });
    proxy.partition("refuse");
    await expect(client.list(namespaces)).rejects.toBeInstanceOf(TransportError);
    proxy.partition("none");
    expect((await client.list(namespaces)).items.length).toBeGreaterThan(0);
    expect(proxy.injected.silence).toBe(1);
  });
});
