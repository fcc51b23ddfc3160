import { generateKeyPairSync, sign, verify } from "node:crypto";
import { describe, expect, it } from "vitest";
import { readPrivateKey, readPublicKey } from "./signing-key.ts";

/** Of `cosign generate-key-pair` 3.1.3 with the password "secret": it protects nothing. */
const sealed = `-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----
eyJrZGYiOnsibmFtZSI6InNjcnlwdCIsInBhcmFtcyI6eyJOIjo2NTUzNiwiciI6
OCwicCI6MX0sInNhbHQiOiJvZlR6NEFqWWt3bWRpMUpXQTZiR1M4U0NoQTJoeEFS
ejVvSFVnNXZsS3lrPSJ9LCJjaXBoZXIiOnsibmFtZSI6Im5hY2wvc2VjcmV0Ym94
Iiwibm9uY2UiOiJQMG45TGVjZVJ1OUtaeXNoeVhDdFpKK2RFclBwUGRDbyJ9LCJj
aXBoZXJ0ZXh0IjoiWmQvY0pBb0RXTlFyTHY5Ny9RNTZ3YUIzZENOK0dYdmZYd3JD
QTFhbEd2S2JmcTF1a2R4UmJsVTNBR0psWkpyTmtYbzlBRGxIVTdtRFlSYnZvUW5P
K25TNUpBTGx2SG9iMDZPVUpZbmhvenN0UitOSmM2VFdKeGpCcE9HcFkyZDg3SHJi
aHNnS0hUSFJYMVNBWmlhM29Md1lLNW1UN0NDNnpmTEdFVjM4V0U1UjJ3dERIWk02
aEhJZ3dwbStqY051TFFGY3lRVldZZjg0QWc9PSJ9
-----END ENCRYPTED SIGSTORE PRIVATE KEY-----
`;
const sealedPublic = `-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE7yfi67EKiEQ2QeGflxxKqoZIzg7w
szAuZ6CVTCbEFyubR+ZuvWckHuPrYgIaBLeEbNuDFAAWw//R7LpbY7qBag==
-----END PUBLIC KEY-----
`;

const p256 = generateKeyPairSync("ec", { namedCurve: "P-256" });
const p384 = generateKeyPairSync("ec", { namedCurve: "P-384" });
const ed25519 = generateKeyPairSync("ed25519");
const publicPem = ({ publicKey }: typeof p256): string => publicKey.export({ type: "spki", format: "pem" }).toString();
const failed = (problem: string): object => ({
  code: "FW_CHECKPOINT_KEY",
  message: expect.stringContaining(problem) as string,
});
const reseal = (change: (key: { readonly kdf: object }) => unknown): string => {
  const lines = sealed.trim().split("\n");
  const value = JSON.parse(Buffer.from(lines.slice(1, -1).join(""), "base64").toString()) as { readonly kdf: object };
  return [lines[0], Buffer.from(JSON.stringify(change(value))).toString("base64"), lines.at(-1)].join("\n");
};

describe("keys for signatures", () => {
  it("are read from PKCS #8, with a password or without, from SEC 1, and from what cosign writes", async () => {
    const { privateKey } = p256;
    const message = Buffer.from("a message");
    for (const [pem, password] of [
      [privateKey.export({ type: "pkcs8", format: "pem" }).toString()],
      [privateKey.export({ type: "sec1", format: "pem" }).toString()],
      [privateKey.export({ type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "p" }).toString(), "p"],
    ]) {
      const signature = sign("sha256", message, await readPrivateKey(pem ?? "", { password }));
      expect(verify("sha256", message, readPublicKey(publicPem(p256)), signature)).toBe(true);
    }
    const signature = sign("sha256", message, await readPrivateKey(sealed, { password: "secret" }));
    expect(verify("sha256", message, readPublicKey(sealedPublic), signature)).toBe(true);
  });

  it("are refused with the reason", async () => {
    await expect(readPrivateKey(sealed)).rejects.toMatchObject(failed("give its password"));
    await expect(readPrivateKey(sealed, { password: "wrong" })).rejects.toMatchObject(failed("the password is wrong"));
    await expect(readPrivateKey(publicPem(p256), { place: "a.key" })).rejects.toMatchObject(
      failed("a.key: is no private key"),
    );
    const other = p384.privateKey.export({ type: "pkcs8", format: "pem" }).toString();
    await expect(readPrivateKey(other)).rejects.toMatchObject(failed("secp384r1, not ECDSA P-256"));
    expect(() => readPublicKey(publicPem(ed25519 as unknown as typeof p256))).toThrow("a key of ed25519");
    expect(() => readPublicKey("nothing")).toThrow("no public key");
    expect(() => readPublicKey(other)).toThrow("is a private key");
  });

  it("of cosign's form take no more memory than they may", async () => {
    const huge = reseal((key) => ({ ...key, kdf: { ...key.kdf, params: { N: 2 ** 30, r: 8, p: 1 } } }));
    await expect(readPrivateKey(huge, { password: "secret" })).rejects.toMatchObject(
      failed("no key that cosign wrote"),
    );
    const foreign = reseal((key) => ({ ...key, cipher: { name: "rot13", nonce: "" } }));
    await expect(readPrivateKey(foreign, { password: "secret" })).rejects.toMatchObject(
      failed("no key that cosign wrote"),
    );
    const empty = reseal(() => null);
    await expect(readPrivateKey(empty, { password: "secret" })).rejects.toMatchObject(
      failed("no key that cosign wrote"),
    );
  });

  it("of Ed25519 are for evidence alone", async () => {
    const pem = ed25519.privateKey.export({ type: "pkcs8", format: "pem" }).toString();
    expect((await readPrivateKey(pem, { purpose: "evidence" })).equals(ed25519.privateKey)).toBe(true);
    const text = ed25519.publicKey.export({ type: "spki", format: "pem" }).toString();
    expect(readPublicKey(text, "key.pub", "evidence").equals(ed25519.publicKey)).toBe(true);
    expect(() => readPublicKey(text, "key.pub")).toThrow("not ECDSA P-256; make one with");
    await expect(
      readPrivateKey(p384.privateKey.export({ type: "pkcs8", format: "pem" }).toString(), { purpose: "evidence" }),
    ).rejects.toThrow("not ECDSA P-256 or Ed25519");
  });
});
