import { hkdfSync, randomBytes, webcrypto } from "node:crypto";
import { Decrypter, Encrypter } from "age-encryption";
import { checkpointError } from "../../errors.ts";

/**
 * Seals with one key. The same bytes under the same key are sealed to the same bytes, so that chunks are shared between artifacts of one key; under another key nothing is equal, and
 * without the key nobody can tell whether known bytes are in an artifact. Lengths are no secret.
 */
export interface Sealer {
  /** Cuts depend on the key, so that the lengths of chunks are not those of the same archive under another key. */
  readonly cutSeed: number;
  seal(bytes: Uint8Array, purpose: SealPurpose): Promise<Uint8Array>;
  /** Throws FW_CHECKPOINT_ENCRYPTION when `sealed` was not sealed by this key for this purpose, or was changed; `place` names it. */
  open(sealed: Uint8Array, purpose: SealPurpose, place: string): Promise<Uint8Array>;
}

type SealPurpose = "chunk" | "table";

const dataKeyBytes = 32;
/** Salt, and GCM's tag. */
export const sealOverhead = 32 + 16;

const info = (purpose: string): string => `fleetwright checkpoint ${purpose} v1`;
const derived = (key: Uint8Array, salt: Uint8Array, purpose: string): Buffer =>
  Buffer.from(hkdfSync("sha256", key, salt, info(purpose), 32));

/** A fresh key. */
export const newDataKey = (): Uint8Array => randomBytes(dataKeyBytes);

/**
 * AES-256-GCM under a key that HKDF-SHA256 derives for each text, from a salt that is the text's own HMAC: texts that differ never have the same key, and so need no nonce
 * (the construction of RFC 5297's synthetic vectors). The salt stands before the sealed text.
 */
export function sealer(dataKey: Uint8Array): Sealer {
  const empty = new Uint8Array(0);
  const [macKey, cutKey] = [derived(dataKey, empty, "equality"), derived(dataKey, empty, "cut")];
  const nonce = new Uint8Array(12);
  const cipher = (salt: Uint8Array, purpose: SealPurpose): Promise<webcrypto.CryptoKey> =>
    webcrypto.subtle.importKey("raw", derived(dataKey, salt, purpose), "AES-GCM", false, ["encrypt", "decrypt"]);
  const macs = webcrypto.subtle.importKey("raw", macKey, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  return {
    cutSeed: cutKey.readUInt32LE(0),
    async seal(bytes, purpose) {
      // Off the event loop: a chunk may have many mebibytes.
      const salt = new Uint8Array(await webcrypto.subtle.sign("HMAC", await macs, bytes));
      const key = await cipher(salt, purpose);
      const sealed = await webcrypto.subtle.encrypt({ name: "AES-GCM", iv: nonce }, key, bytes);
      return Buffer.concat([salt, new Uint8Array(sealed)]);
    },
    async open(sealed, purpose, place) {
      const salt = sealed.subarray(0, 32);
      try {
        if (sealed.length < sealOverhead) throw new Error(`${sealed.length} bytes are too few`);
        const key = await cipher(salt, purpose);
        return new Uint8Array(await webcrypto.subtle.decrypt({ name: "AES-GCM", iv: nonce }, key, sealed.subarray(32)));
      } catch (error) {
        throw checkpointError(
          "FW_CHECKPOINT_ENCRYPTION",
          `${place}: was not sealed by this artifact's key, or was changed since: do not use it`,
          error,
        );
      }
    },
  };
}

/**
 * A key as an age file that each of `recipients` (`age1…`) can open.
 *
 * @throws FW_CHECKPOINT_ENCRYPTION naming the recipient that is none
 */
export async function wrapDataKey(dataKey: Uint8Array, recipients: readonly string[]): Promise<Uint8Array> {
  const encrypter = new Encrypter();
  if (recipients.length === 0)
    throw checkpointError("FW_CHECKPOINT_ENCRYPTION", "recipients: none: name at least one (age1…)");
  for (const recipient of recipients)
    try {
      encrypter.addRecipient(recipient);
    } catch (error) {
      throw checkpointError(
        "FW_CHECKPOINT_ENCRYPTION",
        `recipient ${JSON.stringify(recipient.slice(0, 100))}: is no age recipient: give what age-keygen prints as public key (age1…)`,
        error,
      );
    }
  return encrypter.encrypt(dataKey);
}

/**
 * Opens the key with any of the identities (`AGE-SECRET-KEY-…`).
 *
 * @throws FW_CHECKPOINT_ENCRYPTION when none fits; identities are never in the message
 */
export async function unwrapDataKey(wrapped: Uint8Array, identities: readonly string[]): Promise<Uint8Array> {
  const decrypter = new Decrypter();
  for (const [index, identity] of identities.entries())
    try {
      decrypter.addIdentity(identity);
    } catch {
      // Without its cause: that may quote the secret.
      throw checkpointError(
        "FW_CHECKPOINT_ENCRYPTION",
        `identities[${index}]: is no age identity: give a line of age-keygen's file (AGE-SECRET-KEY-…)`,
      );
    }
  let key: Uint8Array;
  try {
    key = await decrypter.decrypt(wrapped);
  } catch (error) {
    throw checkpointError(
      "FW_CHECKPOINT_ENCRYPTION",
      `the artifact's key cannot be opened: ${identities.length === 0 ? "no identity was given" : (error as Error).message}; give the identity of one of its recipients`,
      error,
    );
  }
  if (key.length !== dataKeyBytes)
    throw checkpointError(
      "FW_CHECKPOINT_ENCRYPTION",
      `the artifact's key has ${key.length} bytes, not ${dataKeyBytes}`,
    );
  return key;
}
