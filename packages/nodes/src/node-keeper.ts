import { FleetwrightError, isAlreadyExists, isConflict, isNotFound, Leases, Nodes } from "@fleetwright/kube";
import type { Client, Clock, Informer, Lease, Logger, Node, Random, Timer } from "@fleetwright/kube";
import { BoundedTasks } from "./bounded-tasks.ts";
import { faultAnnotation, kernelLine, parseFault } from "./node-fault.ts";
import type { NodeFault } from "./node-fault.ts";
import {
  isReady,
  leaseNamespace,
  leaseOf,
  newNode,
  nodeAddress,
  nodeConditions,
  nodeName,
  reportedStatus,
  renewalIntervalMs,
} from "./node-object.ts";
import type { NodePool } from "./node-object.ts";

export interface NodeKeeperOptions {
  readonly client: Client;
  readonly informer: Informer<Node>;
  readonly pools: readonly NodePool[];
  readonly concurrency: number;
  readonly renewalsPerSecond: number;
  readonly maxRenewalIntervalMs: number;
  readonly statusIntervalMs: number;
  /** Healthy nodes write nothing: who wants to know asks {@link NodeKeeper.heartbeatOf}. */
  readonly derived: boolean;
  /** Told of the fault that a node's annotation asks for; `undefined`: it is taken away. */
  readonly onFault: (nodeName: string, fault: NodeFault | undefined) => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

interface KeptNode {
  readonly name: string;
  readonly pool: NodePool;
  readonly index: number;
  readonly address: string;
  uid: string;
  lease: Lease | undefined;
  renewing: boolean;
  reporting: boolean;
  paused: boolean;
  /** When it was cut off, in milliseconds. */
  pausedAt: number;
  faults: readonly NodeFault[];
  /** Its kernel's lines, `<5>[seconds since boot] …`. */
  readonly kernelLog: string[];
  bootedAt: number;
  /** The annotation that its present faults come from. */
  annotated: string | undefined;
  nextStatus: number;
}

/** Registers the nodes and keeps them alive: leases often, the rest of their status rarely. */
export class NodeKeeper {
  readonly #options: NodeKeeperOptions;
  readonly #kept = new Map<string, KeptNode>();
  readonly #order: KeptNode[] = [];
  /** Apart from each other: renewals must not wait behind thousands of registrations or reports. */
  readonly #registrations: BoundedTasks;
  readonly #renewals: BoundedTasks;
  readonly #reports: BoundedTasks;
  #removeHandler: () => void = () => {};
  #timer: Timer | undefined;
  #stopped = false;
  #troubled = false;
  /** Their last renewal failed: waiting for a whole round more would make them Unknown. */
  #failed: KeptNode[] = [];

  constructor(options: NodeKeeperOptions) {
    this.#options = options;
    this.#registrations = new BoundedTasks(Math.ceil(options.concurrency * 0.75));
    this.#renewals = new BoundedTasks(options.concurrency);
    this.#reports = new BoundedTasks(Math.ceil(options.concurrency / 4));
  }

  get names(): readonly string[] {
    return this.#order.map(({ name }) => name);
  }

  /** The address of a node that runs pods; `undefined` for others, paused and deleted ones. */
  addressOf(name: string): string | undefined {
    const node = this.#kept.get(name);
    return node === undefined || node.paused ? undefined : node.address;
  }

  /** Creates or adopts all nodes; resolves when each is Ready and has a lease. */
  async start(): Promise<void> {
    const { pools, clock, random, statusIntervalMs, informer } = this.#options;
    for (const pool of pools)
      for (let index = 0; index < pool.count; index++) {
        const node: KeptNode = {
          name: nodeName(pool, index),
          pool,
          index,
          address: nodeAddress(this.#order.length),
          uid: "",
          lease: undefined,
          renewing: false,
          reporting: false,
          paused: false,
          pausedAt: 0,
          faults: [],
          kernelLog: [],
          bootedAt: Math.floor(clock.now()),
          annotated: undefined,
          // Spread over the interval from the start, or all would report at once for ever.
          nextStatus: clock.now() + statusIntervalMs * (0.5 + random.next() / 2),
        };
        this.#order.push(node);
        this.#kept.set(node.name, node);
      }
    // From here on: the first registered ones must not wait for the last one's lease.
    if (!this.#options.derived) this.#keepLeases();
    const failed: unknown[] = [];
    for (const node of this.#order)
      this.#registrations.add(() => this.#register(node).catch((error: unknown) => void failed.push(error)));
    await this.#registrations.idle();
    if (failed.length > 0) throw failed[0];
    this.#removeHandler = informer.addHandler({
      added: (node) => this.#see(node),
      updated: (_, node) => this.#see(node),
      deleted: (node) => this.#forget(node),
    });
  }

  /** @throws FleetwrightError `FW_NODES_UNKNOWN` */
  #nodeOf(name: string): KeptNode {
    const node = this.#kept.get(name);
    if (node !== undefined) return node;
    throw new FleetwrightError("FW_NODES_UNKNOWN", `node ${JSON.stringify(name)} is not simulated here`);
  }

