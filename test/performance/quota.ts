/**
 * `make bench-quota [ARGS="--requests 1000 --only leaf"]`: the storm. Managers are processes of their own behind a TCP balancer,
 * the API server calls them over HTTPS; what was over-admitted, leaked or wrongly refused is judged from the objects that exist
 * after it has been quiet for longer than a hold lives. Bare pods with our webhook, with in-tree ResourceQuota and with no quota
 * run side by side in the same run, in interleaved rounds.
 *
 * Last line: `{"bench":"quota","cluster":"real","rows":[{"name":…,"requests":…,"admitted_per_s":…,"p50_ms":…,"p99_ms":…,
 * "writes_per_admission":…,"over_admitted":…,"leaked":…,"wrongly_refused":…},…]}`
 */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { parseAllDocuments } from "yaml";
import {
  createClient,
  CustomResourceDefinitions,
  Deployments,
  keyOf,
  parseQuantity,
  Namespaces,
  Pods,
  ResourceQuotas,
  sleep,
  systemClock,
  type Client,
  type Deployment,
  type KubeObject,
  type Pod,
  type Resource,
} from "@fleetwright/kube";
import { BizGroupResourceQuotas as Groups } from "@fleetwright/api";
import { startControlPlane, type ControlPlane } from "@fleetwright/lab";
import { eventually } from "../e2e/eventually.ts";
import { startReplicas } from "./quota/replicas.ts";
import { percentile, runStorm, type Answer } from "./quota/storm.ts";

const { values } = parseArgs({
  options: {
    requests: { type: "string", default: "1000" },
    only: { type: "string", default: "" },
    rounds: { type: "string", default: "5" },
    program: { type: "string", default: fileURLToPath(new URL("../../dist/fleetwright.mjs", import.meta.url)) },
  },
});
const requests = Number(values.requests);

/** The API server gives up on a request after this; a hold must live longer. */
const requestTimeoutSeconds = 10;
const holdLifeSeconds = 15;

const groupLabel = "biz.group.resource.quota";

async function prepare(client: Client): Promise<void> {
  const text = await readFile(
    new URL("../../config/crd/fleetwright.dev_bizgroupresourcequotas.yaml", import.meta.url),
    "utf8",
  );
  for (const document of parseAllDocuments(text)) {
    await client.apply(CustomResourceDefinitions, document.toJS() as KubeObject, {
      fieldManager: "bench",
      force: true,
    });
  }
  await eventually("the CRD is served", () => client.list(Groups).catch(() => undefined));
}

interface Row {
  readonly name: string;
  readonly requests: number;
  readonly admitted_per_s: number;
  readonly p50_ms: number;
  readonly p99_ms: number;
  readonly writes_per_admission: number;
  readonly over_admitted: number;
  readonly leaked: number;
  readonly wrongly_refused: number;
  readonly admitted: number;
  readonly refused: number;
  readonly transport_errors: number;
}

interface Scenario {
  readonly name: string;
  readonly replicas: number;
  readonly leaves: number;
  readonly depth: number;
  readonly kill?: boolean;
}

/** The tree of a scenario: a root, a chain down to `depth`, and the leaves at its end. */
async function createTree(client: Client, scenario: Scenario, perLeaf: number): Promise<readonly string[]> {
  const create = (name: string, parentBizGroup: string, amount: number): Promise<unknown> =>
    client.create(Groups, {
      apiVersion: "fleetwright.dev/v1alpha1",
      kind: "BizGroupResourceQuota",
      metadata: { name },
      spec: { parentBizGroup, hard: { "requests.cpu": String(amount) } },
    });
  let parent = "";
  for (let level = 1; level < scenario.depth; level++) {
    const name = `${scenario.name}-level-${level}`;
    await create(name, parent, perLeaf * scenario.leaves);
    parent = name;
  }
  const leaves = Array.from({ length: scenario.leaves }, (_, index) => `${scenario.name}-leaf-${index}`);
  for (const leaf of leaves) await create(leaf, parent, perLeaf);
  return leaves;
}

function deployment(name: string, namespace: string, group: string): Deployment {
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name, namespace, labels: { [groupLabel]: group } },
    spec: {
      replicas: 1,
      selector: { matchLabels: { app: name } },
      template: {
        metadata: { labels: { app: name } },
        spec: {
          containers: [{ name: "main", image: "registry.example/main:1", resources: { requests: { cpu: "1" } } }],
        },
      },
    },
  };
}

function pod(name: string, namespace: string, group: string | undefined): Pod {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace, ...(group === undefined ? {} : { labels: { [groupLabel]: group } }) },
    spec: {
      automountServiceAccountToken: false,
      containers: [{ name: "main", image: "registry.example/main:1", resources: { requests: { cpu: "1" } } }],
    },
  };
}

