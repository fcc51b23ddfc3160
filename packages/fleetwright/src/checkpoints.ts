import type { Registry } from "prom-client";
import {
  createAgents,
  createCheckpoints,
  checkpointMetrics,
  defaultJudges,
  directTaker,
  proxyTaker,
  registryArtifacts,
} from "@fleetwright/checkpoint";
import {
  createCertificateFiles,
  FleetwrightError,
  Nodes,
  type AdmissionHandler,
  type Cache,
  type Client,
  type Clock,
  type EventRecorder,
  type KeyPair,
  type Logger,
  type Runnable,
} from "@fleetwright/kube";

/** How a manager looks after checkpoints. */
export interface CheckpointSettings {
  /** `tls.crt`, `tls.key` of a client that agents know, and their `ca.crt`. */
  readonly agentCertificates: string;
  readonly agentPort: number;
  /** `tls.crt`, `tls.key` of a client that may `create nodes/checkpoint`, and the kubelets' `ca.crt`. @default through the API server */
  readonly kubeletCertificates?: string;
  /** `host:port` of registries without TLS. */
  readonly plainRegistries: readonly string[];
  /** PEM. */
  readonly registryAuthority?: string;
  /** PEM of the key that artifacts are signed with. */
  readonly signingKey?: string;
  readonly maxConcurrentPerNode?: number;
}

interface Identity {
  readonly current: () => { readonly pair: KeyPair; readonly authority: string };
  readonly runnable: Runnable;
}

/** A client certificate in a folder, read again when it changes. */
async function openIdentity(
  directory: string,
  { clock, logger, signal }: { readonly clock: Clock; readonly logger: Logger; readonly signal: AbortSignal },
): Promise<Identity> {
  let pair: KeyPair | undefined;
  let authority = "";
  const files = createCertificateFiles({
    directory,
    clock,
    logger,
    onCertificate: (next) => void (pair = next),
    onBundle(bundle) {
      authority = bundle;
      return Promise.resolve();
    },
  });
  await files.sync(signal);
  return {
    current() {
      if (pair === undefined || authority === "")
        throw new FleetwrightError(
          "FW_CHECKPOINT_AGENT",
          `${directory}: tls.crt, tls.key and ca.crt must all be there`,
        );
      return { pair, authority };
    },
    runnable: { name: `certificates in ${directory}`, needLeaderElection: false, start: (stop) => files.run(stop) },
  };
}

/** The controllers of checkpoints with all that they need, for a manager to run. */
export async function openCheckpoints(
  settings: CheckpointSettings,
  parts: {
    readonly client: Client;
    readonly unfencedClient: Client;
    readonly cache: Cache;
    readonly clock: Clock;
    readonly logger: Logger;
    readonly metrics: Registry;
    readonly events: Pick<EventRecorder, "event">;
    readonly signal: AbortSignal;
  },
): Promise<{
  readonly runnables: readonly Runnable[];
  readonly holdEviction: AdmissionHandler;
  readonly ready: () => boolean;
}> {
  const { client, cache, clock, logger, metrics, events } = parts;
  const nodes = cache.informer(Nodes);
  const agent = await openIdentity(settings.agentCertificates, parts);
  const kubelet =
    settings.kubeletCertificates === undefined ? undefined : await openIdentity(settings.kubeletCertificates, parts);
  const { controllers, holdEviction, ready } = createCheckpoints({
    client,
    unfencedClient: parts.unfencedClient,
    cache,
    agents: createAgents({ nodes, port: settings.agentPort, identity: agent.current }),
    taker: kubelet ? directTaker({ nodes, identity: kubelet.current }) : proxyTaker(client),
    artifacts: registryArtifacts({
      client,
      plainRegistries: settings.plainRegistries,
      ...(settings.registryAuthority && { registryAuthority: settings.registryAuthority }),
      ...(settings.signingKey && { signingKey: settings.signingKey }),
    }),
    judges: defaultJudges({ nodes }),
    clock,
    logger,
    events,
    metrics,
    checkpointMetrics: checkpointMetrics(metrics),
    ...(settings.maxConcurrentPerNode !== undefined && { maxConcurrentPerNode: settings.maxConcurrentPerNode }),
  });
  return { runnables: [agent.runnable, ...(kubelet ? [kubelet.runnable] : []), ...controllers], holdEviction, ready };
}
