import { BizGroupResourceQuotas as Groups, customResourceDefinition, groupLabel } from "@fleetwright/api";
import {
  ApiError,
  CustomResourceDefinitions,
  Deployments,
  keyOf,
  Namespaces,
  parseQuantity,
  seededRandom,
  sleep,
  StatefulSets,
  ValidatingWebhookConfigurations,
  type AdmissionRequest,
  type Client,
  type KubeObject,
  type Random,
} from "@fleetwright/kube";
import { webhookConfiguration } from "@fleetwright/quota";
import { startSimulation, WebhookCallFailure, type FaultRates, type Simulation } from "@fleetwright/twin";
import { holdLifeMs, startQuotaReplica, type QuotaReplica } from "./quota-replica.ts";

export interface StormResult {
  readonly seed: number;
  /** What went wrong, in words. None: all held. */
  readonly violations: readonly string[];
  readonly admitted: number;
  readonly refused: number;
  readonly failedCalls: number;
  readonly kills: number;
  /** Equal in two runs of the same seed. */
  readonly digest: string;
}

export interface StormOptions {
  readonly seed: number;
  /** Virtual milliseconds under load. @default 60_000 */
  readonly loadMs?: number;
  /** Lets the webhooks allow everything: shows that the judge notices. */
  readonly sabotage?: boolean;
}

const namespace = "storm";
const tree = [
  { name: "root", parent: "", hard: 24 },
  { name: "a", parent: "root", hard: 9 },
  { name: "b", parent: "root", hard: 6 },
] as const;
const leaves = ["a", "b"] as const;
const cpuKey = "requests.cpu";

/** Runs tenants, managers that crash and lose their leadership, and a network that fails, all from one seed. */
export async function runQuotaStorm(options: StormOptions): Promise<StormResult> {
  const storm = new QuotaStorm(options);
  return storm.run();
}

class QuotaStorm {
  readonly #options: StormOptions;
  readonly #random: Random;
  readonly #replicas: QuotaReplica[] = [];
  readonly #violations: string[] = [];
  #serial = 0;
  #admitted = 0;
  #refused = 0;
  #failedCalls = 0;
  #kills = 0;
  #loading = true;

  constructor(options: StormOptions) {
    this.#options = options;
    this.#random = seededRandom(options.seed * 7919);
  }

