import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { Registry } from "prom-client";
import { BizGroupResourceQuotas } from "@fleetwright/api";
import {
  createCache,
  createCertificateFiles,
  createEventRecorder,
  createManager,
  createServingCertificates,
  createWebhookServer,
  fencedClient,
  FleetwrightError,
  isAlreadyExists,
  isForbidden,
  isNotFound,
  Namespaces,
  ValidatingWebhookConfigurations,
  type CertificateFilesOptions,
  type Client,
  type Clock,
  type Logger,
  type ObjectKey,
  type Random,
} from "@fleetwright/kube";
import { evictionWebhookConfiguration, evictionWebhookPath } from "@fleetwright/checkpoint";
import { createQuota, webhookClient, webhookConfiguration, type WebhookConfigurationOptions } from "@fleetwright/quota";
import { explainMissingCrd } from "./missing-crd.ts";
import { requireAccess } from "./access.ts";
import type { Address } from "./address.ts";
import { openCheckpoints, type CheckpointSettings } from "./checkpoints.ts";
import { checkpointRights, managerRights } from "./rights.ts";

export interface ManagerSettings {
  readonly client: Client;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Served under `/metrics`. @default its own */
  readonly metrics?: Registry;
  /** Of the manager's Lease and Secret; exempt from its webhooks. */
  readonly namespace: string;
  readonly webhookAddress: Address;
  /** How the API server reaches the webhooks. A `url` that is absent is the address that they listen on. */
  readonly callers:
    | { readonly kind: "service"; readonly service: Required<ObjectKey> }
    | { readonly kind: "url"; readonly url?: string };
  /** `tls.crt`, `tls.key`, `ca.crt` in here instead of a CA of our own. */
  readonly certificateDirectory?: string;
  /** @default nowhere */
  readonly healthAddress?: Address;
  readonly leaderElect: boolean;
  readonly quota: {
    readonly refreshMs?: number;
    readonly workers?: number;
    readonly holdLifeMs?: number;
    /** The whole cluster demands the group label. @default false: namespaces that say so */
    readonly requireGroup?: boolean;
  };
  /** @default checkpoints are nobody's business here */
  readonly checkpoints?: CheckpointSettings;
  /** Aborts to stop. */
  readonly signal: AbortSignal;
}

/** A manager that is ready. */
export interface RunningManager {
  readonly webhookPort: number;
  /** Resolves when everything has stopped, rejects when the manager can't go on. */
  readonly done: Promise<void>;
}

/**
 * Starts the controllers and webhooks; resolves when the API server has been told to call them.
 *
 * @throws {FleetwrightError} `FW_ACCESS_MISSING`, `FW_CRD_MISSING`, `FW_WEBHOOK_LISTEN`, `FW_PROBE_LISTEN`
 */
