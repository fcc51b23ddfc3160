import { X509Certificate } from "node:crypto";
import { describe, expect, it } from "vitest";
import type { Client } from "../client/client.ts";
import type { Clock } from "../core/clock.ts";
import { ApiError } from "../core/errors.ts";
import { silentLogger } from "../core/logger.ts";
import type { KubeObject } from "../core/object.ts";
import { createServingCertificates, injectCaBundle, type ServingCertificates } from "./serving-certificates.ts";

const hour = 3_600_000;
const policy = { authorityLifetimeMs: 90 * hour, leafLifetimeMs: 30 * hour, propagationMs: hour };
const start = Date.UTC(2030, 0, 1);

/** One object that is stored as an API server would: creation once, updates by resourceVersion. */
function store(): Pick<Client, "get" | "create" | "update" | "patch"> & { writes: number; object?: KubeObject } {
  const self = {
    writes: 0,
    object: undefined as KubeObject | undefined,
    write(object: KubeObject): KubeObject {
      self.writes += 1;
      self.object = { ...object, metadata: { ...object.metadata, resourceVersion: String(self.writes) } };
      return self.object;
    },
    async get(): Promise<KubeObject> {
      if (!self.object) throw new ApiError(404, { reason: "NotFound" });
      return self.object;
    },
    async create(_: unknown, object: KubeObject): Promise<KubeObject> {
      if (self.object) throw new ApiError(409, { reason: "AlreadyExists" });
      return self.write(object);
    },
    async update(_: unknown, object: KubeObject): Promise<KubeObject> {
      if (object.metadata.resourceVersion !== self.object?.metadata.resourceVersion) {
        throw new ApiError(409, { reason: "Conflict" });
      }
      return self.write(object);
    },
    async patch(_: unknown, _key: unknown, body: { readonly patch: KubeObject }): Promise<KubeObject> {
      return self.write({ ...self.object, ...body.patch, metadata: self.object?.metadata ?? {} });
    },
  };
  return self as unknown as ReturnType<typeof store>;
}

function replica(client: ReturnType<typeof store>, clock: Clock, log: string[], name: string): ServingCertificates {
  return createServingCertificates({
    client,
    clock,
    logger: silentLogger,
    secret: { namespace: "fleetwright", name: "webhook-ca" },
    hosts: ["hooks.fleetwright.svc", "127.0.0.1"],
    policy,
    onCertificate: ({ certificate }) => log.push(`${name} leaf ${issuerOf(certificate)}`),
    onBundle: async (bundle) => void log.push(`${name} bundle ${namesOf(bundle)}`),
  });
}

const issuerOf = (certificate: string): string => new X509Certificate(certificate).issuer.replace(/^CN=.*-/, "");
const namesOf = (bundle: string): string =>
  bundle
    .split(/(?<=-----END CERTIFICATE-----\n)/)
    .filter((text) => text.trim() !== "")
    .map(issuerOf)
    .join("+");

const signal = new AbortController().signal;

describe("serving certificates", () => {
  it("let replicas that start together agree on one authority, trusted before its leaves are used", async () => {
    const client = store();
    const log: string[] = [];
    const clock: Clock = { now: () => start, setTimer: () => ({ cancel() {} }) };
    await Promise.all(["one", "two", "three"].map((name) => replica(client, clock, log, name).sync(signal)));
    expect(client.writes).toBe(1);
    expect(log.toSorted()).toEqual(
      ["one", "two", "three"].flatMap((name) => [`${name} bundle ${start}`, `${name} leaf ${start}`]).toSorted(),
    );
    for (const name of ["one", "two", "three"]) {
      const own = log.filter((line) => line.startsWith(name));
      expect(own[0]).toContain("bundle");
    }
  });

  it("give the bundle in every round, and a leaf only when it is due", async () => {
    const client = store();
    const log: string[] = [];
    let now = start;
    const certificates = replica(client, { now: () => now, setTimer: () => ({ cancel() {} }) }, log, "one");
    const due = await certificates.sync(signal);
    expect(due).toBe(start + 20 * hour);
    now += hour;
    await certificates.sync(signal);
    expect(log).toEqual([`one bundle ${start}`, `one leaf ${start}`, `one bundle ${start}`]);
    now = due;
    await certificates.sync(signal);
    expect(log.slice(3)).toEqual([`one bundle ${start}`, `one leaf ${start}`]);
  });

  it("announce a new authority, wait, and only then issue by it; the old one stays trusted", async () => {
    const client = store();
    const log: string[] = [];
    let now = start;
    const certificates = replica(client, { now: () => now, setTimer: () => ({ cancel() {} }) }, log, "one");
    await certificates.sync(signal);
    now = start + 60 * hour;
    await certificates.sync(signal);
    const [bundle, leaf] = log.slice(2);
    expect([bundle, leaf]).toEqual([`one bundle ${start}+${now}`, `one leaf ${start}`]);
    const second = now;
    now += hour;
    await certificates.sync(signal);
    expect(log.slice(4)).toEqual([`one bundle ${start}+${second}`, `one leaf ${second}`]);
  });

  it("issue nothing while the bundle cannot be injected", async () => {
    const log: string[] = [];
    const certificates = createServingCertificates({
      client: store(),
      clock: { now: () => start, setTimer: () => ({ cancel() {} }) },
      logger: silentLogger,
      secret: { namespace: "fleetwright", name: "webhook-ca" },
      hosts: ["127.0.0.1"],
      policy,
      onCertificate: () => log.push("leaf"),
      onBundle: () => Promise.reject(new Error("forbidden")),
    });
    await expect(certificates.sync(signal)).rejects.toThrow("forbidden");
    expect(log).toEqual([]);
  });
});

describe("injectCaBundle", () => {
  const encoded = Buffer.from("bundle").toString("base64");

  it("writes the bundle of a conversion webhook once, and leaves definitions without one alone", async () => {
    const client = store();
    const definition = { metadata: { name: "a.b" }, spec: { conversion: { webhook: { clientConfig: {} } } } };
    client.object = definition;
    const target = { kind: "CustomResourceDefinition", name: "a.b" } as const;
    expect(await injectCaBundle(client, target, "bundle")).toBe(true);
    expect(client.object).toMatchObject({ spec: { conversion: { webhook: { clientConfig: { caBundle: encoded } } } } });
    expect(await injectCaBundle(client, target, "bundle")).toBe(false);
    client.object = { metadata: { name: "a.b" } };
    expect(await injectCaBundle(client, target, "bundle")).toBe(false);
    expect(client.writes).toBe(1);
  });

  it("writes a webhook configuration only where the bundle is another", async () => {
    const client = store();
    const webhooks = [{ name: "one.x", clientConfig: { caBundle: encoded } }, { name: "two.x" }];
    const configuration = { metadata: { name: "quota" }, webhooks };
    client.object = configuration;
    expect(await injectCaBundle(client, { kind: "Mutating", name: "quota" }, "bundle")).toBe(true);
    expect(client.object).toMatchObject({ webhooks: [{ name: "two.x", clientConfig: { caBundle: encoded } }] });
    expect(await injectCaBundle(client, { kind: "Mutating", name: "quota" }, "bundle")).toBe(false);
  });
});