/** Counts what is written to the groups: every write is one MODIFIED event. */
function countWrites(client: Client): { readonly count: () => number; readonly stop: () => Promise<void> } {
  const controller = new AbortController();
  let writes = 0;
  const watching = (async () => {
    const { metadata } = await client.list(Groups);
    const options = {
      signal: controller.signal,
      ...(metadata.resourceVersion ? { resourceVersion: metadata.resourceVersion } : {}),
    };
    for await (const event of client.watch(Groups, options)) if (event.type === "MODIFIED") writes++;
  })().catch((error: unknown) => {
    if (!controller.signal.aborted) throw error;
  });
  return {
    count: () => writes,
    async stop() {
      controller.abort();
      await watching;
    },
  };
}

function figures(
  name: string,
  answers: readonly Answer[],
  seconds: number,
): Omit<Row, "writes_per_admission" | "over_admitted" | "leaked" | "wrongly_refused"> {
  const latencies = answers.map(({ latencyMs }) => latencyMs);
  const admitted = answers.filter(({ verdict }) => verdict === "admitted").length;
  return {
    name,
    requests: answers.length,
    admitted_per_s: Number((admitted / seconds).toFixed(1)),
    p50_ms: Number(percentile(latencies, 0.5).toFixed(1)),
    p99_ms: Number(percentile(latencies, 0.99).toFixed(1)),
    admitted,
    refused: answers.length - admitted,
    transport_errors: answers.reduce((sum, { transportErrors }) => sum + transportErrors, 0),
  };
}

/** What exists against what was allowed, after quiet. */
async function judge(
  client: Client,
  resource: Resource,
  namespace: string,
  leaves: readonly string[],
  perLeaf: number,
  answers: readonly Answer[],
): Promise<{ over_admitted: number; leaked: number; wrongly_refused: number }> {
  await sleep(systemClock, (holdLifeSeconds + 3) * 1000);
  const existing = new Map<string, number>();
  for (const { metadata } of (await client.list(resource, { namespace })).items) {
    const group = metadata.labels?.[groupLabel] ?? "";
    existing.set(group, (existing.get(group) ?? 0) + 1);
  }
  const result = { over_admitted: 0, leaked: 0, wrongly_refused: 0 };
  for (const leaf of leaves) {
    const exist = existing.get(leaf) ?? 0;
    const refused = answers.filter(({ group, verdict }) => group === leaf && verdict === "refused").length;
    const { status } = await client.get(Groups, { name: leaf });
    const charged = parseQuantity(String(status?.selfUsed?.["requests.cpu"] ?? 0)).toNumber();
    result.over_admitted += Math.max(0, exist - perLeaf);
    result.leaked += Math.abs(charged - exist);
    result.wrongly_refused += Math.min(refused, Math.max(0, perLeaf - exist));
  }
  return result;
}

async function runScenario(controlPlane: ControlPlane, scenario: Scenario): Promise<Row> {
  const client = createClient({ kubeconfig: controlPlane.kubeconfigPath, connections: 256, timeoutMs: 120_000 });
  const namespace = `storm-${scenario.name}`;
  await client.create(Namespaces, { apiVersion: "v1", kind: "Namespace", metadata: { name: namespace } });
  const replicas = await startReplicas(controlPlane, {
    count: scenario.replicas,
    holdLife: `${holdLifeSeconds}s`,
    program: values.program,
  });
  try {
    // Six tenths fit: admissions and refusals both under pressure.
    const perLeaf = Math.floor((requests * 0.6) / scenario.leaves);
    const leaves = await createTree(client, scenario, perLeaf);
    const writes = countWrites(client);
    const { answers, seconds } = await runStorm({
      client,
      resource: Deployments,
      requests,
      inFlight: requests,
      objectOf(index) {
        const group = leaves[index % leaves.length] ?? "";
        return { object: deployment(`d-${index}`, namespace, group), group };
      },
      ...(scenario.kill ? { at: { answers: Math.floor(requests / 2), run: () => replicas.kill(0) } } : {}),
    });
    const written = writes.count();
    const base = figures(scenario.name, answers, seconds);
    const verdict = await judge(client, Deployments, namespace, leaves, perLeaf, answers);
    await writes.stop();
    return { ...base, writes_per_admission: Number((written / Math.max(1, base.admitted)).toFixed(3)), ...verdict };
  } finally {
    await replicas.stop();
    await client.close();
  }
}

type PodMode = "pods-webhook" | "pods-resourcequota" | "pods-none";

