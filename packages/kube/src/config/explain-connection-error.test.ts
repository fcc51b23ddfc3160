import { beforeAll, describe, expect, it } from "vitest";
import { createHttpTransport } from "../client/http-transport.ts";
import { rejection, serveTls } from "../client/scripted-server.ts";
import { type CertificateAuthority, createCertificateAuthority } from "../core/certificate-authority.ts";
import { systemClock } from "../core/clock.ts";
import { ApiError, FleetwrightError, TransportError } from "../core/errors.ts";
import { VirtualClock } from "../core/virtual-clock.ts";
import type { ClusterConfig } from "./cluster-config.ts";
import { explainConnectionError } from "./explain-connection-error.ts";

const config: ClusterConfig = {
  source: 'kubeconfig "/x" context "c"',
  server: "https://127.0.0.1:1",
  namespace: "default",
  identity: { kind: "anonymous" },
};

const at = `https://127.0.0.1:1 (kubeconfig "/x" context "c"): `;

const api = (code: number, message: string): ApiError => new ApiError(code, { kind: "Status", code, message });

/** A connection error as Node makes it. */
const coded = (code: string): TransportError =>
  new TransportError("wrapped", { cause: Object.assign(new Error("inner"), { code }) });

describe("one line that says what to do", () => {
  it.each<[string, unknown, string]>([
    [
      "nobody listens",
      coded("ECONNREFUSED"),
      "connection refused; check that the API server runs and that the address is right",
    ],
    ["an unknown name", coded("ENOTFOUND"), "no such host; check the server's name in the kubeconfig"],
    [
      "an expired server certificate",
      coded("CERT_HAS_EXPIRED"),
      "x509: the server's certificate has expired; renew it on the server, and check this machine's clock",
    ],
    [
      "an unknown authority",
      coded("SELF_SIGNED_CERT_IN_CHAIN"),
      "x509: the server's certificate is signed by an unknown authority; set certificate-authority of the cluster in the kubeconfig to the authority that signed it",
    ],
    [
      "a refused client certificate",
      coded("ERR_SSL_TLSV1_ALERT_UNKNOWN_CA"),
      "the server refused our client certificate; check client-certificate of the user in the kubeconfig: it must be valid and signed by the cluster's authority",
    ],
    [
      "unknown credentials",
      api(401, "Unauthorized"),
      "the server does not know us (401 Unauthorized); check the token or certificate of the kubeconfig's user",
    ],
    [
      "missing rights",
      api(403, 'User "u" cannot list resource "pods"'),
      'not allowed: User "u" cannot list resource "pods"; grant it by a Role or ClusterRole',
    ],
    [
      "our own deadline",
      new TransportError("GET /api: no answer within 5 ms; wait"),
      "GET /api: no answer within 5 ms; wait",
    ],
    [
      "an unwrapped error",
      new AggregateError([Object.assign(new Error("x"), { code: "ECONNREFUSED" })]),
      "connection refused; check that the API server runs and that the address is right",
    ],
    ["anything else", new Error("strange\n thing"), "strange thing; check the server's address and that it runs"],
  ])("%s", (_name, error, message) => {
    const explained = explainConnectionError(error, config, new VirtualClock());
    expect(explained.message).toBe(at + message);
    expect(explained.message).not.toContain("\n");
    expect(explained.code).toBe("FW_KUBE_UNREACHABLE");
    expect(explained.cause).toBe(error);
  });

  it("errors of the kubeconfig come back as they are", () => {
    const error = new FleetwrightError("FW_KUBECONFIG", "kubeconfig: no such file");
    expect(explainConnectionError(error, config, new VirtualClock())).toBe(error);
  });
});

describe("an expired client certificate", () => {
  let authority: CertificateAuthority;
  beforeAll(async () => {
    authority = await createCertificateAuthority({ clock: systemClock, commonName: "test" });
  });

  const withCertificate = (pem: string, server = config.server): ClusterConfig => ({
    ...config,
    server,
    clientCertificate: { cert: { kind: "data", text: pem }, key: { kind: "data", text: "" } },
  });

  it("is found behind a 401, and one that is not valid yet", async () => {
    const notBefore = Date.UTC(2026, 0, 1);
    const notAfter = Date.UTC(2026, 0, 2);
    const { certificate } = await authority.issue({ usage: "client", commonName: "me", notBefore, notAfter });
    const explain = (start: number): string =>
      explainConnectionError(api(401, "Unauthorized"), withCertificate(certificate), new VirtualClock({ start }))
        .message;
    expect(explain(notAfter + 1000)).toBe(
      `${at}the client certificate expired at 2026-01-02T00:00:00.000Z; get a new one from who runs the cluster`,
    );
    expect(explain(notBefore - 1000)).toContain("valid only from 2026-01-01T00:00:00.000Z on");
    expect(explain(notBefore + 1000)).toContain("does not know us");
  });

  it("is found behind a handshake that the server broke off", async () => {
    const server = await authority.issue({ usage: "server", commonName: "server", hosts: ["127.0.0.1"] });
    const expired = await authority.issue({
      usage: "client",
      commonName: "me",
      notBefore: 0,
      notAfter: Date.UTC(2020, 0, 1),
    });
    const options = { cert: server.certificate, key: server.key, ca: authority.certificate, requestCert: true };
    await using listening = await serveTls(options, (_request, response) => response.end());
    const transport = createHttpTransport({
      server: listening.url,
      tls: { ca: authority.certificate },
      credentials: {
        current: async () => ({ headers: {}, clientCertificate: { cert: expired.certificate, key: expired.key } }),
        renew: async () => undefined,
      },
    });
    const error = await rejection(transport({ method: "GET", path: "/" }));
    await transport.close();
    const explained = explainConnectionError(error, withCertificate(expired.certificate, listening.url), systemClock);
    expect(explained.message).toContain("the client certificate expired at 2020-01-01T00:00:00.000Z");
  });
});
