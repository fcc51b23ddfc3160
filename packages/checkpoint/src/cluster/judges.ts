import type { Informer, Node } from "@fleetwright/kube";
import { gpuUseOf } from "../core/verdict/gpu.ts";
import { explainRefusal } from "../core/verdict/refusal.ts";
import { judgeRestore } from "../core/verdict/restore.ts";
import { judgeTaking, timeoutFor } from "../core/verdict/taking.ts";
import type { CheckpointMetadata } from "../core/archive/metadata.ts";
import type { AgentClient } from "./agent-client.ts";
import { engineId } from "./refused.ts";
import type { RestoreJudge } from "./restore-judge.ts";
import type { TakingJudge } from "./taking-judge.ts";

/** Engines restore onto the image that the container had, and pull it where it is missing. */
async function baseImageProblem(
  { image, imageRef }: CheckpointMetadata,
  node: Node,
  agent: Pick<AgentClient, "findImage">,
  signal: AbortSignal,
): Promise<string | undefined> {
  const wanted = [imageRef, image].filter((name) => name !== undefined);
  if (wanted.length === 0) return undefined;
  const { onNode, problem } = await agent.findImage(wanted, signal);
  if (onNode !== undefined) return problem;
  // The kubelet tells of 50 images at most, and of changes after half a minute.
  const told = new Set((node.status?.images ?? []).flatMap(({ names }) => names ?? []));
  return wanted.some((name) => told.has(name)) ? undefined : problem;
}

/** Judges by what nodes' status and agents say. */
export function defaultJudges({ nodes }: { readonly nodes: Informer<Node> }): {
  readonly taking: TakingJudge;
  readonly restore: RestoreJudge;
} {
  return {
    taking: {
      async judge({ pod, nodeName, containers, containerIds, agent }, signal) {
        const facts = await agent.node(signal);
        const info = nodes.get({ name: nodeName })?.status?.nodeInfo;
        const live = [];
        for (const name of containers) {
          const id = engineId(containerIds.get(name));
          const { residentBytes, processes, tcp } = await agent.container(id, signal, { gpuMemory: true });
          live.push({
            name,
            residentBytes,
            openKinds: [...new Set(processes.flatMap(({ openKinds }) => openKinds))],
            gpu: gpuUseOf(processes),
            establishedTcp: tcp.filter(({ state }) => state === "established").length,
          });
        }
        const verdicts = judgeTaking({
          pod,
          nodeName,
          kubeletVersion: info?.kubeletVersion,
          engine: info?.containerRuntimeVersion,
          criuVersion: facts.criuVersion ?? null,
          nvidia: { driver: facts.nvidiaDriver, missing: facts.missingCudaTools },
          freeBytes: facts.freeBytes,
          totalBytes: facts.totalBytes,
          containers: live,
        });
        return { verdicts, timeoutSeconds: Math.max(0, ...live.map(timeoutFor)) };
      },
      explain: explainRefusal,
    },
    restore: {
      judge: async ({ restore, template, node, facts, source, agent }, signal) =>
        judgeRestore({
          nodeName: node.metadata.name ?? "",
          engine: node.status?.nodeInfo?.containerRuntimeVersion,
          restoreSwitch: facts.restoreSwitch,
          host: facts,
          inPlace: restore.spec.mode === "InPlace",
          freeBytes: facts.freeBytes,
          totalBytes: facts.totalBytes,
          ...(source && {
            // A container that runs there has it there.
            ...(restore.spec.mode !== "InPlace" && {
              baseImageProblem: await baseImageProblem(source.metadata, node, agent, signal),
            }),
            source: {
              metadata: source.metadata,
              host: source.host,
              plugins: source.plugins,
              security: source.security,
              sizeBytes: source.layer.size,
            },
          }),
          spec: template,
        }),
    },
  };
}