/** One round of bare pods; quiet and judged only for the webhook's. */
async function runPods(controlPlane: ControlPlane, mode: PodMode, round: number): Promise<Row> {
  const client = createClient({ kubeconfig: controlPlane.kubeconfigPath, connections: 64, timeoutMs: 120_000 });
  const namespace = `${mode}-${round}`;
  await client.create(Namespaces, { apiVersion: "v1", kind: "Namespace", metadata: { name: namespace } });
  const group = mode === "pods-webhook" ? `${mode}-${round}` : undefined;
  if (mode === "pods-resourcequota") {
    const object = {
      apiVersion: "v1",
      kind: "ResourceQuota",
      metadata: { name: "q", namespace },
      spec: { hard: { "requests.cpu": String(requests) } },
    };
    await client.create(ResourceQuotas, object as KubeObject);
    await sleep(systemClock, 1500); // its admission plugin learns of the quota through a watch
  }
  if (group) await createTree(client, { name: group, replicas: 1, leaves: 1, depth: 1 }, requests);
  const quota = group ? `${group}-leaf-0` : undefined;
  const writes = countWrites(client);
  const { answers, seconds } = await runStorm({
    client,
    resource: Pods,
    requests,
    inFlight: 50,
    objectOf: (index) => ({ object: pod(`p-${index}`, namespace, quota), group: quota ?? "" }),
  });
  const written = writes.count();
  await writes.stop();
  const base = figures(mode, answers, seconds);
  const verdict = quota
    ? await judge(client, Pods, namespace, [quota], requests, answers)
    : { over_admitted: 0, leaked: 0, wrongly_refused: base.refused };
  for (const item of (await client.list(Pods, { namespace })).items)
    await client.delete(Pods, keyOf(item), { gracePeriodSeconds: 0 });
  await client.close();
  return { ...base, writes_per_admission: Number((written / Math.max(1, base.admitted)).toFixed(3)), ...verdict };
}

const median = (numbers: readonly number[]): number =>
  numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN;

/** The rounds of a mode as one row: medians of speeds, sums of faults. */
function combine(rows: readonly Row[]): Row {
  const [first] = rows;
  if (!first) throw new Error("no rounds");
  const middle = (key: "admitted_per_s" | "p50_ms" | "p99_ms" | "writes_per_admission"): number =>
    median(rows.map((row) => row[key]));
  const total = (key: "over_admitted" | "leaked" | "wrongly_refused" | "transport_errors"): number =>
    rows.reduce((sum, row) => sum + row[key], 0);
  return {
    ...first,
    admitted_per_s: middle("admitted_per_s"),
    p50_ms: middle("p50_ms"),
    p99_ms: middle("p99_ms"),
    writes_per_admission: middle("writes_per_admission"),
    over_admitted: total("over_admitted"),
    leaked: total("leaked"),
    wrongly_refused: total("wrongly_refused"),
    transport_errors: total("transport_errors"),
  };
}

const scenarios: readonly Scenario[] = [1, 3].flatMap((replicas) => [
  { name: `leaf-1-replicas-${replicas}`, replicas, leaves: 1, depth: 1 },
  { name: `leaves-10-replicas-${replicas}`, replicas, leaves: 10, depth: 2 },
  { name: `depth-5-replicas-${replicas}`, replicas, leaves: 1, depth: 5 },
  ...(replicas === 3 ? [{ name: "kill-replicas-3", replicas, leaves: 1, depth: 1, kill: true }] : []),
]);

const rows: Row[] = [];
const report = (row: Row): void => {
  rows.push(row);
  console.error(JSON.stringify(row));
};

for (const scenario of scenarios.filter(({ name }) => name.includes(values.only))) {
  await using controlPlane = await startControlPlane({ requestTimeoutSeconds });
  const client = createClient({ kubeconfig: controlPlane.kubeconfigPath });
  await prepare(client);
  await client.close();
  report(await runScenario(controlPlane, scenario));
}

const modes: readonly PodMode[] = ["pods-none", "pods-resourcequota", "pods-webhook"];
const wanted = modes.filter((mode) => mode.includes(values.only));
if (wanted.length > 0) {
  await using controlPlane = await startControlPlane({
    requestTimeoutSeconds,
    controllerManager: true,
    apiServerFlags: { "disable-admission-plugins": "ServiceAccount" },
  });
  const client = createClient({ kubeconfig: controlPlane.kubeconfigPath });
  await prepare(client);
  const replicas = await startReplicas(controlPlane, {
    count: 1,
    holdLife: `${holdLifeSeconds}s`,
    program: values.program,
  });
  const rounds = new Map<PodMode, Row[]>(wanted.map((mode) => [mode, []]));
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const mode of wanted) {
      const row = await runPods(controlPlane, mode, round);
      rounds.get(mode)?.push(row);
      console.error(`round ${round + 1}: ${JSON.stringify(row)}`);
    }
  }
  for (const list of rounds.values()) report(combine(list));
  await replicas.stop();
  await client.close();
}

console.log(JSON.stringify({ bench: "quota", cluster: "real", rows }));
