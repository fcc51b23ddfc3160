import {
  createCache,
  createManager,
  FleetwrightError,
  type AdmissionHandler,
  type AdmissionRequest,
  type Client,
  type Manager,
} from "@fleetwright/kube";
import { silentLogger } from "@fleetwright/kube";
import { createQuota } from "@fleetwright/quota";
import type { SimulatedCaller, Simulation } from "@fleetwright/twin";

/** A manager's replica in virtual time: the real quota controller and handlers, behind a network that can fail. */
export interface QuotaReplica {
  readonly name: string;
  readonly alive: boolean;
  readonly caller: SimulatedCaller;
  /** Answers a review as its webhook server would. */
  review(path: string, request: AdmissionRequest, signal: AbortSignal): Promise<object>;
  /** Ends without a word, as `kill -9` does. */
  kill(): Promise<void>;
}

export const holdLifeMs = 20_000;

const user = {
  username: "system:serviceaccount:fleetwright-system:manager",
  groups: ["system:masters", "system:authenticated"],
};

/** Starts one; it answers once its caches have synced. `onEnd` is called when it ends by itself, as a manager that has lost its leadership does. */
export function startQuotaReplica(simulation: Simulation, name: string, onEnd: () => void): QuotaReplica {
  const { clock, random } = simulation;
  const caller = simulation.caller(user);
  const client: Client = caller.client;
  const logger = silentLogger;
  const cache = createCache({ client, clock, random, logger });
  const late: { manager?: Manager } = {};
  const quota = createQuota({
    client,
    cache,
    clock,
    random,
    logger,
    holdLifeMs,
    assertLeading: () => late.manager?.assertLeading(),
  });
  const manager = createManager({
    client,
    clock,
    random,
    logger,
    cache,
    healthAddress: "0",
    metricsAddress: "0",
    leaderElection: { lease: { namespace: "kube-system", name: "fleetwright-manager" }, identity: name },
  });
  late.manager = manager;
  manager.add(quota.controller);
  const stop = new AbortController();
  let isAlive = true;
  const done = manager.run(stop.signal).catch((error: unknown) => {
    if (!(error instanceof FleetwrightError)) throw error;
    if (isAlive) onEnd();
    isAlive = false;
  });
  return {
    name,
    caller,
    get alive() {
      return isAlive;
    },
    async review(path, request, signal) {
      if (!quota.ready()) throw new Error("connection refused");
      const handler: AdmissionHandler | undefined = quota.handlers[path]?.handler;
      if (handler === undefined) throw new Error(`no handler at ${path}`);
      const response = await handler(request, signal);
      return {
        apiVersion: "admission.k8s.io/v1",
        kind: "AdmissionReview",
        response: { uid: request.uid, ...response },
      };
    },
    async kill() {
      isAlive = false;
      caller.faults.setCutOff(true);
      stop.abort();
      await done;
    },
  };
}
