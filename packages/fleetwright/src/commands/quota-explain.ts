import { FleetwrightError } from "@fleetwright/kube";
import { explainGroup, type GroupExplanation, type Holder } from "@fleetwright/quota";
import { clusterOptions, defineCommand, outputOption } from "../command.ts";
import { withCluster } from "../connection.ts";
import { formatOutput } from "../output.ts";
import { readQuotaSnapshot } from "../quota-snapshot.ts";
import { formatTable } from "../table.ts";

/** `namespace/name (deployments.apps)`, or the name of a child group. */
export function holderText({ kind, namespace, name }: Holder): string {
  return namespace === "" ? `${name} (group)` : `${namespace}/${name} (${kind})`;
}

function tableOf(explanation: GroupExplanation): string {
  const { levels, holders, conditions } = explanation;
  const path = levels.map(({ name }) => name).join(" > ");
  const uses = formatTable(
    [
      { heading: "level", value: ({ level }) => level },
      { heading: "resource", value: ({ use }) => use.key },
      { heading: "hard", value: ({ use }) => use.hard },
      { heading: "self", value: ({ use }) => use.selfUsed },
      { heading: "granted", value: ({ use }) => use.granted },
      { heading: "left", value: ({ use }) => use.left },
    ],
    levels.flatMap(({ name, keys }) => keys.map((use, index) => ({ level: index === 0 ? name : "", use }))),
  );
  const held =
    holders.length === 0
      ? "nobody holds any of it\n"
      : formatTable(
          [
            { heading: "held by", value: ({ holder }) => holder },
            { heading: "resource", value: ({ key }) => key },
            { heading: "amount", value: ({ amount }) => amount },
          ],
          holders.flatMap((holder) =>
            Object.entries(holder.charge).map(([key, amount], index) => ({
              holder: index === 0 ? holderText(holder) : "",
              key,
              amount,
            })),
          ),
        );
  const told = conditions
    .filter(({ type, status }) => (type === "OverUse" ? status === "True" : status !== "True"))
    .map(({ type, message }) => `${type}: ${message}\n`);
  return [`${path}\n\n`, uses, "\n", held, ...(told.length > 0 ? ["\n", ...told] : [])].join("");
}

/** `fleetwright quota explain GROUP` */
export const quotaExplainCommand = defineCommand({
  name: "quota explain",
  summary: "Show one group: each level above it, and who holds its room",
  arguments: [{ name: "<group>", description: "name of the group" }],
  options: { ...clusterOptions, output: outputOption },
  async run(context, options, [group = ""]) {
    const snapshot = await withCluster(context, options, (client) => readQuotaSnapshot(client, context.signal));
    const explanation = explainGroup(group, snapshot.groups, snapshot.workloads, snapshot.defaults);
    if (!explanation) {
      throw new FleetwrightError(
        "FW_GROUP_UNKNOWN",
        `there is no bizrq "${group}"; "fleetwright quota tree" lists them`,
      );
    }
    context.stdout(formatOutput(options.output, explanation, () => tableOf(explanation)));
  },
});
