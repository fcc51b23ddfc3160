import { pipeline } from "node:stream/promises";
import { AgentRefusal } from "./agent-service.ts";
import type { AgentRoute } from "./agent-service.ts";
import type { EvidenceFile } from "./evidence-file.ts";

/**
 * `GET /v1/evidence`: the node's chain of evidence as its file has it, a record a line, and a last line with its head. What comes is what `fleetwright checkpoint verify --evidence-key` takes.
 *
 * @param evidence none: the agent was given no key
 */
export function evidenceRoutes(evidence: EvidenceFile | undefined): readonly AgentRoute[] {
  return [
    {
      method: "GET",
      path: /^\/v1\/evidence$/,
      right: "manage",
      async handle({ response }) {
        if (!evidence)
          throw new AgentRefusal(404, "NoEvidence", "this node keeps no evidence; start its agent with --evidence-key");
        const { records, head } = await evidence.read();
        response.setHeader("content-type", "application/jsonl");
        await pipeline(async function* () {
          yield* records;
          yield Buffer.from(`${JSON.stringify(head)}\n`);
        }, response);
        return undefined;
      },
    },
  ];
}