  faultsOf(name: string): readonly NodeFault[] {
    return this.#kept.get(name)?.faults ?? [];
  }

  kernelLog(name: string): readonly string[] {
    return [...this.#nodeOf(name).kernelLog];
  }

  /** Lets something go wrong with a node; what its pods make of it is the runner's. @throws FleetwrightError `FW_NODES_UNKNOWN` */
  fault(name: string, fault: NodeFault): void {
    const node = this.#nodeOf(name);
    const now = this.#options.clock.now();
    const line = kernelLine(fault);
    if (line !== undefined)
      node.kernelLog.push(`<3>[${((now - node.bootedAt) / 1000).toFixed(6).padStart(12)}] ${line}`);
    if (fault.kind === "reboot") {
      node.bootedAt = Math.floor(now);
      node.kernelLog.length = 0;
      // A reset brings GPUs back; whether they are sound is for tests to say.
      node.faults = node.faults.filter(({ kind }) => kind !== "xid" && kind !== "ecc");
    } else node.faults = [...node.faults, fault];
    if (fault.kind === "partition") this.setPaused(name, true);
    else this.#queueReport(node);
  }

  /** All is well again. @throws FleetwrightError `FW_NODES_UNKNOWN` */
  heal(name: string): void {
    const node = this.#nodeOf(name);
    node.faults = [];
    if (node.paused) this.setPaused(name, false);
    this.#queueReport(node);
  }

  /** Stops or resumes a node's heartbeats, as if its machine had been cut off. */
  setPaused(name: string, paused: boolean): void {
    const node = this.#kept.get(name);
    if (node === undefined) return;
    node.paused = paused;
    if (paused) node.pausedAt = this.#options.clock.now();
    const current = this.#options.informer.get({ name });
    if (!paused && current) this.#see(current);
  }

  /** When a node was last alive, in milliseconds: now, for a healthy one. `undefined`: not ours, or it writes its heartbeats. */
  heartbeatOf(name: string): number | undefined {
    const node = this.#options.derived ? this.#kept.get(name) : undefined;
    if (node === undefined) return undefined;
    return node.paused ? node.pausedAt : this.#options.clock.now();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#removeHandler();
    this.#timer?.cancel();
    for (const tasks of [this.#registrations, this.#renewals, this.#reports]) {
      tasks.clear();
      await tasks.idle();
    }
  }

  async #register(node: KeptNode): Promise<void> {
    const { client, clock } = this.#options;
    const registered =
      this.#options.informer.get({ name: node.name }) ??
      (await this.#create(node)) ??
      (await client.get(Nodes, { name: node.name }));
    if (!isReady(registered)) await this.#report(node, registered);
    const uid = registered.metadata.uid ?? "";
    try {
      node.lease = await client.create(Leases, leaseOf(node.name, uid, clock.now()));
      node.uid = uid;
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
      node.uid = uid;
      this.#visit(node);
    }
  }

  /** `undefined`: it exists already. */
  async #create(node: KeptNode): Promise<Node | undefined> {
    const { client, clock } = this.#options;
    const { pool } = node;
    try {
      const created = await client.create(Nodes, newNode(pool, node.index, node.address, clock.now()));
      // Admission taints every new node as not ready; the node controller, if there is one, would take that off in a while.
      const patch = { spec: { taints: pool.taints ?? null } };
      return await client.patch(Nodes, { name: created.metadata.name ?? "" }, { type: "merge", patch });
    } catch (error) {
      if (isAlreadyExists(error)) return undefined;
      throw error;
    }
  }

  #see(current: Node): void {
    const node = this.#kept.get(current.metadata.name ?? "");
    if (node === undefined || this.#stopped) return;
    this.#readAnnotation(node, current.metadata.annotations?.[faultAnnotation]);
    if (node.paused) return;
    if (!isReady(current) && !node.faults.some(({ kind }) => kind === "notReady")) this.#queueReport(node);
  }

  #readAnnotation(node: KeptNode, text: string | undefined): void {
    if (text === node.annotated) return;
    node.annotated = text;
    try {
      const fault = text === undefined ? undefined : parseFault(text, node.pool.gpu?.count ?? 0);
      this.#options.onFault(node.name, fault);
    } catch (error) {
      this.#options.logger.warn({ node: node.name, error }, "a fault is not understood; nothing happens");
    }
  }

