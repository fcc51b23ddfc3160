import { quotaTree, type GroupNode, type KeyUse } from "@fleetwright/quota";
import { clusterOptions, defineCommand, outputOption } from "../command.ts";
import { withCluster } from "../connection.ts";
import { formatOutput } from "../output.ts";
import { readGroups } from "../quota-snapshot.ts";
import { formatTable } from "../table.ts";

interface Row {
  readonly group: string;
  readonly use: KeyUse | undefined;
}

/** A line per group and key; the group's name stands at its first. */
function rowsOf(nodes: readonly GroupNode[], indent = ""): readonly Row[] {
  return nodes.flatMap((node) => {
    const [first, ...others] = node.keys;
    return [
      { group: `${indent}${node.name}`, use: first },
      ...others.map((use) => ({ group: "", use })),
      ...rowsOf(node.children, `${indent}  `),
    ];
  });
}

/** `fleetwright quota tree` */
export const quotaTreeCommand = defineCommand({
  name: "quota tree",
  summary: "Show all groups as a tree: what each may use, uses itself, has granted and has left",
  options: { ...clusterOptions, output: outputOption },
  async run(context, options) {
    const nodes = await withCluster(context, options, async (client) =>
      quotaTree(await readGroups(client, context.signal)),
    );
    const table = (): string =>
      nodes.length === 0
        ? "no groups\n"
        : formatTable(
            [
              { heading: "group", value: ({ group }) => group },
              { heading: "resource", value: ({ use }) => use?.key ?? "" },
              { heading: "hard", value: ({ use }) => use?.hard ?? "" },
              { heading: "self", value: ({ use }) => use?.selfUsed ?? "" },
              { heading: "granted", value: ({ use }) => use?.granted ?? "" },
              { heading: "left", value: ({ use }) => use?.left ?? "" },
            ],
            rowsOf(nodes),
          );
    context.stdout(formatOutput(options.output, nodes, table));
  },
});
