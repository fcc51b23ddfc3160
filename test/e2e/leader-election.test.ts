import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BizGroupResourceQuotas, customResourceDefinition, groupLabel } from "@fleetwright/api";
import type { BizGroupResourceQuota } from "@fleetwright/api";
import {
  createClient,
  CustomResourceDefinitions,
  Deployments,
  isNotFound,
  Leases,
  sleep,
  systemClock,
  VirtualClock,
  type Client,
  type Deployment,
  type KubeObject,
  type Resource,
} from "@fleetwright/kube";
import { startFaultProxy, startTcpBalancer } from "@fleetwright/lab";
import type { ControlPlane, FaultProxy, FaultRule, TcpBalancer } from "@fleetwright/lab";
import { eventually } from "./eventually.ts";
import { startProgram, type RunningProgram } from "./program.ts";
import { startServer } from "./server.ts";

const groups = BizGroupResourceQuotas as Resource<BizGroupResourceQuota & KubeObject>;
const groupNames = ["left", "right"];
const lease = { namespace: "fleetwright-system", name: "fleetwright-manager" };
const leaseMs = 15_000;
/** A candidate looks every 2 to 2.4 s; the rest is for a busy machine. */
const slackMs = 2_400 + 7_600;
/** Longer than the lease. */
const pauseMs = process.env["FLEETWRIGHT_LONG"] === "1" ? 60_000 : 20_000;

interface Manager {
  readonly user: string;
  readonly identity: string;
  readonly webhookPort: number;
  readonly program: RunningProgram;
  readonly proxy: FaultProxy;
  /** Holds the next read of a group and the next write of a group's status back in the network; resolves when it has both. */
  holdBack(): Promise<void>;
  /** Lets what is held go on to the server. */
  letGo(): Promise<void>;
}

interface Write {
  readonly user: { readonly username: string };
  readonly verb: string;
  readonly objectRef: {
    readonly apiGroup?: string;
    readonly resource: string;
    readonly subresource?: string;
    readonly name?: string;
  };
  readonly requestObject?: KubeObject;
  readonly responseObject?: KubeObject;
  readonly responseStatus: { readonly code: number };
  readonly requestReceivedTimestamp: string;
  readonly stageTimestamp: string;
}

let controlPlane: ControlPlane;
let client: Client;
let balancer: TcpBalancer;
const managers: Manager[] = [];

/** A manager with a user and a network of its own. */
async function startManager(name: string): Promise<Manager> {
  const user = await controlPlane.issueUser(name, ["system:masters"]);
  // Never moves by itself: a delay lasts until it is told to end.
  const clock = new VirtualClock();
  let held = 0;
  const observe = (_request: unknown, fault: string | undefined): void => {
    if (fault === "delay") held++;
  };
  const proxy = await startFaultProxy({ target: controlPlane, seed: 1, clock, observe });
  const program = startProgram([
    "manager",
    `--kubeconfig=${await proxy.kubeconfigFor(user)}`,
    "--webhook-address=127.0.0.1:0",
    `--webhook-url=https://127.0.0.1:${balancer.port}`,
    "--health-address=off",
  ]);
  const [, port = "", identity = ""] = await program.line(
    /"webhookPort":(\d+),.*"identity":"([^"]+)".*"manager ready"/,
  );
  const hold = (verb: "get" | "update", subresource: string): FaultRule => ({
    match: (request) =>
      request.verb === verb && request.resource === groups.plural && request.subresource === subresource,
    times: 1,
    fault: { kind: "delay", ms: 1 },
  });
  const manager: Manager = {
    user: name,
    identity,
    webhookPort: Number(port),
    program,
    proxy,
    async holdBack() {
      held = 0;
      proxy.setRules([hold("get", ""), hold("update", "status")]);
      await eventually(
        "a read and a write of groups",
        () => held,
        (count) => count === 2,
      );
    },
    letGo: () => clock.advance(1),
  };
  managers.push(manager);
  return manager;
}

/** From now on all admissions go to this one: whatever another writes, it writes as the leader. */
function admitBy(manager: Manager): void {
  for (const target of balancer.targets) balancer.remove(target, { cut: true });
  balancer.add({ port: manager.webhookPort });
}

async function leads({ identity }: Manager): Promise<boolean> {
  try {
    return (await client.get(Leases, lease)).spec?.holderIdentity === identity;
  } catch (error) {
    if (isNotFound(error)) return false;
    throw error;
  }
}

