import type { ImageDocument } from "../core/image/engine-image.ts";
import { scopeOf } from "./authorization.ts";
import { downloadBlob } from "./blob-download.ts";
import { uploadBlob } from "./blob-upload.ts";
import type { BlobSource, UploadOptions, UploadOutcome } from "./blob-upload.ts";
import { dropBody, openConnection } from "./connection.ts";
import type { ConnectionOptions, RegistryAnswer, RegistryCall } from "./connection.ts";
import { descriptorOf, digestOf, indexMediaType, jsonDocument, manifestMediaTypes } from "./manifest.ts";
import { parseManifest } from "./manifest.ts";
import type { Descriptor } from "./manifest.ts";
import { isDigest } from "./reference.ts";
import { isNotInRegistry, quoted, RegistryError, registryLies } from "./registry-error.ts";
import { fetchPages, fetchWhole, jsonObject } from "./whole-answer.ts";

/** One registry, over the OCI distribution specification 1.1. All of it throws {@link RegistryError}; what is not there is `FW_CHECKPOINT_REGISTRY_NOT_FOUND`. */
export interface RegistryClient {
  readonly registry: string;
  /** A manifest by tag or digest, held against its digest. */
  getManifest(repository: string, reference: string, signal?: AbortSignal): Promise<ImageDocument>;
  /** The digest that a tag or digest stands for; `undefined`: it is not there. */
  findManifest(repository: string, reference: string, signal?: AbortSignal): Promise<string | undefined>;
  /** Stores a manifest whose blobs are there, under a tag or its digest; one with a subject becomes its referrer. */
  putManifest(repository: string, reference: string, manifest: ImageDocument, signal?: AbortSignal): Promise<void>;
  /** Deletes a manifest by digest, or a tag. Its blobs go when the registry collects its garbage. */
  deleteManifest(repository: string, reference: string, signal?: AbortSignal): Promise<void>;
  hasBlob(repository: string, digest: string, signal?: AbortSignal): Promise<boolean>;
  /** Whoever reads must not trust a byte before the end: what does not hold is thrown there. */
  getBlob(
    repository: string,
    blob: { readonly digest: string; readonly size: number },
    signal?: AbortSignal,
  ): AsyncGenerator<Uint8Array, void, undefined>;
  putBlob(repository: string, blob: BlobSource, options?: UploadOptions): Promise<UploadOutcome>;
  deleteBlob(repository: string, digest: string, signal?: AbortSignal): Promise<void>;
  /** In the registry's order. */
  listTags(repository: string, signal?: AbortSignal): AsyncGenerator<string, void, undefined>;
  /** What refers to a manifest as its subject: signatures, analyses, stored artifacts. */
  listReferrers(
    repository: string,
    digest: string,
    options?: { readonly artifactType?: string; readonly signal?: AbortSignal },
  ): AsyncGenerator<Descriptor, void, undefined>;
  close(): Promise<void>;
}

/** The tag of a manifest's referrers where the registry keeps none itself (distribution-spec 1.1, "Referrers Tag Schema"). */
export const referrersTag = (digest: string): string => digest.replace(":", "-");

/**
 * Opens a registry. Nothing is sent before the first call.
 *
 * @example
 * ```ts
 * const { registry, repository, tag = "latest" } = parseReference("registry.example.com/team/web:1");
 * const client = openRegistry({ registry, credentials: dockerCredentials() });
 * const manifest = await client.getManifest(repository, tag);
 * ```
 */
