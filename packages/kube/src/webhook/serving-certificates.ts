import { createCertificateAuthority, loadCertificateAuthority, type KeyPair } from "../core/certificate-authority.ts";
import { sleep, type Clock } from "../core/clock.ts";
import { FleetwrightError, isAlreadyExists, isConflict, isNotFound } from "../core/errors.ts";
import type { Logger } from "../core/logger.ts";
import { Secrets, type Secret } from "../builtin/core-v1.generated.ts";
import type { KubeObject, ObjectKey } from "../core/object.ts";
import type { Resource } from "../core/resource.ts";
import type { Client } from "../client/client.ts";
import {
  applyRotation,
  bundleOf,
  defaultRotationPolicy,
  leafRenewalAt,
  planRotation,
  type AuthorityState,
  type DatedKeyPair,
  type RotationPolicy,
} from "./certificate-rotation.ts";

/** The Secret's entry with the whole state; `ca.crt` beside it is the bundle, for people and tools. */
const stateKey = "authority.json";

export interface ServingCertificatesOptions {
  readonly client: Pick<Client, "get" | "create" | "update">;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Shared by all replicas; created when it is missing. */
  readonly secret: ObjectKey;
  /** DNS names and addresses that callers use: `<service>.<namespace>.svc`, or the host of a `url`. */
  readonly hosts: readonly string[];
  readonly policy?: RotationPolicy;
  /** A new serving certificate: give it to the server. */
  readonly onCertificate: (pair: KeyPair) => void;
  /**
   * The bundle that callers must trust: inject it wherever they find it, unless it is there. Called in every round
   * (every few minutes), and before any leaf of a new authority is issued.
   */
  readonly onBundle: (bundle: string, signal: AbortSignal) => Promise<void>;
}

export interface ServingCertificates {
  /** One round: reads the shared state, takes due steps, injects, issues. Returns when to come again (milliseconds since the epoch). */
  sync(signal: AbortSignal): Promise<number>;
  /** Rounds until the signal aborts; failures are logged and tried again. */
  run(signal: AbortSignal): Promise<void>;
}

const encode = (text: string): string => Buffer.from(text, "utf8").toString("base64");

function readState(secret: Secret): AuthorityState {
  const where = `Secret ${secret.metadata.namespace}/${secret.metadata.name}`;
  const encoded = secret.data?.[stateKey];
  if (encoded === undefined) {
    throw new FleetwrightError(
      "FW_WEBHOOK_CERTIFICATE",
      `${where} has no "${stateKey}": delete it, and it is made anew`,
    );
  }
  try {
    return JSON.parse(Buffer.from(encoded, "base64").toString("utf8")) as AuthorityState;
  } catch (error) {
    throw new FleetwrightError(
      "FW_WEBHOOK_CERTIFICATE",
      `${where}: "${stateKey}" is not JSON: delete the Secret, and it is made anew`,
      {
        cause: error,
      },
    );
  }
}

