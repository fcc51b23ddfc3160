import { X509Certificate, createPrivateKey } from "node:crypto";
import { createServer, connect } from "node:tls";
import type { AddressInfo } from "node:net";
import { describe, expect, it } from "vitest";
import { createCertificateAuthority, loadCertificateAuthority } from "./certificate-authority.ts";
import type { KeyPair } from "./certificate-authority.ts";
import { systemClock } from "./clock.ts";
import type { Clock } from "./clock.ts";

const frozen: Clock = { now: () => Date.UTC(2030, 0, 1), setTimer: () => ({ cancel() {} }) };

/** What the server saw of its client, through a real handshake in which both sides verify. */
async function handshake(server: KeyPair, client: KeyPair, trusted: string, host: string): Promise<string> {
  const listener = createServer({
    cert: server.certificate,
    key: server.key,
    ca: trusted,
    requestCert: true,
    rejectUnauthorized: true,
  });
  listener.on("secureConnection", (socket) => {
    const { subject } = socket.getPeerCertificate();
    socket.end(JSON.stringify(subject));
  });
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  const { port } = listener.address() as AddressInfo;
  try {
    return await new Promise<string>((resolve, reject) => {
      const socket = connect({
        host: "127.0.0.1",
        port,
        servername: host,
        ca: trusted,
        cert: client.certificate,
        key: client.key,
      });
      let text = "";
      socket.on("data", (chunk: Buffer) => (text += chunk.toString()));
      socket.on("error", reject);
      socket.on("end", () => resolve(text));
    });
  } finally {
    listener.close();
  }
}

describe("certificate authority", () => {
  it("issues server and client certificates that a TLS handshake accepts on both sides", async () => {
    const authority = await createCertificateAuthority({ clock: systemClock, commonName: "ca" });
    const server = await authority.issue({ usage: "server", commonName: "s", hosts: ["webhook.local", "127.0.0.1"] });
    const client = await authority.issue({ usage: "client", commonName: "ada", organizations: ["ml", "admins"] });
    const seen = await handshake(server, client, authority.certificate, "webhook.local");
    expect(JSON.parse(seen)).toEqual({ O: ["ml", "admins"], CN: "ada" });
  });

  it("is not trusted by whoever trusts another authority", async () => {
    const [authority, other] = await Promise.all([
      createCertificateAuthority({ clock: systemClock, commonName: "ca" }),
      createCertificateAuthority({ clock: systemClock, commonName: "ca" }),
    ]);
    const server = await authority.issue({ usage: "server", commonName: "s", hosts: ["webhook.local"] });
    const client = await authority.issue({ usage: "client", commonName: "ada" });
    await expect(handshake(server, client, other.certificate, "webhook.local")).rejects.toThrow(/verif|signature/);
  });

  it("never outlives its authority, and takes times from the clock", async () => {
    const notAfter = frozen.now() + 3600_000;
    const authority = await createCertificateAuthority({ clock: frozen, commonName: "ca", notAfter });
    const issued = new X509Certificate((await authority.issue({ usage: "client", commonName: "ada" })).certificate);
    expect(authority.notAfter).toBe(notAfter);
    expect(Date.parse(issued.validTo)).toBe(notAfter);
    expect(Date.parse(issued.validFrom)).toBe(frozen.now() - 300_000);
  });

  it("goes on signing after it was loaded from its texts", async () => {
    const made = await createCertificateAuthority({ clock: systemClock, commonName: "ca" });
    const loaded = await loadCertificateAuthority(systemClock, { certificate: made.certificate, key: made.key });
    const pair = await loaded.issue({ usage: "both", commonName: "peer", hosts: ["::1"] });
    const issued = new X509Certificate(pair.certificate);
    expect(issued.verify(new X509Certificate(made.certificate).publicKey)).toBe(true);
    expect(issued.checkPrivateKey(createPrivateKey(pair.key))).toBe(true);
    expect(issued.checkIP("::1")).toBe("::1");
  });
});
