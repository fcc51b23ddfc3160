import { checkpointError } from "../errors.ts";

/** Where an image is: `registry/repository:tag@digest`. With both, the digest says which one it is and the tag is only a name. */
export interface ImageReference {
  /** `host` or `host:port`. */
  readonly registry: string;
  readonly repository: string;
  readonly tag?: string;
  /** `sha256:…` */
  readonly digest?: string;
}

// The grammar of distribution/reference, reference.go and OCI distribution-spec 1.1, "Pulling manifests".
const host = /^(?:localhost|[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?|\[[0-9a-fA-F:]+\])(?::\d{1,5})?$/;
const repository = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;
const tagName = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/;
const sha256 = /^sha256:[0-9a-f]{64}$/;

/** Whether a text is a digest that we can compute: `sha256:…`. */
export const isDigest = (text: unknown): boolean => typeof text === "string" && sha256.test(text);

/**
 * Reads a reference. The registry must be named: there is no default one.
 *
 * @throws FleetwrightError `FW_CHECKPOINT_REFERENCE`
 *
 * @example
 * ```ts
 * parseReference("registry.example.com:5000/team/web:1"); // { registry: "registry.example.com:5000", repository: "team/web", tag: "1" }
 * ```
 */
export function parseReference(text: string): ImageReference {
  const fail = (problem: string): Error =>
    checkpointError("FW_CHECKPOINT_REFERENCE", `${JSON.stringify(text.slice(0, 300))}: ${problem}`);
  const example = "write it as registry.example.com/team/web:1";
  const scheme = /^[a-z]+:\/\//.exec(text)?.[0];
  if (scheme !== undefined) throw fail(`an image's name has no ${scheme}; leave it out`);
  const [named = "", digest, ...more] = text.split("@");
  if (more.length > 0) throw fail("has more than one @");
  if (digest !== undefined && !isDigest(digest))
    throw fail(`${JSON.stringify(digest.slice(0, 100))} is not a digest that is supported: sha256: and 64 digits`);
  const slash = named.indexOf("/");
  const registry = named.slice(0, Math.max(0, slash));
  if (!(/[.:]/.test(registry) || registry === "localhost"))
    throw fail(`names no registry, and there is no default one; ${example}`);
  if (!host.test(registry) || Number(/:(\d+)$/.exec(registry)?.[1] ?? 1) > 65_535)
    throw fail(`${JSON.stringify(registry)} is not a host with an optional port; ${example}`);
  if (registry === "docker.io" || registry === "index.docker.io")
    throw fail("Docker Hub's registry is registry-1.docker.io, and its own images are in library/; name those");
  const path = named.slice(slash + 1);
  const colon = path.indexOf(":");
  const [name, tag] = colon < 0 ? [path] : [path.slice(0, colon), path.slice(colon + 1)];
  if (!repository.test(name) || registry.length + 1 + name.length > 255)
    throw fail(
      `${JSON.stringify(name)} is not a repository: small letters and digits, parted by / . _ or -, at most 255 with the registry; ${example}`,
    );
  if (tag !== undefined && !tagName.test(tag))
    throw fail(`${JSON.stringify(tag)} is not a tag: at most 128 letters, digits, _ . and -`);
  return {
    registry,
    repository: name,
    ...(tag === undefined ? {} : { tag }),
    ...(digest === undefined ? {} : { digest }),
  };
}

/** A reference as text; `parseReference` reads the same from it. */
export const formatReference = ({ registry, repository: name, tag, digest }: ImageReference): string =>
  `${registry}/${name}${tag === undefined ? "" : `:${tag}`}${digest === undefined ? "" : `@${digest}`}`;
