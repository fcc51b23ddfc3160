import { createPrivateKey, createPublicKey, scrypt } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { xsalsa20poly1305 } from "@noble/ciphers/salsa.js";
import { checkpointError } from "../errors.ts";

const failure = (message: string, cause?: unknown): Error => checkpointError("FW_CHECKPOINT_KEY", message, cause);

/** `image`: what `cosign generate-key-pair` makes, ECDSA P-256. `evidence`: Ed25519 too. */
type KeyPurpose = "image" | "evidence";

function usable(key: KeyObject, place: string, purpose: KeyPurpose): KeyObject {
  const { asymmetricKeyType: type = "no", asymmetricKeyDetails: details } = key;
  if (type === "ec" && details?.namedCurve === "prime256v1") return key;
  if (type === "ed25519" && purpose === "evidence") return key;
  const wanted = purpose === "image" ? "ECDSA P-256" : "ECDSA P-256 or Ed25519";
  throw failure(
    `${place}: is a key of ${type} ${details?.namedCurve ?? ""}, not ${wanted}; make one with cosign generate-key-pair`,
  );
}

/**
 * The public key, from PEM, that signatures are held against.
 *
 * @param place where it comes from, for the error
 * @throws FleetwrightError `FW_CHECKPOINT_KEY`
 */
export function readPublicKey(pem: string, place = "the public key", purpose: KeyPurpose = "image"): KeyObject {
  if (/PRIVATE KEY-----/.test(pem))
    throw failure(`${place}: is a private key; name the public one, and keep that one secret`);
  let key: KeyObject;
  try {
    key = createPublicKey(pem);
  } catch (error) {
    throw failure(`${place}: is no public key in PEM`, error);
  }
  return usable(key, place, purpose);
}

/**
 * The private key that signs, from PEM: PKCS #8, SEC 1, or what `cosign generate-key-pair` writes (`ENCRYPTED SIGSTORE PRIVATE KEY`).
 *
 * @throws FleetwrightError `FW_CHECKPOINT_KEY`
 */
export async function readPrivateKey(
  pem: string,
  {
    password,
    place = "the private key",
    purpose = "image",
  }: { readonly password?: string | undefined; readonly place?: string; readonly purpose?: KeyPurpose } = {},
): Promise<KeyObject> {
  const sealed = /-----BEGIN ENCRYPTED (?:SIGSTORE|COSIGN) PRIVATE KEY-----([A-Za-z0-9+/=\s]*)-----END /.exec(pem)?.[1];
  const source =
    sealed === undefined
      ? { key: pem, ...(password === undefined ? {} : { passphrase: password }) }
      : { key: await unseal(sealed, password, place), format: "der" as const, type: "pkcs8" as const };
  let key: KeyObject;
  try {
    key = createPrivateKey(source);
  } catch (error) {
    throw failure(`${place}: is no private key in PEM, or its password is missing or wrong`, error);
  }
  return usable(key, place, purpose);
}

interface SealedKey {
  readonly kdf: {
    readonly name: string;
    readonly params: { readonly N: number; readonly r: number; readonly p: number };
    readonly salt: string;
  };
  readonly cipher: { readonly name: string; readonly nonce: string };
  readonly ciphertext: string;
}

/** Scrypt takes 128 N r bytes of memory: cosign's own parameters take 64 MiB. */
const maxScryptBytes = 512 * 1024 * 1024;

/** Opens cosign's envelope (secure-systems-lab/go-securesystemslib, encrypted/encrypted.go): scrypt, then NaCl's secretbox. */
async function unseal(base64: string, password: string | undefined, place: string): Promise<Buffer> {
  if (password === undefined) throw failure(`${place}: is encrypted; give its password`);
  const { key, nonce, box } = await (async () => {
    const { kdf, cipher, ciphertext } = JSON.parse(Buffer.from(base64, "base64").toString("utf8")) as SealedKey;
    const { N, r, p } = kdf.params;
    if (kdf.name !== "scrypt" || cipher.name !== "nacl/secretbox" || !(128 * N * r * p <= maxScryptBytes))
      throw new TypeError("other algorithms, or too much memory");
    const derived = await new Promise<Buffer>((resolve, reject) => {
      const salt = Buffer.from(kdf.salt, "base64");
      scrypt(password, salt, 32, { N, r, p, maxmem: 2 * maxScryptBytes }, (error, bytes) =>
        error ? reject(error) : resolve(bytes),
      );
    });
    return { key: derived, nonce: Buffer.from(cipher.nonce, "base64"), box: Buffer.from(ciphertext, "base64") };
  })().catch((error: unknown) => {
    throw failure(`${place}: is no key that cosign wrote`, error);
  });
  try {
    return Buffer.from(xsalsa20poly1305(key, nonce).decrypt(box));
  } catch (error) {
    throw failure(`${place}: the password is wrong`, error);
  }
}
