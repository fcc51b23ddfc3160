import { FleetwrightError } from "@fleetwright/kube";
import { builtInKinds, fits, type FitVerdict, type Workload } from "@fleetwright/quota";
import { clusterOptions, defineCommand, outputOption, text } from "../command.ts";
import { withCluster } from "../connection.ts";
import { readManifest, type ManifestObject } from "../manifest.ts";
import { formatOutput } from "../output.ts";
import { readQuotaSnapshot } from "../quota-snapshot.ts";
import { holderText } from "./quota-explain.ts";

interface Answer {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly verdict: FitVerdict;
}

function workloadOf({ object }: ManifestObject): Workload | undefined {
  const [group = "", version] = object.apiVersion.includes("/")
    ? object.apiVersion.split("/")
    : ["", object.apiVersion];
  const kind = builtInKinds.find(
    ({ resource }) => resource.kind === object.kind && resource.group === group && resource.version === version,
  );
  if (!kind) return undefined;
  const { namespace = "default" } = object.metadata;
  return { kind, object: { ...object, metadata: { ...object.metadata, namespace } } };
}

function sentence(verdict: FitVerdict): readonly string[] {
  switch (verdict.kind) {
    case "no-label":
      return ['names no group (label "biz.group.resource.quota"): nothing is charged'];
    case "unknown-group":
      return [`no: there is no bizrq "${verdict.group}"`];
    case "unspecified":
      return [
        `no: quota "${verdict.group}" limits what it leaves out:`,
        ...verdict.missing.map(({ key, containers }) => `  must specify ${key} for: ${containers.join(", ")}`),
      ];
    case "fits":
      return [
        `yes: fits into "${verdict.group}"`,
        ...Object.entries(verdict.needs).map(([key, amount]) => `  takes ${amount} ${key}`),
      ];
    case "lacks":
      return [
        `no: does not fit into "${verdict.group}"`,
        ...verdict.missing.flatMap(({ key, needs, left, hard, holders, above }) => [
          `  ${key}: needs ${needs}, ${left} left of ${hard}`,
          ...holders.map((holder) => `    ${holder.charge[key] ?? ""} held by ${holderText(holder)}`),
          ...above.map((level) => `    ${level.left} left in "${level.group}" above it`),
        ]),
      ];
  }
}

/** `fleetwright quota can-i -f FILE` */
export const quotaCanICommand = defineCommand({
  name: "quota can-i",
  summary: "Say whether workloads would fit: at which level and model not, and who holds the room",
  details:
    'Exit code 1 when one does not fit. Each is judged by itself. The API server\'s own word is "kubectl apply --dry-run=server".',
  options: {
    ...clusterOptions,
    output: outputOption,
    file: text("-f, --filename <file>", 'manifest, YAML or JSON; "-" is standard input'),
  },
  async run(context, options) {
    if (options.file === "")
      throw new FleetwrightError("FW_FLAG", "-f is missing: name a manifest, or - for standard input");
    const manifest = await readManifest(options.file, context.stdin);
    const workloads = manifest.flatMap((each) => workloadOf(each) ?? []);
    if (workloads.length === 0) {
      const kinds = builtInKinds.map(({ resource }) => resource.kind).join(", ");
      throw new FleetwrightError("FW_MANIFEST", `${options.file}: holds no workload; quotas charge ${kinds}`);
    }
    const snapshot = await withCluster(context, options, (client) => readQuotaSnapshot(client, context.signal));
    const answers = workloads.map((workload): Answer => {
      const { namespace = "", name = "" } = workload.object.metadata;
      const verdict = fits(workload, snapshot.groups, snapshot.workloads, snapshot.defaults);
      return { kind: workload.kind.resource.kind, namespace, name, verdict };
    });
    const table = (): string =>
      answers
        .map(({ kind, namespace, name, verdict }) => `${kind} ${namespace}/${name}: ${sentence(verdict).join("\n")}\n`)
        .join("");
    context.stdout(formatOutput(options.output, answers, table));
    return answers.some(({ verdict }) => verdict.kind !== "fits" && verdict.kind !== "no-label") ? 1 : 0;
  },
});