  /** As with a kubelet: a node that someone deletes does not come back by itself. */
  #forget(current: Node): void {
    const node = this.#kept.get(current.metadata.name ?? "");
    if (node === undefined) return;
    this.#kept.delete(node.name);
    this.#order.splice(this.#order.indexOf(node), 1);
  }

  #queueReport(node: KeptNode): void {
    if (node.reporting) return;
    node.reporting = true;
    this.#reports.add(() =>
      this.#report(node, this.#options.informer.get({ name: node.name }))
        .catch((error: unknown) => this.#complain(node, error))
        .finally(() => {
          node.reporting = false;
        }),
    );
  }

  async #report(node: KeptNode, current: Node | undefined): Promise<void> {
    const { client, clock, statusIntervalMs } = this.#options;
    const now = clock.now();
    node.nextStatus = now + statusIntervalMs;
    const { conditions, ...rest } = reportedStatus(node.pool, node.name, node.bootedAt, node.faults);
    const patch = { status: { ...rest, conditions: nodeConditions(current?.status?.conditions, now, conditions) } };
    await client.patch(Nodes, { name: node.name }, { type: "strategic", patch }, { subresource: "status" });
  }

  /** Goes round all nodes once per interval, a few at each tick. */
  #keepLeases(): void {
    const { clock, renewalsPerSecond, maxRenewalIntervalMs } = this.#options;
    const tickMs = 100;
    const ticksToRetry = 20;
    let ticks = 0;
    let position = 0;
    let owed = 0;
    const tick = (): void => {
      if (this.#stopped) return;
      if (++ticks % ticksToRetry === 0) for (const node of this.#failed.splice(0)) this.#visit(node);
      const count = this.#order.length;
      owed = Math.min(
        count,
        owed + (count * tickMs) / renewalIntervalMs(count, renewalsPerSecond, maxRenewalIntervalMs),
      );
      for (; owed >= 1; owed--) {
        const node = this.#order[position++ % count];
        if (node) this.#visit(node);
      }
      this.#timer = clock.setTimer(tickMs, tick);
    };
    this.#timer = clock.setTimer(tickMs, tick);
  }

  #visit(node: KeptNode): void {
    if (node.paused || node.uid === "" || !this.#kept.has(node.name)) return;
    if (this.#options.clock.now() >= node.nextStatus) this.#queueReport(node);
    if (node.renewing) return;
    node.renewing = true;
    this.#renewals.add(() =>
      this.#renew(node)
        .then(() => {
          this.#troubled = false;
        })
        .catch((error: unknown) => {
          this.#failed.push(node);
          this.#complain(node, error);
        })
        .finally(() => {
          node.renewing = false;
        }),
    );
  }

  async #renew(node: KeptNode): Promise<void> {
    const { client, clock } = this.#options;
    const fresh = leaseOf(node.name, node.uid, clock.now());
    try {
      node.lease ??= await client.get(Leases, { namespace: leaseNamespace, name: node.name });
      const { resourceVersion = "" } = node.lease.metadata;
      node.lease = await client.update(Leases, { ...fresh, metadata: { ...fresh.metadata, resourceVersion } });
    } catch (error) {
      node.lease = undefined;
      // Deleted by someone; any other failure (an earlier answer that was lost makes a conflict) starts from what is there.
      if (!isNotFound(error)) throw error;
      if (this.#kept.has(node.name)) node.lease = await client.create(Leases, fresh);
    }
  }

  #complain(node: KeptNode, error: unknown): void {
    if (this.#stopped || isConflict(error) || (isNotFound(error) && !this.#kept.has(node.name))) return;
    // Once per spell, not once per node and try: every node tries again in its next round.
    if (!this.#troubled) this.#options.logger.warn({ node: node.name, error }, "heartbeats of simulated nodes fail");
    this.#troubled = true;
  }
}
