import type { CheckpointArchive } from "../archive/checkpoint-archive.ts";
import { readRuntimeSpec } from "../inspect/runtime-spec.ts";
import type { RuntimeSpec } from "../inspect/runtime-spec.ts";
import { lintDeletedFiles, lintLayers, lintMembers, readDocument } from "./lint-archive.ts";
import { findingOf, quoted } from "./lint-codes.ts";
import type { LintFinding } from "./lint-codes.ts";
import { lintAnnotations, lintBaseImage, lintIdentity, lintImage } from "./lint-identity.ts";
import type { LintedImage, LintExpectations } from "./lint-identity.ts";
import { lintSpec } from "./lint-spec.ts";

export interface LintOptions {
  /** Where it is to be restored. */
  readonly expected?: LintExpectations;
  /** The image that it came in. */
  readonly image?: LintedImage;
}

/** CRI-O makes what `bind.mounts` names: it must be what the container had mounted, and from there. */
async function lintBinds(archive: CheckpointArchive, spec: RuntimeSpec): Promise<readonly LintFinding[]> {
  const place = "bind.mounts";
  let binds: unknown;
  try {
    const text = await readDocument(archive, place);
    if (text === undefined) return [];
    binds = JSON.parse(text);
    if (!Array.isArray(binds)) throw new Error("is no list");
  } catch (error) {
    return [findingOf("BrokenBinds", place, (error as Error).message)];
  }
  const sources = new Map(spec.mounts.map(({ destination, source }) => [destination, source]));
  return (binds as readonly unknown[]).flatMap((bind, index) => {
    const { source, destination } = (typeof bind === "object" && bind !== null ? bind : {}) as Record<string, unknown>;
    const where = `${place}: [${index}]`;
    if (typeof source !== "string" || typeof destination !== "string")
      return [findingOf("BrokenBinds", where, "has no source or no destination")];
    const known = sources.get(destination);
    if (known === source) return [];
    const found = known === undefined ? "which is not mounted" : `where ${quoted(known)} was mounted`;
    return [findingOf("UndeclaredBind", where, `${quoted(source)} at ${quoted(destination)}, ${found}`)];
  });
}

const weight = { error: 0, warning: 1, info: 2 } as const;

const inOrder = (findings: readonly LintFinding[]): readonly LintFinding[] =>
  findings.toSorted((a, b) => weight[a.severity] - weight[b.severity]);

/**
 * Looks at a checkpoint that somebody else made, before it is restored: known ways to attack an engine by one, rights on the host that the container had, and
 * whether it is what it says. Reads headers, documents and the changed files; not memory. Errors come first.
 *
 * That nothing is found does not make it safe: its processes go on with whatever is in their memory. Restore only what is signed by somebody you trust.
 *
 * @example
 * ```ts
 * const findings = await lintCheckpoint(archive, { expected: { namespace: "shop", mounts: ["/data"] } });
 * if (findings.some(({ severity }) => severity === "error")) refuse(findings);
 * ```
 */
export async function lintCheckpoint(
  archive: CheckpointArchive,
  { expected = {}, image }: LintOptions = {},
): Promise<readonly LintFinding[]> {
  const { metadata } = archive;
  const spec = await readRuntimeSpec(archive);
  const findings = [
    ...lintMembers(archive),
    ...(await lintLayers(archive)),
    ...(await lintDeletedFiles(archive)),
    ...lintAnnotations(spec, await readDocument(archive, "status.dump"), image),
    ...lintBaseImage(metadata, expected.image),
    ...lintSpec(spec, expected.mounts),
    ...(await lintBinds(archive, spec)),
    ...lintIdentity(metadata, spec, expected),
    ...(image ? lintImage(image, metadata, expected.engine) : []),
  ];
  return inOrder(findings);
}

/** What can be said of an image in which there is no archive to be found. */
export const lintImageAlone = (image: LintedImage, { engine }: LintExpectations = {}): readonly LintFinding[] =>
  inOrder(lintImage(image, undefined, engine));

/** What an archive that could not be opened is to lint; rethrows what is no fault of the archive. */
export function lintUnreadable(error: unknown): readonly LintFinding[] {
  const { code } = error as { readonly code?: unknown };
  if (code !== "FW_CHECKPOINT_ARCHIVE" && code !== "FW_CHECKPOINT_LIMIT") throw error;
  return [findingOf("ArchiveUnreadable", "archive", (error as Error).message)];
}