/** Serving certificates from a CA of our own that the replicas share through a Secret; the loser of a race reads the winner's. */
export function createServingCertificates(options: ServingCertificatesOptions): ServingCertificates {
  const { client, clock, logger, secret: key, hosts, policy = defaultRotationPolicy } = options;
  let leaf: { readonly issuer: string; readonly renewAt: number } | undefined;

  async function freshAuthority(): Promise<DatedKeyPair> {
    const notBefore = clock.now() - 300_000;
    const notAfter = clock.now() + policy.authorityLifetimeMs;
    const made = await createCertificateAuthority({
      clock,
      commonName: `fleetwright-webhook-${clock.now()}`,
      notBefore,
      notAfter,
    });
    return { certificate: made.certificate, key: made.key, notBefore: clock.now(), notAfter };
  }

  async function read(signal: AbortSignal): Promise<Secret | undefined> {
    try {
      return await client.get(Secrets, key, { signal });
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  /** Takes the steps that are due, each as one conditional write. */
  async function settle(signal: AbortSignal): Promise<{ state: AuthorityState; dueAt: number }> {
    for (;;) {
      const secret = await read(signal);
      const state = secret ? readState(secret) : undefined;
      const step = planRotation(state, clock.now(), policy);
      if (step.kind === "keep" && state) return { state, dueAt: step.untilMs };
      if (step.kind === "keep") continue;
      const next = applyRotation(state, step, await freshAuthority(), clock.now(), policy);
      const data = { "ca.crt": encode(bundleOf(next)), [stateKey]: encode(JSON.stringify(next)) };
      try {
        if (secret) await client.update(Secrets, { ...secret, data: { ...secret.data, ...data } }, { signal });
        else {
          const metadata = { ...key, labels: { "app.kubernetes.io/managed-by": "fleetwright" } };
          await client.create(
            Secrets,
            { apiVersion: "v1", kind: "Secret", metadata, type: "Opaque", data },
            { signal },
          );
        }
        logger.info({ step: step.kind, secret: key }, "webhook certificate authority");
      } catch (error) {
        if (!isConflict(error) && !isAlreadyExists(error)) throw error;
      }
    }
  }

  const self: ServingCertificates = {
    async sync(signal) {
      const { state, dueAt } = await settle(signal);
      // In every round: whoever applies a chart again takes the bundle out of the configuration.
      await options.onBundle(bundleOf(state), signal);
      const now = clock.now();
      if (!leaf || leaf.issuer !== state.issuing.certificate || leaf.renewAt <= now) {
        const authority = await loadCertificateAuthority(clock, state.issuing);
        const notAfter = Math.min(now + policy.leafLifetimeMs, state.issuing.notAfter);
        const pair = await authority.issue({ usage: "server", commonName: hosts[0] ?? "fleetwright", hosts, notAfter });
        options.onCertificate(pair);
        leaf = { issuer: state.issuing.certificate, renewAt: leafRenewalAt(now, notAfter) };
      }
      return Math.min(dueAt, leaf.renewAt);
    },
    async run(signal) {
      while (!signal.aborted) {
        let waitMs = 10_000;
        try {
          // Another replica may have moved on, or someone deleted the Secret: look every few minutes at the least.
          waitMs = Math.min(Math.max((await self.sync(signal)) - clock.now(), 1000), 300_000);
        } catch (error) {
          if (signal.aborted) return;
          logger.warn({ error, secret: key }, "webhook certificates: trying again");
        }
        await sleep(clock, waitMs, signal).catch(() => {});
      }
    },
  };
  return self;
}

interface WebhookConfiguration extends KubeObject {
  readonly webhooks?: readonly { readonly name: string; readonly clientConfig?: { readonly caBundle?: string } }[];
}

const configurationResource = (kind: "Validating" | "Mutating"): Resource<WebhookConfiguration> => ({
  group: "admissionregistration.k8s.io",
  version: "v1",
  kind: `${kind}WebhookConfiguration`,
  plural: `${kind.toLowerCase()}webhookconfigurations`,
  namespaced: false,
});

interface ConversionDefinition extends KubeObject {
  readonly spec?: {
    readonly conversion?: { readonly webhook?: { readonly clientConfig?: { readonly caBundle?: string } } };
  };
}

const ConversionDefinitions: Resource<ConversionDefinition> = {
  group: "apiextensions.k8s.io",
  version: "v1",
  kind: "CustomResourceDefinition",
  plural: "customresourcedefinitions",
  namespaced: false,
};

/**
 * Puts the CA bundle into every webhook of a configuration, or into the conversion webhook of a
 * CustomResourceDefinition, that someone else (a chart) owns; touches nothing else.
 *
 * @returns whether anything had to be written
 */
export async function injectCaBundle(
  client: Pick<Client, "get" | "patch">,
  target: { readonly kind: "Validating" | "Mutating" | "CustomResourceDefinition"; readonly name: string },
  bundle: string,
  signal?: AbortSignal,
): Promise<boolean> {
  const options = signal ? { signal } : {};
  if (target.kind === "CustomResourceDefinition") return injectIntoDefinition(client, target.name, bundle, options);
  const resource = configurationResource(target.kind);
  const configuration = await client.get(resource, { name: target.name }, options);
  const caBundle = encode(bundle);
  const stale = (configuration.webhooks ?? []).filter((webhook) => webhook.clientConfig?.caBundle !== caBundle);
  if (stale.length === 0) return false;
  const patch = { webhooks: stale.map(({ name }) => ({ name, clientConfig: { caBundle } })) };
  await client.patch(resource, { name: target.name }, { type: "strategic", patch }, options);
  return true;
}

async function injectIntoDefinition(
  client: Pick<Client, "get" | "patch">,
  name: string,
  bundle: string,
  options: { readonly signal?: AbortSignal },
): Promise<boolean> {
  const caBundle = encode(bundle);
  const { spec } = await client.get(ConversionDefinitions, { name }, options);
  const webhook = spec?.conversion?.webhook;
  if (!webhook || webhook.clientConfig?.caBundle === caBundle) return false;
  const patch = { spec: { conversion: { webhook: { clientConfig: { caBundle } } } } };
  await client.patch(ConversionDefinitions, { name }, { type: "merge", patch }, options);
  return true;
}
