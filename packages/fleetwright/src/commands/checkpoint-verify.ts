import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { dirname, join } from "node:path";
import {
  evidenceLines,
  parseHead,
  parseReference,
  readPublicKey,
  resolveImage,
  verifyEvidence,
  verifyImage,
  type EvidenceHead,
} from "@fleetwright/checkpoint";
import { FleetwrightError } from "@fleetwright/kube";
import { checkpointOptions, findCheckpoint } from "../checkpoint-objects.ts";
import { defineCommand, text, type CommandContext } from "../command.ts";
import { withCluster } from "../connection.ts";
import { formatOutput } from "../output.ts";
import { registryOptions } from "../registry-options.ts";
import { exists, readText, withFile } from "./checkpoint-file.ts";
import { withRegistry } from "./checkpoint-remote.ts";

/** What was held against something, and how it came out. */
interface Verified {
  readonly what: string;
  readonly verified: boolean;
  /** What it is, or why it is not. */
  readonly found: readonly string[];
}

async function digestOf(path: string): Promise<string> {
  const hash = createHash("sha256");
  const bytes = createReadStream(path, { highWaterMark: 256 * 1024 }) as AsyncIterable<Buffer>;
  for await (const chunk of bytes) hash.update(chunk);
  return `sha256:${hash.digest("hex")}`;
}

/** @param expected the digests that are right, and what each is of */
async function verifyArchive(what: string, expected: ReadonlyMap<string, string>): Promise<Verified> {
  const digest = await withFile(what, () => digestOf(what));
  const of = expected.get(digest);
  const found = of === undefined ? `is ${digest}, not ${[...expected.keys()].join(" or ")}` : `is ${digest}${of}`;
  return { what, verified: of !== undefined, found: [found] };
}

const isHead = (line: string): boolean => line.startsWith('{"count":');

/** A chain as its file has it, or as an agent answers: then its last line is the head. */
async function verifyChain(what: string, headFile: string, keyFile: string): Promise<Verified> {
  const publicKey = readPublicKey(await readText(keyFile), keyFile, "evidence");
  const beside = join(dirname(what), "evidence-head.json");
  return withFile(what, async () => {
    let [count, last] = [0, ""];
    for await (const line of evidenceLines(what)) [count, last] = [count + 1, line];
    const records = isHead(last) ? count - 1 : count;
    const headAt = async (): Promise<EvidenceHead | undefined> => {
      if (headFile !== "") return parseHead(await readText(headFile), headFile);
      if (isHead(last)) return parseHead(last, `${what}: line ${count}`);
      return (await exists(beside)) ? parseHead(await readText(beside), beside) : undefined;
    };
    const lines = async function* () {
      let at = 0;
      for await (const line of evidenceLines(what)) if (at++ < records) yield line;
    };
    const { problems } = await verifyEvidence(lines(), await headAt(), publicKey);
    const found = problems.map(({ reason, message }) => `${reason}: ${message}`);
    return {
      what,
      verified: problems.length === 0,
      found: problems.length > 0 ? found : [`${records} records, whole`],
    };
  });
}

/** `fleetwright checkpoint verify WHAT…` */
export const checkpointVerifyCommand = defineCommand({
  name: "checkpoint verify",
  summary:
    "Hold archives against digests, checkpoints in a registry against a signature, or a node's chain of evidence against its key",
  details:
    "Exits with 1 when something does not hold. Without --checkpoint and --key it needs neither cluster nor registry.",
  arguments: [
    {
      name: "<what...>",
      description:
        "archives with --digest or --checkpoint, registry/repository@sha256:… with --key, or a node's evidence.jsonl with --evidence-key",
    },
  ],
  options: {
    ...checkpointOptions,
    ...registryOptions,
    digest: text("--digest <digest>", "sha256:… that the archives' bytes must have"),
    checkpoint: text(
      "--checkpoint <name>",
      "Checkpoint, or pod/NAME for a pod's newest, of which the archives must be",
    ),
    key: text("--key <file>", "public key, PEM, of whom the signature must be"),
    evidenceKey: text("--evidence-key <file>", "public key, PEM, of a node's chain of evidence"),
    head: text(
      "--head <file>",
      "head of that chain that was kept elsewhere (default: the chain's last line, or evidence-head.json beside it)",
    ),
  },
  async run(context, options, names) {
    const { digest, checkpoint, key, evidenceKey, head, output } = options;
    if ([digest, checkpoint, key, evidenceKey].filter((value) => value !== "").length !== 1)
      throw new FleetwrightError(
        "FW_CHECKPOINT_VERIFY",
        "say what to hold it against, and one thing only: --digest or --checkpoint for archives, --key for a checkpoint in a registry, --evidence-key for a chain of evidence",
      );
    const verify = async (): Promise<(name: string) => Promise<Verified>> => {
      if (evidenceKey !== "") return (name) => verifyChain(name, head, evidenceKey);
      if (key !== "") return signatureVerifier(context, options);
      const expected = digest === "" ? await digestsOf(context, options) : new Map([[digest, ""]]);
      return (name) => verifyArchive(name, expected);
    };
    const one = await verify();
    const results: Verified[] = [];
    for (const name of names) results.push(await one(name));
    const table = (): string =>
      results.flatMap(({ what, found }) => found.map((line) => `${what}: ${line}\n`)).join("");
    context.stdout(formatOutput(output, results, table));
    return results.every(({ verified }) => verified) ? 0 : 1;
  },
});

type Values = Parameters<typeof checkpointVerifyCommand.run>[1];

/** The digests of a Checkpoint's archives. */
const digestsOf = (context: CommandContext, options: Values): Promise<ReadonlyMap<string, string>> =>
  withCluster(context, options, async (client) => {
    const { metadata, status } = await findCheckpoint(client, options.namespace, options.checkpoint);
    const known = (status?.containers ?? []).flatMap(({ name, digest }) =>
      digest === undefined ? [] : [[digest, `, container ${name} of ${metadata.name}`] as const],
    );
    if (known.length === 0)
      throw new FleetwrightError(
        "FW_CHECKPOINT_VERIFY",
        `checkpoint/${metadata.name} is ${status?.phase ?? "Pending"} and has no archive; wait until it is Completed`,
      );
    return new Map(known);
  });

async function signatureVerifier(
  context: CommandContext,
  options: Values,
): Promise<(name: string) => Promise<Verified>> {
  const publicKey = readPublicKey(await readText(options.key), options.key);
  return async (what) => {
    const reference = parseReference(what);
    return withRegistry(context, reference, options, async (client) => {
      const { reference: resolved } = await resolveImage(client, reference, { signal: context.signal });
      try {
        const signatures = await verifyImage(client, resolved, publicKey);
        return { what, verified: true, found: signatures.map(({ signedName }) => `signed as ${signedName}`) };
      } catch (error) {
        if (!(error instanceof FleetwrightError) || error.code !== "FW_CHECKPOINT_SIGNATURE") throw error;
        return { what, verified: false, found: [error.message] };
      }
    });
  };
}
