import type { CheckpointMetadata } from "../archive/metadata.ts";
import { checkpointAnnotations, enginesOf } from "../image/annotations.ts";
import type { RuntimeSpec } from "../inspect/runtime-spec.ts";
import { findingOf, quoted, some } from "./lint-codes.ts";
import type { LintFinding } from "./lint-codes.ts";

/** Where a checkpoint is to be restored; what is absent is not held against it. */
export interface LintExpectations {
  readonly namespace?: string;
  readonly pod?: string;
  readonly container?: string;
  /** The image of the new pod's container. */
  readonly image?: string;
  /** Destinations of the new pod's mounts in that container. */
  readonly mounts?: readonly string[];
  readonly engine?: "containerd" | "cri-o" | "podman";
}

/** The image that an archive came in. */
export interface LintedImage {
  /** Of the manifest. */
  readonly annotations: Readonly<Record<string, string>>;
  /** Of the configuration: `config.Labels`. */
  readonly labels?: Readonly<Record<string, string>>;
  readonly layers: number;
  /** `Artifact`: what no engine reads, so that it has no marker. @default EngineImage */
  readonly form?: "EngineImage" | "Artifact";
}

/** A repository's name as engines complete it, without tag and digest. */
function repositoryOf(reference: string): string {
  const name = reference.replace(/@.*$/, "").replace(/:[^/:]*$/, "");
  const [first = "", ...rest] = name.split("/");
  if (rest.length === 0) return `docker.io/library/${name}`;
  if (!/[.:]|^localhost$/.test(first)) return `docker.io/${name}`;
  return first === "docker.io" && rest.length === 1 ? `docker.io/library/${rest[0]}` : name;
}

const isLocal = (reference: string): boolean =>
  /^(localhost|127\.\d+\.\d+\.\d+|\[::1\]|0\.0\.0\.0)(:\d+)?\//.test(reference);

/** An image's id, which pulls nothing. */
const isImageId = (reference: string): boolean => /^(sha256:)?[0-9a-f]{64}$/.test(reference);

export function lintBaseImage({ image, imageRef }: CheckpointMetadata, expected?: string): readonly LintFinding[] {
  const findings: LintFinding[] = [];
  const place = "config.dump: rootfsImageRef";
  if (imageRef !== undefined && !isImageId(imageRef)) {
    if (!/@sha256:[0-9a-f]{64}$/.test(imageRef)) findings.push(findingOf("BaseImageUnpinned", place, quoted(imageRef)));
    if (image !== undefined && !isImageId(image) && repositoryOf(image) !== repositoryOf(imageRef))
      findings.push(findingOf("BaseImageForeign", place, `${quoted(image)} is pulled as ${quoted(imageRef)}`));
  }
  if (imageRef === undefined && image !== undefined)
    findings.push(findingOf("BaseImageUnpinned", "config.dump: rootfsImageName", quoted(image)));
  if (image !== undefined && isLocal(image))
    findings.push(findingOf("BaseImageLocal", "config.dump: rootfsImageName", quoted(image)));
  if (
    expected !== undefined &&
    image !== undefined &&
    !isImageId(image) &&
    repositoryOf(image) !== repositoryOf(expected)
  )
    findings.push(
      findingOf("BaseImageUnexpected", "config.dump: rootfsImageName", `is ${quoted(image)}, not ${quoted(expected)}`),
    );
  return findings;
}

/** Annotations within annotations: CRI-O keeps the pod's as JSON. */
const nested = ["io.kubernetes.cri-o.Annotations", "io.kubernetes.cri-o.Labels"];

const cdiKeys = (keys: Iterable<string>): readonly string[] =>
  [...keys].filter((key) => /^cdi\.k8s\.io/i.test(key.trim()));