/** @returns after how many milliseconds */
async function untilLeads(manager: Manager, from: number): Promise<number> {
  await eventually(`${manager.user} leads`, () => leads(manager), Boolean, leaseMs + slackMs);
  return systemClock.now() - from;
}

function deployment(name: string, group: string): Deployment {
  const labels = { app: "x" };
  const containers = [{ name: "main", image: "none", resources: { limits: { cpu: "1" } } }];
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name, namespace: "default", labels: { [groupLabel]: group } },
    spec: { replicas: 2, selector: { matchLabels: labels }, template: { metadata: { labels }, spec: { containers } } },
  };
}

let serial = 0;
/** Keeps the reconcilers at work while something else happens: workloads come, are scaled and go in both groups. */
async function amidChurn<T>(work: () => Promise<T>): Promise<T> {
  const over = new AbortController();
  const churning = (async () => {
    while (!over.signal.aborted) {
      const index = serial++;
      const group = groupNames[index % 2] ?? "";
      const key = { namespace: "default", name: `w${index}` };
      await client.create(Deployments, deployment(key.name, group));
      await client.patch(Deployments, key, { type: "merge", patch: { spec: { replicas: 1 + (index % 3) } } });
      await sleep(systemClock, 150);
      await client.delete(Deployments, key);
    }
  })();
  try {
    // A churn that fails must not wait for the end of the work.
    return await Promise.race([work(), churning.then(() => Promise.reject(new Error("the churn ended by itself")))]);
  } finally {
    over.abort();
    await churning;
  }
}

const isStatusOfGroup = ({ objectRef }: Write): boolean =>
  objectRef.resource === groups.plural && objectRef.subresource === "status";
const isLease = ({ objectRef }: Write): boolean => objectRef.resource === "leases" && objectRef.name === lease.name;
const succeeded = ({ responseStatus }: Write): boolean => responseStatus.code >= 200 && responseStatus.code < 300;
/** Reviews are questions: nothing is stored. */
const stores = ({ objectRef }: Write): boolean => objectRef.apiGroup !== "authorization.k8s.io";
const storedVersion = (write: Write): number => Number(write.responseObject?.metadata.resourceVersion);
const holderOf = (write: Write): unknown =>
  (write.requestObject as { spec?: { holderIdentity?: string } } | undefined)?.spec?.holderIdentity;

/** Every write of managers that the server has answered, in order. */
function auditLog(): readonly Write[] {
  const lines = readFileSync(controlPlane.auditLogPath ?? "", "utf8").split("\n");
  // A line that is just being written has no end yet.
  return lines.slice(0, -1).map((line) => JSON.parse(line) as Write);
}

/** The write by which a manager became the leader; versions are the server's one order of all writes. */
function acquisition(log: readonly Write[], manager: Manager): Write {
  const found = log.find((write) => isLease(write) && succeeded(write) && holderOf(write) === manager.identity);
  if (!found) throw new Error(`${manager.user} never acquired the lease`);
  return found;
}

/** What the audit log must show of a handover. Returns what the old leader tried in vain, afterwards. */
function expectHandover(before: Manager, after: Manager): readonly Write[] {
  const log = auditLog();
  const taken = acquisition(log, after);
  const since = storedVersion(taken);
  expect(since).toBeGreaterThan(0);
  const of = (manager: Manager): readonly Write[] => log.filter(({ user }) => user.username === manager.user);
  const renewals = of(before).filter((write) => isLease(write) && succeeded(write));
  const silentMs =
    Date.parse(taken.requestReceivedTimestamp) - Date.parse(renewals.at(-1)?.requestReceivedTimestamp ?? "");
  expect(silentMs).toBeGreaterThanOrEqual(leaseMs - 5);

  const statusWrites = log.filter(isStatusOfGroup);
  expect(statusWrites.filter(({ requestObject }) => !requestObject?.metadata.resourceVersion)).toEqual([]);
  expect(of(before).some((write) => isStatusOfGroup(write) && storedVersion(write) < since)).toBe(true);
  const late = of(before).filter((write) => stores(write) && succeeded(write) && !(storedVersion(write) < since));
  expect(late).toEqual([]);
  return of(before).filter((write) => isStatusOfGroup(write) && write.stageTimestamp > taken.stageTimestamp);
}

/** The new leader counts: the time of a group's last count moves on. */
async function untilCounts(): Promise<void> {
  const lastCounted = async (): Promise<readonly string[]> =>
    Promise.all(groupNames.map(async (name) => (await client.get(groups, { name })).status?.lastReconcileTime ?? ""));
  const seen = await lastCounted();
  await eventually("both groups counted", lastCounted, (now) => now.every((time, index) => time > (seen[index] ?? "")));
}

