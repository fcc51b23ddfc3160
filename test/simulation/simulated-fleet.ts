import { createHash } from "node:crypto";
import { IncomingMessage } from "node:http";
import { Socket } from "node:net";
import {
  AgentError,
  KubeletRefusal,
  type AgentCheckpoint,
  type AgentClient,
  type Agents,
  type Artifacts,
  type CheckpointObject,
  type Taker,
} from "@fleetwright/checkpoint";
import { sleep, type Clock, type Random } from "@fleetwright/kube";

/** What happens to the fleet's parts. */
export interface FleetFaults {
  registryDown: boolean;
  /** Of agents' calls: they fail, before or after they were carried out. */
  agentFailures: number;
  readonly fullDisks: Set<string>;
}

/** Nodes' stores, kubelets and a registry, in virtual time: what real ones do, without bytes. */
export interface SimulatedFleet {
  readonly agents: Agents;
  readonly taker: Taker;
  readonly artifacts: Artifacts;
  readonly faults: FleetFaults;
  /** Archives by node and digest. */
  readonly stores: ReadonlyMap<string, ReadonlyMap<string, AgentCheckpoint>>;
  /** Digests by reference. */
  readonly registry: ReadonlyMap<string, string>;
  /** Checkpoints that kubelets were asked for. */
  readonly asked: () => number;
}

const referenceOf = ({ metadata, spec }: CheckpointObject, container: string): string =>
  `${spec.destination?.repository}@${sha256(`${metadata.uid} ${container}`)}`;

/** Archives have no bytes here. */
const emptyMessage = new IncomingMessage(new Socket());

const sha256 = (text: string): string => `sha256:${createHash("sha256").update(text).digest("hex")}`;

/** @param onRemoved hears of every archive that goes */
export function createSimulatedFleet(
  clock: Clock,
  random: Random,
  containerIdOf: (namespace: string, pod: string, container: string) => string | undefined,
  onRemoved: (node: string, digest: string) => void,
): SimulatedFleet {
  const stores = new Map<string, Map<string, AgentCheckpoint>>();
  const registry = new Map<string, string>();
  const faults: FleetFaults = { registryDown: false, agentFailures: 0, fullDisks: new Set() };
  let serial = 0;
  const storeOf = (node: string): Map<string, AgentCheckpoint> => {
    const store = stores.get(node) ?? new Map<string, AgentCheckpoint>();
    stores.set(node, store);
    return store;
  };
  const host = { architecture: "amd64" };
  const agentOf = (node: string): AgentClient => {
    const unreachable = (): never => {
      throw new AgentError(node, 0, "", "connection reset");
    };
    /** Fails before or after what is asked was done. */
    const call = <T>(work: () => T): Promise<T> => {
      const chance = random.next();
      if (chance < faults.agentFailures / 2) return Promise.resolve().then(unreachable);
      const result = work();
      if (chance < faults.agentFailures) return Promise.resolve().then(unreachable);
      return Promise.resolve(result);
    };
    const store = storeOf(node);
    const client: AgentClient = {
      node: () =>
        call(() => ({
          ...host,
          securityModules: [],
          criuVersion: "4.2",
          cpuFeatures: [],
          freeBytes: 10 ** 12,
          totalBytes: 2 * 10 ** 12,
          imagePort: 5780,
          restoreSwitch: true,
        })),
      list: () => call(() => ({ checkpoints: [...store.values()], unreadable: [], tombstones: [] })),
      get: (digest) => call(() => store.get(digest)),
      verify: () => call(() => undefined),
      remove: (digest) =>
        call(() => {
          const was = store.delete(digest);
          if (was) onRemoved(node, digest);
          return was;
        }),
      container: (id) => call(() => ({ id, processes: [], residentBytes: 2 ** 20, checkpointing: false, tcp: [] })),
      verifyContainer: () => call(() => ({ running: true, differences: [] })),
      push: () => Promise.reject(new Error("not simulated")),
      pull: () => Promise.reject(new Error("not simulated")),
      findImage: () => call(() => ({ onNode: true })),
      failedDump: () => call(() => ({ errors: [] })),
      copyTo: (digest, target) => target.put(digest, 0, node, emptyMessage),
      put: (digest, _size, from) =>
        call(() => {
          const archive = storeOf(from).get(digest);
          if (archive === undefined) throw new AgentError(from, 404, "NotFound", `no checkpoint ${digest}`);
          store.set(digest, archive);
          return archive;
        }),
    };
    return client;
  };
  const taker: Taker = {
    async take({ nodeName, namespace, pod, container }, signal) {
      const file = `checkpoint-${serial++}.tar`;
      const id = (containerIdOf(namespace, pod, container) ?? "").replace(/^[a-z-]+:\/\//, "");
      // A kubelet goes on without whom it answers.
      const done = sleep(clock, 500 + random.next() * 3_000).then(() => {
        if (faults.fullDisks.has(nodeName))
          throw new KubeletRefusal("kubelet", 500, "checkpointing failed (rpc error: write: no space left on device)");
        if (id === "") throw new KubeletRefusal("kubelet", 404, "pod does not exist");
        const digest = sha256(file);
        storeOf(nodeName).set(digest, {
          file,
          image: sha256(`${file} image`),
          layer: { digest, diffId: digest, size: 1_000_000, compression: "none" },
          metadata: { engine: "containerd", container, pod, namespace, id, mounts: [], addresses: [] },
          sizes: { total: 1_000_000, pages: 900_000, gpuPages: 0, rootfsDiff: 0, otherImages: 100_000 },
          modifiedMs: clock.now(),
          host,
          plugins: [],
        });
        return `/var/lib/kubelet/checkpoints/${file}`;
      });
      done.catch(() => undefined);
      let onAbort = (): void => undefined;
      const aborted = new Promise<never>((_, reject) => {
        onAbort = () => reject(signal.reason as Error);
        signal.addEventListener("abort", onAbort, { once: true });
      });
      try {
        return await Promise.race([done, aborted]);
      } finally {
        signal.removeEventListener("abort", onAbort);
      }
    },
  };
  return {
    faults,
    stores,
    registry,
    asked: () => serial,
    agents: { of: agentOf },
    taker,
    artifacts: {
      async push(_agent, checkpoint, container, digest, { repository }) {
        if (faults.registryDown) throw new Error(`registry of ${repository}: connection refused`);
        const reference = referenceOf(checkpoint, container);
        registry.set(reference, digest);
        return Promise.resolve(reference);
      },
      pull: () => Promise.reject(new Error("not simulated")),
      async remove(checkpoint, container, artifact) {
        if (faults.registryDown) throw new Error("the registry: connection refused");
        registry.delete(artifact ?? referenceOf(checkpoint, container));
        return Promise.resolve();
      },
    },
  };
}