export function openRegistry(options: ConnectionOptions): RegistryClient {
  const connection = openConnection(options);
  const { registry } = connection;
  const reading = (repository: string) => ({ repository, scopes: [scopeOf(repository, "pull")] });
  const deleting = (repository: string) => ({ repository, scopes: [scopeOf(repository, "delete", "pull", "push")] });
  const writing = (repository: string) => ({ repository, scopes: [scopeOf(repository, "pull", "push")] });

  /** The digest that an answer states, held against the one that was asked for. */
  const statedDigest = (place: string, reference: string, answer: RegistryAnswer): string | undefined => {
    const stated = answer.headers["docker-content-digest"];
    if (stated === undefined) return undefined;
    if (!isDigest(stated) || (isDigest(reference) && stated !== reference))
      throw registryLies(`${place}: the registry says that it is ${quoted(stated)}`);
    return stated;
  };

  const getManifest: RegistryClient["getManifest"] = async (repository, reference, signal) => {
    const place = `${registry}/${repository}${isDigest(reference) ? "@" : ":"}${reference}`;
    const { answer, bytes } = await fetchWhole(connection, {
      ...reading(repository),
      method: "GET",
      to: `${repository}/manifests/${reference}`,
      headers: { accept: manifestMediaTypes.join(", ") },
      expect: [200],
      signal,
    });
    const digest = digestOf(bytes);
    const stated = isDigest(reference) ? reference : statedDigest(place, reference, answer);
    if (stated !== undefined && stated !== digest)
      throw registryLies(`${place}: is said to be ${stated}, but is ${digest}`);
    const mediaType = (answer.headers["content-type"] ?? "").split(";")[0]?.trim() ?? "";
    return { mediaType, digest, bytes };
  };

  const fallbackReferrers = async (
    repository: string,
    digest: string,
    signal?: AbortSignal,
  ): Promise<readonly Descriptor[]> => {
    let document: ImageDocument;
    try {
      document = await getManifest(repository, referrersTag(digest), signal);
    } catch (error) {
      if (isNotInRegistry(error)) return [];
      throw error;
    }
    const index = parseManifest(document);
    if (index.kind !== "index") throw registryLies(`${registry}/${repository}:${referrersTag(digest)}: is no index`);
    return index.manifests;
  };

  const send = async (call: RegistryCall): Promise<RegistryAnswer> => {
    const answer = await connection.call(call);
    dropBody(answer);
    return answer;
  };

  const putManifest: RegistryClient["putManifest"] = async (repository, reference, manifest, signal) => {
    const { mediaType, bytes, digest } = manifest;
    const answer = await send({
      ...writing(repository),
      method: "PUT",
      to: `${repository}/manifests/${reference}`,
      headers: { "content-type": mediaType },
      body: bytes,
      expect: [201],
      signal,
    });
    const stored = answer.headers["docker-content-digest"];
    if (stored !== undefined && stored !== digest)
      throw registryLies(`${registry}/${repository}: stored ${digest} as ${quoted(stored)}`);
    const parsed = parseManifest(manifest);
    if (parsed.subject === undefined || answer.headers["oci-subject"] !== undefined) return;
    const artifactType = parsed.artifactType ?? (parsed.kind === "image" ? parsed.config.mediaType : undefined);
    const entry = { ...descriptorOf(manifest), ...(artifactType && { artifactType }), annotations: parsed.annotations };
    await changeReferrers(repository, parsed.subject.digest, signal, (before) =>
      before.some((known) => known.digest === digest) ? before : [...before, entry],
    );
  };

  /** For a registry without the referrers API: the list is its clients' to keep. Two writers at once may lose an entry; the specification has nothing against that. */
  const changeReferrers = async (
    repository: string,
    subject: string,
    signal: AbortSignal | undefined,
    change: (before: readonly Descriptor[]) => readonly Descriptor[],
  ): Promise<void> => {
    const before = await fallbackReferrers(repository, subject, signal);
    const manifests = change(before);
    if (manifests.length === before.length) return;
    const index = jsonDocument(indexMediaType, { schemaVersion: 2, mediaType: indexMediaType, manifests });
    await putManifest(repository, referrersTag(subject), index, signal);
  };

  /** What a manifest refers to. A tag is not asked for: its manifest stays. What cannot be read refers to nothing, and can be deleted all the same. */
  const subjectOf = async (
    repository: string,
    reference: string,
    signal?: AbortSignal,
  ): Promise<string | undefined> => {
    if (!isDigest(reference)) return undefined;
    try {
      return parseManifest(await getManifest(repository, reference, signal)).subject?.digest;
    } catch (error) {
      if (error instanceof RegistryError && error.status === undefined && error.code !== "FW_CHECKPOINT_REGISTRY")
        return undefined;
      throw error;
    }
  };

  return {
    registry,
    getManifest,
    putManifest,
    async findManifest(repository, reference, signal) {
      const answer = await send({
        ...reading(repository),
        method: "HEAD",
        to: `${repository}/manifests/${reference}`,
        headers: { accept: manifestMediaTypes.join(", ") },
        expect: [200, 404],
        signal,
      });
      if (answer.status === 404) return undefined;
      const place = `${registry}/${repository}/${reference}`;
      return statedDigest(place, reference, answer) ?? (await getManifest(repository, reference, signal)).digest;
    },
    async deleteManifest(repository, reference, signal) {
      const subject = await subjectOf(repository, reference, signal);
      const to = `${repository}/manifests/${reference}`;
      await send({ ...deleting(repository), method: "DELETE", to, expect: [202], signal });
      if (subject !== undefined)
        await changeReferrers(repository, subject, signal, (all) => all.filter(({ digest }) => digest !== reference));
    },
    async hasBlob(repository, digest, signal) {
      const to = `${repository}/blobs/${digest}`;
      return (await send({ ...reading(repository), method: "HEAD", to, expect: [200, 404], signal })).status === 200;
    },
    getBlob: (repository, blob, signal) => downloadBlob(connection, repository, blob, signal),
    putBlob: (repository, blob, uploadOptions) => uploadBlob(connection, repository, blob, uploadOptions),
    async deleteBlob(repository, digest, signal) {
      await send({
        ...deleting(repository),
        method: "DELETE",
        to: `${repository}/blobs/${digest}`,
        expect: [202],
        signal,
      });
    },
    async *listTags(repository, signal) {
      const call = {
        ...reading(repository),
        method: "GET",
        to: `${repository}/tags/list?n=1000`,
        expect: [200],
        signal,
      } as const;
      for await (const { bytes } of fetchPages(connection, call)) {
        const { tags } = jsonObject(bytes, `${registry}/${repository}: its list of tags`);
        // A repository without tags has `null` there.
        if (Array.isArray(tags)) for (const tag of tags) if (typeof tag === "string") yield tag;
      }
    },
    async *listReferrers(repository, digest, { artifactType, signal } = {}) {
      const wanted = (entry: Descriptor): boolean => artifactType === undefined || entry.artifactType === artifactType;
      const filter = artifactType === undefined ? "" : `?artifactType=${encodeURIComponent(artifactType)}`;
      const to = `${repository}/referrers/${digest}${filter}`;
      const call = { ...reading(repository), method: "GET", to, expect: [200, 404], signal } as const;
      for await (const { answer, bytes } of fetchPages(connection, call)) {
        if (answer.status === 404) {
          yield* (await fallbackReferrers(repository, digest, signal)).filter(wanted);
          return;
        }
        const index = parseManifest({ mediaType: indexMediaType, digest: `referrers of ${digest}`, bytes });
        if (index.kind === "index") yield* index.manifests.filter(wanted);
      }
    },
    close: () => connection.close(),
  };
}