/** Annotations by which an engine hands devices of the host to the container. */
export function lintAnnotations(
  spec: RuntimeSpec,
  status: string | undefined,
  image: LintedImage | undefined,
): readonly LintFinding[] {
  const findings: LintFinding[] = [];
  const look = (place: string, keys: Iterable<string>): void => {
    const found = cdiKeys(keys);
    if (found.length > 0) findings.push(findingOf("CdiAnnotation", place, some(found)));
  };
  const lookIn = (place: string, json: string | undefined, pick: (value: Record<string, unknown>) => unknown): void => {
    try {
      const value: unknown = pick(JSON.parse(json ?? "{}") as Record<string, unknown>);
      if (typeof value === "object" && value !== null) look(place, Object.keys(value));
    } catch {
      // What is no JSON gives no engine an annotation; that it is broken is said where it is read.
    }
  };
  look("spec.dump: annotations", spec.annotations.keys());
  for (const key of nested) lookIn(`spec.dump: annotations["${key}"]`, spec.annotations.get(key), (value) => value);
  lookIn("status.dump: annotations", status, (value) => value["annotations"]);
  look("image: annotations", Object.keys(image?.annotations ?? {}));
  return findings;
}

/** Whether the checkpoint is what was asked for. */
export function lintIdentity(
  metadata: CheckpointMetadata,
  spec: RuntimeSpec,
  expected: LintExpectations,
): readonly LintFinding[] {
  const findings: LintFinding[] = [];
  const place = "spec.dump: annotations";
  const { namespace, pod, container } = metadata;
  if (expected.namespace !== undefined && expected.namespace !== namespace)
    findings.push(
      findingOf("NamespaceMismatch", place, `is of ${quoted(namespace ?? "")}, not ${quoted(expected.namespace)}`),
    );
  for (const [what, is, should] of [
    ["pod", pod, expected.pod],
    ["container", container, expected.container],
  ] as const)
    if (should !== undefined && should !== is)
      findings.push(findingOf("IdentityMismatch", place, `is ${what} ${quoted(is ?? "")}, not ${quoted(should)}`));
  const manager = spec.annotations.get("io.container.manager");
  const isKnown =
    manager === "libpod" ||
    manager === "cri-o" ||
    (manager === undefined && spec.annotations.has("io.kubernetes.cri.container-name"));
  if (!isKnown)
    findings.push(
      findingOf(
        "UnknownEngine",
        place,
        `io.container.manager is ${manager === undefined ? "missing" : quoted(manager)}`,
      ),
    );
  return findings;
}

/**
 * The image around an archive: its markers, and whether they say what the archive says.
 *
 * @param metadata of the archive; none: it could not be found in the image
 */
export function lintImage(
  image: LintedImage,
  metadata: CheckpointMetadata | undefined,
  engine: LintExpectations["engine"],
): readonly LintFinding[] {
  const findings: LintFinding[] = [];
  const isRestored = image.form !== "Artifact";
  if (isRestored && image.layers !== 1)
    findings.push(findingOf("ImageShape", "image: layers", `${image.layers} layers`));
  const labels = Object.keys(image.labels ?? {}).filter((key) => key.startsWith("containerd.io/"));
  if (labels.length > 0) findings.push(findingOf("ImageLabel", "image: config.Labels", some(labels)));
  const engines = enginesOf(image.annotations);
  if (isRestored && (engines.length === 0 || (engine !== undefined && !engines.includes(engine))))
    findings.push(
      findingOf(
        "NoMarker",
        "image: annotations",
        `has the markers of ${engines.join(", ") || "no engine"}${engine === undefined ? "" : `, not of ${engine}`}`,
      ),
    );
  // Facts of the host are not in the archive: only what it says itself can be held against it.
  const own = metadata ? checkpointAnnotations(metadata, { architecture: "" }) : {};
  for (const [key, value] of Object.entries(own)) {
    const stated = image.annotations[key];
    if (stated !== undefined && stated !== value && !key.startsWith("fleetwright.dev/"))
      findings.push(
        findingOf(
          "AnnotationsDisagree",
          `image: annotations["${key}"]`,
          `${quoted(stated)}, the archive: ${quoted(value)}`,
        ),
      );
  }
  return findings;
}
