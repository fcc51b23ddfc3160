import { verdictOf } from "./verdict-codes.ts";
import type { Verdict, VerdictCodeName } from "./verdict-codes.ts";

/** What the node tells of a dump that failed: CRIU's errors in the log that the answer names, and by their PIDs CUDA programs that it left locked. */
export interface FailedDump {
  readonly errors: readonly string[];
  readonly unlocked?: readonly number[];
  readonly stillLocked?: readonly number[];
}

/** What a kubelet or the API server's proxy answered to `POST /checkpoint/…`. */
export interface TakingRefusal {
  readonly status: number;
  readonly body: string;
  readonly through: "kubelet" | "api-server";
  readonly dump?: FailedDump;
}

/** The log that an engine names instead of a cause (runc: `criu failed: type DUMP errno 3 path= …/criu-dump.log`). */
export const dumpLogOf = (body: string): string | undefined =>
  /\/[^\s"':,]*\/(?:criu-dump|dump)\.log\b/.exec(body)?.[0];

/** Texts of kubelets and engines, in the order in which they are looked for: they have no codes (reference: KEP-2008, CRI-O, containerd). */
const texts: readonly (readonly [text: RegExp, code: VerdictCodeName])[] = [
  [/CheckpointContainer is only supported in the CRI v1 runtime API/i, "EngineTooOld"],
  [/pod level PID namespace requested .* does not have an infra container/i, "InfraContainerDropped"],
  [/checkpoint\/restore support not available|checkpoint.* support (is )?disabled/i, "EngineWithoutCheckpoint"],
  [/unknown (method|service)|Unimplemented|not implemented/i, "EngineTooOld"],
  [/no space left on device/i, "DiskHeadroom"],
  [/io_uring/i, "IoUringInUse"],
  [/CRIU (binary )?not found|criu.*executable file not found|exec: "criu"|install criu/i, "CriuMissing"],
  [/criu.*(version|too old)|checkpoint\/restore requires at least CRIU/i, "CriuTooOld"],
  [/Connected TCP socket|tcp-established|established.*TCP/i, "TcpRefused"],
  [/cuda_plugin: CHECKPOINT_DEVICES failed/, "GpuRefused"],
  [/Timeout reached\. Try to interrupt/, "HaltTimedOut"],
  [/file locks are hold/i, "FileLocks"],
  [/Can't dump ghost file/i, "GhostFileTooLarge"],
  [/handle_device_vma plugin failed|Can't handle non-regular mapping/i, "DeviceInUse"],
  [/Can't lookup mount|unreachable sharing|doesn't have a proper root mount/i, "ExternalMount"],
  [/DeadlineExceeded|context deadline exceeded/i, "TakingTimedOut"],
  [
    /is not running|not in running state|container is not running|CONTAINER_EXITED|CONTAINER_CREATED/i,
    "ContainerNotRunning",
  ],
];

/** Of a message: what the API server takes is 4,096. */
const mostCharacters = 4_000;

/** Why a checkpoint was not taken, as a reason with what to do. */
export function explainRefusal(
  { status, body, through, dump: { errors, unlocked = [], stillLocked = [] } = { errors: [] } }: TakingRefusal,
  container: string,
  nodeName: string,
): Verdict {
  const said = body.trim().replace(/\s+/g, " ").slice(0, 1_000);
  const more = [
    ...(errors.length > 0 ? [`CRIU: ${errors.join("; ").slice(0, 1_500)}`] : []),
    ...(unlocked.length > 0 ? [`CUDA programs that it left locked were unlocked: ${unlocked.join(", ")}`] : []),
    ...(stillLocked.length > 0
      ? [`CUDA programs may be locked and stand still (cuda-checkpoint --action unlock): ${stillLocked.join(", ")}`]
      : []),
  ];
  const message = [`node "${nodeName}" answered ${status}: ${said}`, ...more].join("; ").slice(0, mostCharacters);
  const all = [body, ...errors].join("\n");
  const code = ((): VerdictCodeName => {
    if (status === 401) return "Unauthorized";
    if (status === 403) return through === "api-server" ? "ForbiddenToApiServer" : "Forbidden";
    if (status === 404) {
      if (/pod does not exist/i.test(body)) return "PodGone";
      if (/container .* does not exist/i.test(body)) return "ContainerNotRunning";
      return "FeatureGateOff";
    }
    return texts.find(([text]) => text.test(all))?.[1] ?? "TakingFailed";
  })();
  return verdictOf(code, message, container);
}
