import type { Informer, Node } from "@fleetwright/kube";
import { explainRefusal } from "../core/verdict/refusal.ts";
import { judgeRestore } from "../core/verdict/restore.ts";
import { judgeTaking, timeoutFor } from "../core/verdict/taking.ts";
import { engineId } from "./refused.ts";
import type { RestoreJudge } from "./restore-judge.ts";
import type { TakingJudge } from "./taking-judge.ts";

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
          const { residentBytes, processes, tcp } = await agent.container(id, signal);
          live.push({
            name,
            residentBytes,
            openKinds: [...new Set(processes.flatMap(({ openKinds }) => openKinds))],
            establishedTcp: tcp.filter(({ state }) => state === "established").length,
          });
        }
        const verdicts = judgeTaking({
          pod,
          nodeName,
          kubeletVersion: info?.kubeletVersion,
          engine: info?.containerRuntimeVersion,
          criuVersion: facts.criuVersion ?? null,
          nvidiaDriver: facts.nvidiaDriver,
          freeBytes: facts.freeBytes,
          totalBytes: facts.totalBytes,
          containers: live,
        });
        return { verdicts, timeoutSeconds: timeoutFor(Math.max(0, ...live.map(({ residentBytes }) => residentBytes))) };
      },
      explain: explainRefusal,
    },
    restore: {
      judge: ({ template, node, facts, source }) =>
        Promise.resolve(
          judgeRestore({
            nodeName: node.metadata.name ?? "",
            engine: node.status?.nodeInfo?.containerRuntimeVersion,
            restoreSwitch: facts.restoreSwitch,
            host: facts,
            freeBytes: facts.freeBytes,
            totalBytes: facts.totalBytes,
            ...(source && {
              source: {
                metadata: source.metadata,
                host: source.host,
                plugins: source.plugins,
                sizeBytes: source.layer.size,
              },
            }),
            spec: template,
          }),
        ),
    },
  };
}
