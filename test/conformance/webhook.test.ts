import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  allowed,
  ApiError,
  ConfigMaps,
  createClient,
  createWebhookServer,
  createServingCertificates,
  denied,
  Namespaces,
  silentLogger,
  systemClock,
  ValidatingWebhookConfigurations,
  injectCaBundle,
  type AdmissionRequest,
  type AdmissionResponse,
  type Client,
  type Clock,
  type ServingCertificates,
  type WebhookServer,
} from "@fleetwright/kube";
import type { ControlPlane } from "@fleetwright/lab";
import { eventually } from "../e2e/eventually.ts";
import { startServer } from "../e2e/server.ts";

const hour = 3_600_000;

describe("webhook server under the real API server", () => {
  let controlPlane: ControlPlane;
  let client: Client;
  let server: WebhookServer;
  let certificates: ServingCertificates;
  let offsetMs = -70 * hour;
  const requests: AdmissionRequest[] = [];
  let decide: (request: AdmissionRequest) => AdmissionResponse = () => allowed();

  /** The machine's clock, shifted into the past: what is issued holds now, and ages as the test says. */
  const clock: Clock = { now: () => systemClock.now() + offsetMs, setTimer: systemClock.setTimer };

  beforeAll(async () => {
    controlPlane = await startServer();
    client = createClient({ kubeconfig: controlPlane.kubeconfigPath, maxRetries: 0 });
    server = createWebhookServer({ clock: systemClock, logger: silentLogger, host: "127.0.0.1", port: 0 });
    server.handle("/validate", "validate", async (request) => {
      requests.push(request);
      return decide(request);
    });
    await client.create(Namespaces, { metadata: { name: "hooked", labels: { hooked: "yes" } } });
    certificates = createServingCertificates({
      client,
      clock,
      logger: silentLogger,
      secret: { namespace: "default", name: "webhook-ca" },
      hosts: ["127.0.0.1"],
      policy: { authorityLifetimeMs: 90 * hour, leafLifetimeMs: 80 * hour, propagationMs: hour },
      onCertificate: (pair) => server.setCertificate(pair),
      onBundle: async (bundle) => {
        await injectCaBundle(client, { kind: "Validating", name: "conformance" }, bundle).catch((error: unknown) => {
          if (!(error instanceof ApiError && error.httpStatus === 404)) throw error;
        });
      },
    });
    await certificates.sync(AbortSignal.timeout(10_000));
    await server.listen();
    await client.create(ValidatingWebhookConfigurations, {
      metadata: { name: "conformance" },
      webhooks: [
        {
          name: "validate.fleetwright.dev",
          clientConfig: { url: `https://127.0.0.1:${server.port}/validate` },
          rules: [{ apiGroups: [""], apiVersions: ["v1"], operations: ["CREATE"], resources: ["configmaps"] }],
          namespaceSelector: { matchLabels: { hooked: "yes" } },
          admissionReviewVersions: ["v1"],
          sideEffects: "None",
          failurePolicy: "Fail",
          timeoutSeconds: 5,
        },
      ],
    });
    const secret = await client.get(
      { group: "", version: "v1", kind: "Secret", plural: "secrets", namespaced: true },
      { namespace: "default", name: "webhook-ca" },
    );
    const bundle = Buffer.from(
      (secret as { data?: Record<string, string> }).data?.["ca.crt"] ?? "",
      "base64",
    ).toString();
    await injectCaBundle(client, { kind: "Validating", name: "conformance" }, bundle);
    await hooked("is-active");
  });

  afterAll(async () => {
    await client?.close();
    await server?.stop();
    await controlPlane?.stop();
  });

  const create = (name: string): Promise<unknown> =>
    client.create(ConfigMaps, { metadata: { name, namespace: "hooked" } });

  /** The API server learns of a configuration through a watch: creates until a call arrives with the current trust. */
  async function hooked(prefix: string): Promise<void> {
    let index = 0;
    await eventually("the API server calls the webhook", async () => {
      const before = requests.length;
      const done = await create(`${prefix}-${index++}`).then(
        () => true,
        () => false,
      );
      return done && requests.length > before;
    });
  }

  it("gives the object its uid and the operation before it is stored", async () => {
    await create("with-uid");
    const stored = await client.get(ConfigMaps, { namespace: "hooked", name: "with-uid" });
    const seen = requests.at(-1);
    expect(seen).toMatchObject({ operation: "CREATE", namespace: "hooked", name: "with-uid" });
    expect(seen?.object?.metadata.uid).toBe(stored.metadata.uid);
  });

  it("hands a refusal's message and code to the client, and stores nothing", async () => {
    decide = () => denied("no room: 3 left", { code: 403 });
    await expect(create("refused")).rejects.toMatchObject({
      httpStatus: 403,
      message: expect.stringContaining(
        'admission webhook "validate.fleetwright.dev" denied the request: no room: 3 left',
      ) as string,
    });
    decide = () => allowed();
    await expect(client.get(ConfigMaps, { namespace: "hooked", name: "refused" })).rejects.toMatchObject({
      httpStatus: 404,
    });
  });

  it("hands 429 with Retry-After to the client, whose next try may pass", async () => {
    decide = () => denied("busy", { code: 429, reason: "TooManyRequests", retryAfterSeconds: 2 });
    await expect(create("busy")).rejects.toMatchObject({ httpStatus: 429, retryAfterMs: 2000 });
    let calls = 0;
    decide = () =>
      ++calls === 1 ? denied("busy", { code: 429, reason: "TooManyRequests", retryAfterSeconds: 1 }) : allowed();
    const patient = createClient({ kubeconfig: controlPlane.kubeconfigPath });
    await patient.create(ConfigMaps, { metadata: { name: "busy", namespace: "hooked" } });
    expect(calls).toBe(2);
    await patient.close();
  });

  it("loses no request while the authority is replaced", async () => {
    decide = () => allowed();
    let running = true;
    let created = 0;
    const traffic = (async () => {
      while (running) await create(`traffic-${created++}`);
    })();
    const until = (count: number): Promise<unknown> =>
      Promise.race([traffic, eventually(`${count} objects`, () => created >= count)]);
    const configuration = async (): Promise<number> => {
      const { webhooks } = await client.get(ValidatingWebhookConfigurations, { name: "conformance" });
      const bundle = Buffer.from(webhooks?.[0]?.clientConfig.caBundle ?? "", "base64").toString();
      return bundle.split("BEGIN CERTIFICATE").length - 1;
    };
    await until(20);
    expect(await configuration()).toBe(1);
    offsetMs = -10 * hour; // two thirds of its life: a new authority is announced, nothing is issued by it
    await certificates.sync(AbortSignal.timeout(10_000));
    expect(await configuration()).toBe(2);
    await until(created + 50);
    offsetMs = -9 * hour; // it issues; the old one is still trusted
    await certificates.sync(AbortSignal.timeout(10_000));
    expect(await configuration()).toBe(2);
    await until(created + 50);
    offsetMs = 20 * hour + 1; // the old one has ended, and every leaf of it
    await certificates.sync(AbortSignal.timeout(10_000));
    expect(await configuration()).toBe(1);
    await until(created + 50);
    running = false;
    await traffic;
  });
});
