export * from "./errors.ts";
export * from "./core/archive/checkpoint-archive.ts";
export * from "./core/archive/metadata.ts";
export type { TarKind, TarMember } from "./core/archive/tar-header.ts";
export { defaultArchiveLimits, type ArchiveLimits, type RandomAccess } from "./core/archive/tar-reader.ts";
export * from "./core/criu/image.ts";
export { defaultImageLimits, type ImageLimits } from "./core/criu/extra.ts";
export { imageKinds, type ImageKind } from "./core/criu/kind-table.ts";
export * from "./core/criu/pagemap.ts";
export * from "./core/inspect/image-set.ts";
export * from "./core/inspect/memory.ts";
export * from "./core/inspect/memory-map.ts";
export * from "./core/inspect/memory-search.ts";
export type { Socket } from "./core/inspect/socket.ts";
export { readOpenFiles, type OpenFile } from "./core/inspect/open-files.ts";
export * from "./core/inspect/processes.ts";
export * from "./core/inspect/summary.ts";
export * from "./node/archive-file.ts";
export { enginesOf, type HostFacts } from "./core/image/annotations.ts";
export * from "./core/image/engine-image.ts";
export * from "./core/image/image-layout.ts";
export { hostFacts } from "./node/host-facts.ts";
export * from "./node/image-server.ts";
export * from "./node/store.ts";
export * from "./node/agent-service.ts";
export { engineSockets, openEngine } from "./node/engine.ts";
export { readHostFacts, readNodeFacts, type NodeFacts } from "./node/node-facts.ts";
export * from "./node/containers.ts";
export * from "./core/inspect/verify-restore.ts";
export * from "./cluster/agent-client.ts";
export * from "./registry/reference.ts";
export { isNotInRegistry, RegistryError } from "./registry/registry-error.ts";
export {
  anonymous,
  dockerCredentials,
  type DockerConfigOptions,
  type FindCredential,
  type RegistryCredential,
} from "./registry/docker-config.ts";
export type { ConnectionOptions } from "./registry/connection.ts";
export {
  bytesSource,
  fileSource,
  type BlobSource,
  type UploadOptions,
  type UploadOutcome,
} from "./registry/blob-upload.ts";
export * from "./registry/manifest.ts";
export * from "./registry/client.ts";
export * from "./registry/image-push.ts";
export * from "./registry/image-pull.ts";
export * from "./registry/signing-key.ts";
export * from "./registry/signature.ts";
export { artifactRoutes, type AgentArtifactsOptions } from "./node/agent-artifacts.ts";
export * from "./cluster/access-rules.ts";
export * from "./cluster/agents.ts";
export type { Artifacts } from "./cluster/artifacts.ts";
export * from "./cluster/create-checkpoints.ts";
export { directTaker, proxyTaker, KubeletRefusal, type Taker } from "./cluster/kubelet.ts";
export * from "./cluster/registry-artifacts.ts";
export { isDone } from "./cluster/checkpoint-state.ts";
export * from "./cluster/resources.ts";
export { checkpointMetrics } from "./cluster/checkpoint-metrics.ts";
export { defaultJudges } from "./cluster/judges.ts";
export {
  verdictCodes,
  type Verdict,
  type VerdictCodeName,
  type VerdictSeverity,
} from "./core/verdict/verdict-codes.ts";
export {
  evictionWebhookConfiguration,
  evictionWebhookConfigurationName,
  evictionWebhookPath,
} from "./cluster/eviction-webhook.ts";
export {
  decideRetention,
  type CompleteList,
  type KeptCheckpoint,
  type RetentionDecision,
  type RetentionPolicy,
} from "./core/keep/retention.ts";
export { keptCheckpoints, policyOf } from "./cluster/schedule-retention.ts";
export * from "./core/inspect/difference.ts";
export type { Change } from "./core/inspect/change.ts";
export { differMemory, type MemoryDifference, type MappingDifference } from "./core/inspect/memory-difference.ts";
export type { RootfsChange } from "./core/inspect/rootfs-difference.ts";
export type { ArchiveTable, ChunkEntry } from "./core/artifact/chunk-table.ts";
export type { CutOptions, StoredChunk } from "./core/artifact/cut-archive.ts";
export { joinArchive, type FetchChunk, type JoinOptions } from "./core/artifact/join-archive.ts";
export { newDataKey, type Sealer } from "./core/artifact/data-key.ts";
export * from "./core/artifact/stored-artifact.ts";
export * from "./core/lint/lint-checkpoint.ts";
export { lintCodes, type LintCodeName, type LintFinding, type LintSeverity } from "./core/lint/lint-codes.ts";
export type { LintedImage, LintExpectations } from "./core/lint/lint-identity.ts";
export { decodeAmdgpuImage, isAmdgpuMessage } from "./core/criu/amdgpu.ts";
export * from "./node/registry-transfer.ts";
export { parseHead, type EvidenceHead } from "./core/evidence/evidence-chain.ts";
export {
  evidenceReasons,
  verifyEvidence,
  type EvidenceProblem,
  type EvidenceReason,
  type EvidenceVerdict,
} from "./core/evidence/verify-evidence.ts";
export { evidenceLines, openEvidence, type EvidenceFile } from "./node/evidence-file.ts";
export { evidenceRoutes } from "./node/agent-evidence.ts";