  async run(): Promise<StormResult> {
    const { seed, loadMs = 60_000 } = this.#options;
    const simulation = await startSimulation({
      seed,
      pools: [{ name: "node", count: 3, cpu: "16" }],
      nodes: { heartbeats: "derived" },
      callWebhook: (address, body, call) => this.#callWebhook(simulation, address.url ?? "", body, call),
    });
    try {
      await this.#prepare(simulation);
      const watching = this.#watchTotals(simulation);
      const tenants = Array.from({ length: 4 }, (_, index) => this.#tenant(simulation, index));
      const chaos = this.#chaos(simulation);
      await simulation.clock.advance(loadMs);
      this.#loading = false;
      simulation.setRates({});
      for (const replica of this.#replicas) replica.caller.faults.setRates({});
      // Clients' last calls, holds that end, a leader that comes back, and rollouts.
      await simulation.clock.advance(holdLifeMs + 150_000);
      await this.#judge(simulation);
      watching.stop();
      await Promise.all([...tenants, chaos]);
      const digest = simulation.digest();
      return {
        seed,
        violations: this.#violations,
        admitted: this.#admitted,
        refused: this.#refused,
        failedCalls: this.#failedCalls,
        kills: this.#kills,
        digest,
      };
    } finally {
      for (const replica of this.#replicas) await this.#driven(simulation, replica.kill());
      await simulation.stop();
    }
  }

  async #prepare(simulation: Simulation): Promise<void> {
    const { client, clock } = simulation;
    await client.create(Namespaces, { metadata: { name: namespace } });
    await client.create(CustomResourceDefinitions, customResourceDefinition(Groups) as unknown as KubeObject);
    await clock.advance(5_000);
    for (let count = 1 + Math.floor(this.#random.next() * 3); count > 0; count--) this.#startReplica(simulation);
    await clock.advance(5_000);
    const configuration = webhookConfiguration({ target: { kind: "url", url: "https://quota.invalid" } });
    await client.create(ValidatingWebhookConfigurations, configuration);
    await clock.advance(1_000);
    for (const { name, parent, hard } of tree) {
      const group = { metadata: { name }, spec: { parentBizGroup: parent, hard: { [cpuKey]: String(hard) } } };
      await this.#driven(simulation, client.create(Groups, group));
      await clock.advance(2_000);
    }
  }

  /** Waits in virtual time. */
  async #driven<T>(simulation: Simulation, promise: Promise<T>): Promise<T> {
    let isDone = false;
    const watched = promise.finally(() => (isDone = true));
    watched.catch(() => {});
    for (let tries = 0; !isDone && tries < 600; tries++) await simulation.clock.advance(100);
    return watched;
  }

  #startReplica(simulation: Simulation): void {
    // A kubelet starts again what has ended.
    const restart = (): void => void sleep(simulation.clock, 1_000).then(() => this.#startReplica(simulation));
    this.#replicas.push(startQuotaReplica(simulation, `manager-${++this.#serial}`, restart));
  }

  /** A Service in front of the replicas: any that lives, within the time that the webhook has. */
  async #callWebhook(
    simulation: Simulation,
    url: string,
    body: object,
    { timeoutSeconds, signal }: { readonly timeoutSeconds: number; readonly signal: AbortSignal },
  ): Promise<unknown> {
    const { request } = body as { readonly request: AdmissionRequest };
    if (this.#options.sabotage === true) {
      return {
        apiVersion: "admission.k8s.io/v1",
        kind: "AdmissionReview",
        response: { uid: request.uid, allowed: true },
      };
    }
    const living = this.#replicas.filter(({ alive }) => alive);
    const replica = living[Math.floor(this.#random.next() * living.length)];
    if (replica === undefined) throw new WebhookCallFailure(`Post "${url}": connect: connection refused`);
    const abort = new AbortController();
    const late = sleep(simulation.clock, timeoutSeconds * 1000, AbortSignal.any([signal, abort.signal])).then(() => {
      throw new WebhookCallFailure(`Post "${url}": context deadline exceeded`);
    });
    late.catch(() => {});
    try {
      const answer = replica.review(new URL(url).pathname, request, abort.signal);
      answer.catch(() => {});
      return await Promise.race([answer, late]);
    } catch (error) {
      if (error instanceof WebhookCallFailure) throw error;
      throw new WebhookCallFailure(`Post "${url}": ${error instanceof Error ? error.message : String(error)}`);
    } finally {
      abort.abort();
    }
  }

  async #tenant(simulation: Simulation, index: number): Promise<void> {
    const { clock } = simulation;
    const random = seededRandom(this.#options.seed * 31 + index);
    const user = { username: `tenant-${index}`, groups: ["system:masters", "system:authenticated"] };
    const { client, faults } = simulation.caller(user, tenantFaults);
    while (this.#loading) {
      await sleep(clock, 200 + random.next() * 3_000);
      await this.#act(client, random);
    }
    faults.setRates({});
  }

  async #act(client: Client, random: Random): Promise<void> {
    const group = leaves[Math.floor(random.next() * leaves.length)] ?? "a";
    const replicas = 1 + Math.floor(random.next() * 4);
    const dice = random.next();
    try {
      const { items } = await client.list(Deployments, { namespace });
      const some = items[Math.floor(random.next() * items.length)];
      if (dice < 0.55 || some === undefined) {
        const name = `d-${++this.#serial}`;
        const object = workload(name, group, replicas);
        if (random.next() < 0.7) await client.create(Deployments, object);
        else await client.create(StatefulSets, { ...object, spec: { ...object.spec, serviceName: name } });
      } else if (dice < 0.75) {
        await client.patch(
          Deployments,
          keyOf(some),
          { type: "merge", patch: { spec: { replicas } } },
          random.next() < 0.5 ? { subresource: "scale" } : {},
        );
      } else await client.delete(Deployments, keyOf(some), { propagationPolicy: "Background" });
      this.#admitted += 1;
    } catch (error) {
      if (error instanceof ApiError && error.httpStatus === 403) this.#refused += 1;
      else this.#failedCalls += 1;
    }
  }

  /** Kills, partitions and starts managers; changes how everything else fails. */
  async #chaos(simulation: Simulation): Promise<void> {
    const { clock } = simulation;
    while (this.#loading) {
      await sleep(clock, 1_000 + this.#random.next() * 8_000);
      if (!this.#loading) break;
      const dice = this.#random.next();
      const living = this.#replicas.filter(({ alive }) => alive);
      const some = living[Math.floor(this.#random.next() * living.length)];
      if (dice < 0.3 && some !== undefined) {
        this.#kills += 1;
        await some.kill();
      } else if (dice < 0.5 && some !== undefined) {
        some.caller.faults.setCutOff(true);
        await sleep(clock, this.#random.next() * 30_000);
        some.caller.faults.setCutOff(false);
      } else if (dice < 0.75) {
        const rates = this.#random.next() < 0.5 ? roughFaults : {};
        simulation.setRates(rates);
        for (const replica of living) replica.caller.faults.setRates(rates);
      }
      if (this.#replicas.filter(({ alive }) => alive).length < 1 + Math.floor(this.#random.next() * 3))
        this.#startReplica(simulation);
    }
    for (const replica of this.#replicas) if (replica.alive) replica.caller.faults.setCutOff(false);
    if (!this.#replicas.some(({ alive }) => alive)) this.#startReplica(simulation);
  }

  /** At every change of a workload, what exists must fit. */
  #watchTotals(simulation: Simulation): { stop(): void } {
    const { cache } = simulation.cluster;
    const sources = [cache.informer(Deployments), cache.informer(StatefulSets)];
    const check = (): void => {
      for (const [group, total] of totalsOf(
        sources.flatMap((informer) => informer.list(namespace) as readonly Workload[]),
      )) {
        const hard = tree.find(({ name }) => name === group)?.hard ?? 0;
        if (total > hard) this.#violate(`over-admitted: ${group} holds ${total} of ${hard}`);
      }
    };
    const removers = sources.map((informer) => informer.addHandler({ added: check, updated: check }));
    return { stop: () => removers.forEach((remove) => remove()) };
  }

  #violate(text: string): void {
    if (!this.#violations.includes(text)) this.#violations.push(text);
  }

  /** What must hold once it has been quiet. */
  async #judge(simulation: Simulation): Promise<void> {
    const { client, clock } = simulation;
    const workloads = async (): Promise<readonly Workload[]> => [
      ...(await client.list(Deployments, { namespace })).items,
      ...(await client.list(StatefulSets, { namespace })).items,
    ];
    const all = await workloads();
    const totals = totalsOf(all);
    for (const leaf of leaves) {
      const { status, spec } = await client.get(Groups, { name: leaf });
      const hard = amount(spec.hard[cpuKey]);
      const used = amount(status?.selfUsed?.[cpuKey]);
      const total = totals.get(leaf) ?? 0;
      if (total > hard) this.#violate(`over-admitted: ${leaf} holds ${total} of ${hard}`);
      if (used !== total) this.#violate(`leaked: ${leaf} says ${used}, its workloads hold ${total}`);
      // With nothing else going on, what is left must be given, and not one more.
      const ask = (replicas: number): Promise<boolean> =>
        this.#driven(
          simulation,
          client.create(Deployments, workload(`probe-${leaf}`, leaf, replicas), { dryRun: true }),
        ).then(
          () => true,
          () => false,
        );
      if (hard > total && !(await ask(hard - total)))
        this.#violate(`wrongly refused: ${leaf} has ${hard - total} left`);
      if (await ask(hard - total + 1)) this.#violate(`over-admitted: ${leaf} would give more than it has`);
    }
    await clock.advance(1_000);
    for (const { metadata, spec, status } of await workloads()) {
      const wanted = spec?.replicas ?? 1;
      if ((status?.readyReplicas ?? 0) !== wanted) {
        this.#violate(`stuck: ${metadata.name ?? ""} has ${status?.readyReplicas ?? 0} of ${wanted} ready`);
      }
    }
  }
}

const tenantFaults: FaultRates = { slow: 0.1, slowMs: 3_000, lostAnswer: 0.05, reset: 0.02 };
const roughFaults: FaultRates = {
  tooManyRequests: 0.03,
  serverError: 0.05,
  conflict: 0.1,
  reset: 0.03,
  lostAnswer: 0.05,
  slow: 0.2,
  slowMs: 4_000,
  expired: 0.02,
  droppedWatch: 0.05,
  delayedWatch: 0.2,
};

interface Workload extends KubeObject {
  readonly spec?: { readonly replicas?: number };
  readonly status?: { readonly readyReplicas?: number };
}

const amount = (value: number | string | undefined): number =>
  value === undefined ? 0 : parseQuantity(String(value)).toNumber();

/** Processors by group: each replica asks for one. */
function totalsOf(workloads: readonly Workload[]): ReadonlyMap<string, number> {
  const totals = new Map<string, number>();
  for (const { metadata, spec } of workloads) {
    const group = metadata.labels?.[groupLabel] ?? "";
    totals.set(group, (totals.get(group) ?? 0) + (spec?.replicas ?? 1));
  }
  return totals;
}

function workload(name: string, group: string, replicas: number) {
  return {
    metadata: { name, namespace, labels: { [groupLabel]: group } },
    spec: {
      replicas,
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