export async function startManager(settings: ManagerSettings): Promise<RunningManager> {
  const { client, clock, random, logger, namespace, signal } = settings;
  await requireAccess(client, managerRights(namespace), signal);
  if (settings.checkpoints) await requireAccess(client, [checkpointRights], signal);
  await requireCustomResources(client, signal);
  await ensureNamespace(client, namespace, signal);

  const { metrics = new Registry() } = settings;
  const identity = `${hostname()}_${randomUUID()}`;
  const { host, port } = settings.webhookAddress;
  const webhooks = createWebhookServer({ clock, logger, registry: metrics, host, port });
  const cache = createCache({ client, clock, random, logger, metrics });
  const events = createEventRecorder({
    client,
    clock,
    random,
    logger,
    metrics,
    reporter: { controller: "fleetwright.dev/manager", instance: identity },
  });
  const quota = createQuota({
    client,
    cache,
    clock,
    random,
    logger,
    metrics,
    events,
    assertLeading: () => manager.assertLeading(),
    ...settings.quota,
  });
  for (const [path, { name, handler }] of Object.entries(quota.handlers)) webhooks.handle(path, name, handler);

  const checkpoints =
    settings.checkpoints &&
    (await openCheckpoints(settings.checkpoints, {
      client: fencedClient(client, () => manager.assertLeading()),
      unfencedClient: client,
      cache,
      clock,
      logger,
      metrics,
      events,
      signal,
    }));

  if (checkpoints) webhooks.handle(evictionWebhookPath, "eviction", checkpoints.holdEviction);

  const configure = async (caBundle: string, stop: AbortSignal): Promise<void> => {
    const object = webhookConfiguration({
      target: targetOf(settings, webhooks.port),
      caBundle: Buffer.from(caBundle).toString("base64"),
      exemptNamespaces: [namespace],
      requireEverywhere: settings.quota.requireGroup === true,
    });
    await client.apply(ValidatingWebhookConfigurations, object, {
      fieldManager: "fleetwright",
      force: true,
      signal: stop,
    });
    if (checkpoints === undefined) return;
    const ca = Buffer.from(caBundle).toString("base64");
    const holding = evictionWebhookConfiguration({
      clientConfig: (path) => webhookClient({ target: targetOf(settings, webhooks.port), caBundle: ca }, path),
      exemptNamespaces: [namespace],
    });
    await client.apply(ValidatingWebhookConfigurations, holding, {
      fieldManager: "fleetwright",
      force: true,
      signal: stop,
    });
  };
  // Nobody is told of the webhooks before they can answer; from then on a new bundle goes out at once.
  let bundle = "";
  let configured = false;
  const shared: Pick<CertificateFilesOptions, "clock" | "logger" | "onCertificate" | "onBundle"> = {
    clock,
    logger,
    onCertificate: (pair) => webhooks.setCertificate(pair),
    async onBundle(next, stop) {
      bundle = next;
      if (configured) await configure(next, stop);
    },
  };
  const certificates =
    settings.certificateDirectory === undefined
      ? createServingCertificates({
          ...shared,
          client,
          secret: { namespace, name: "fleetwright-webhook-ca" },
          hosts: hostsOf(settings),
        })
      : createCertificateFiles({ ...shared, directory: settings.certificateDirectory });
  await certificates.sync(signal);

  const address = settings.healthAddress;
  const probes = address ? `${address.host.includes(":") ? `[${address.host}]` : address.host}:${address.port}` : "0";
  const manager = createManager({
    client,
    clock,
    random,
    logger,
    cache,
    webhooks,
    metrics,
    healthAddress: probes,
    metricsAddress: probes,
    ...(settings.leaderElect
      ? { leaderElection: { lease: { namespace, name: "fleetwright-manager" }, identity } }
      : {}),
  });
  const ready = Promise.withResolvers<void>();
  manager.add(events);
  manager.add({ name: "webhook certificates", needLeaderElection: false, start: (stop) => certificates.run(stop) });
  manager.add({
    name: "webhook configuration",
    needLeaderElection: false,
    async start(stop) {
      await configure(bundle, stop);
      configured = true;
      ready.resolve();
    },
  });
  manager.add(quota.controller);
  for (const runnable of checkpoints?.runnables ?? []) manager.add(runnable);
  manager.addReadyCheck("quota", () => {
    if (!quota.ready()) throw new Error("still reading the cluster");
  });
  if (checkpoints)
    manager.addReadyCheck("checkpoints", () => {
      if (!checkpoints.ready()) throw new Error("still reading the cluster");
    });
  manager.addReadyCheck("webhooks", () => {
    if (!webhooks.listening || !configured) throw new Error("the webhooks are not served yet");
  });

  const done = manager.run(signal);
  await Promise.race([ready.promise, done]);
  if (!signal.aborted)
    logger.info({ webhookPort: webhooks.port, health: manager.ports.health, identity }, "manager ready");
  return { webhookPort: webhooks.port, done };
}

function targetOf(settings: ManagerSettings, port: number): WebhookConfigurationOptions["target"] {
  const { callers, webhookAddress } = settings;
  if (callers.kind === "service") return { kind: "service", ...callers.service };
  const local = webhookAddress.host === "0.0.0.0" ? "127.0.0.1" : webhookAddress.host;
  return { kind: "url", url: callers.url ?? `https://${local}:${port}` };
}

/** What the serving certificate must be valid for. */
function hostsOf(settings: ManagerSettings): readonly string[] {
  const target = targetOf(settings, 0);
  if (target.kind === "url") return [new URL(target.url).hostname.replace(/^\[|\]$/g, "")];
  const { namespace, name } = target;
  return [`${name}.${namespace}.svc`, `${name}.${namespace}`, `${name}.${namespace}.svc.cluster.local`];
}

async function requireCustomResources(client: Client, signal: AbortSignal): Promise<void> {
  try {
    await client.list(BizGroupResourceQuotas, { limit: 1, signal });
  } catch (error) {
    throw explainMissingCrd(error);
  }
}

async function ensureNamespace(client: Client, name: string, signal: AbortSignal): Promise<void> {
  try {
    await client.get(Namespaces, { name }, { signal });
  } catch (error) {
    if (!isNotFound(error)) throw error;
    try {
      await client.create(Namespaces, { metadata: { name } }, { signal });
    } catch (failure) {
      if (isAlreadyExists(failure)) return;
      if (!isForbidden(failure)) throw failure;
      throw new FleetwrightError(
        "FW_NAMESPACE_MISSING",
        `there is no namespace "${name}": run "kubectl create namespace ${name}", or pass --namespace`,
        {
          cause: failure,
        },
      );
    }
  }
}