beforeAll(async () => {
  controlPlane = await startServer({
    audit: [
      {
        level: "RequestResponse",
        users: ["first", "second", "third", "fourth"],
        verbs: ["create", "update", "patch", "delete", "deletecollection"],
        omitStages: ["RequestReceived"],
      },
      { level: "None" },
    ],
  });
  balancer = await startTcpBalancer([]);
  client = createClient({ kubeconfig: controlPlane.kubeconfigPath });
  await client.create(CustomResourceDefinitions, customResourceDefinition(BizGroupResourceQuotas) as never);
  const served = (): Promise<boolean> =>
    client.list(groups).then(
      () => true,
      () => false,
    );
  await eventually("the CRD is served", served);
  const first = await startManager("first");
  await eventually("first leads", () => leads(first));
  admitBy(await startManager("second"));
  for (const name of groupNames) {
    const spec = { parentBizGroup: "", hard: { "limits.cpu": 1000 } };
    await client.create(groups, { metadata: { name }, spec });
  }
});

afterAll(async () => {
  for (const { program, proxy } of managers) {
    await program.kill();
    await proxy.stop();
  }
  await client?.close();
  await balancer?.stop();
  await controlPlane?.stop();
});

const managerAt = (index: number): Manager => {
  const manager = managers[index];
  if (!manager) throw new Error(`there is no manager ${index}: an earlier test failed`);
  return manager;
};

describe("two managers as processes", () => {
  it("hand over within the lease's duration when the leader is killed", async () => {
    const [first, second] = [managerAt(0), managerAt(1)];
    await amidChurn(async () => {
      await untilCounts();
      const from = systemClock.now();
      await first.program.kill();
      expect(await untilLeads(second, from)).toBeLessThan(leaseMs + slackMs);
      await untilCounts();
    });
    expect(expectHandover(first, second)).toEqual([]);
  });

  it(`let no write of a leader take effect that was stopped for ${pauseMs / 1000} s, not even one that was on its way`, async () => {
    const second = managerAt(1);
    const third = await startManager("third");
    admitBy(third);
    await amidChurn(async () => {
      await untilCounts();
      await second.holdBack();
      const from = systemClock.now();
      second.program.signal("SIGSTOP");
      await untilLeads(third, from);
      await untilCounts();
      await second.letGo();
      const refused = (): readonly Write[] => expectHandover(second, third);
      await eventually("the write that was on its way is answered", refused, (writes) => writes.length > 0);
      await sleep(systemClock, Math.max(0, pauseMs - (systemClock.now() - from)));
      second.program.signal("SIGCONT");
      const { code, stderr } = await second.program.ended;
      expect(code).toBe(1);
      expect(stderr).toMatch(/^fleetwright: lease \S+ was not renewed within 10000 ms; another may lead now: .*\n$/m);
    });
    expect(await leads(third)).toBe(true);
    expect(expectHandover(second, third).map(({ responseStatus }) => responseStatus.code)).toEqual([409]);
  });

  it("hand over when the leader is cut off, and it ends by itself", async () => {
    const third = managerAt(2);
    const fourth = await startManager("fourth");
    admitBy(fourth);
    await amidChurn(async () => {
      await untilCounts();
      const from = systemClock.now();
      third.proxy.partition("blackhole");
      expect(await untilLeads(fourth, from)).toBeLessThan(leaseMs + slackMs);
      await untilCounts();
      third.proxy.partition("none");
      const { code, stderr } = await third.program.ended;
      expect(code).toBe(1);
      expect(stderr).toContain("fleetwright: lease fleetwright-system/fleetwright-manager was not renewed");
      await untilCounts();
    });
    expect(await leads(fourth)).toBe(true);
    for (const { responseStatus } of expectHandover(third, fourth)) expect(responseStatus.code).toBe(409);
  });

  it("leave the status right, and the last gives the lease back when it is told to end", async () => {
    const fourth = managerAt(3);
    const used = (): Promise<readonly (string | number | undefined)[]> =>
      Promise.all(groupNames.map(async (name) => (await client.get(groups, { name })).status?.used?.["limits.cpu"]));
    await eventually("nothing used", used, (amounts) => amounts.every((amount) => amount === "0"));
    fourth.program.signal("SIGTERM");
    expect((await fourth.program.ended).code).toBe(0);
    expect((await client.get(Leases, lease)).spec?.holderIdentity).toBe("");
  });
});
