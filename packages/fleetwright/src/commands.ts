import type { Command, Options } from "./command.ts";
import { agentCommand } from "./commands/agent.ts";
import { checkpointFilesCommand } from "./commands/checkpoint-files.ts";
import { checkpointInspectCommand } from "./commands/checkpoint-inspect.ts";
import { checkpointMemCommand } from "./commands/checkpoint-mem.ts";
import { checkpointPsCommand } from "./commands/checkpoint-ps.ts";
import { checkpointCreateCommand } from "./commands/checkpoint-create.ts";
import { checkpointListCommand } from "./commands/checkpoint-list.ts";
import { checkpointRestoreCommand } from "./commands/checkpoint-restore.ts";
import { checkpointMoveCommand } from "./commands/checkpoint-move.ts";
import { checkpointPauseCommand } from "./commands/checkpoint-pause.ts";
import { checkpointResumeCommand } from "./commands/checkpoint-resume.ts";
import { checkpointRehearseCommand } from "./commands/checkpoint-rehearse.ts";
import { checkpointPruneCommand } from "./commands/checkpoint-prune.ts";
import { checkpointPinCommand } from "./commands/checkpoint-pin.ts";
import { checkpointDiffCommand } from "./commands/checkpoint-diff.ts";
import { checkpointLintCommand } from "./commands/checkpoint-lint.ts";
import { checkpointBuildCommand } from "./commands/checkpoint-build.ts";
import { checkpointPullCommand } from "./commands/checkpoint-pull.ts";
import { checkpointPushCommand } from "./commands/checkpoint-push.ts";
import { checkpointVerifyCommand } from "./commands/checkpoint-verify.ts";
import { managerCommand } from "./commands/manager.ts";
import { nodesCommand } from "./commands/nodes.ts";
import { quotaCanICommand } from "./commands/quota-can-i.ts";
import { quotaExplainCommand } from "./commands/quota-explain.ts";
import { quotaTreeCommand } from "./commands/quota-tree.ts";
import { twinCommand } from "./commands/twin.ts";
import { upCommand } from "./commands/up.ts";

/** Every command of the program. */
export const commands = [
  managerCommand,
  upCommand,
  twinCommand,
  nodesCommand,
  quotaTreeCommand,
  quotaExplainCommand,
  quotaCanICommand,
  agentCommand,
  checkpointCreateCommand,
  checkpointListCommand,
  checkpointRestoreCommand,
  checkpointMoveCommand,
  checkpointPauseCommand,
  checkpointResumeCommand,
  checkpointRehearseCommand,
  checkpointPruneCommand,
  checkpointPinCommand,
  checkpointInspectCommand,
  checkpointPsCommand,
  checkpointFilesCommand,
  checkpointMemCommand,
  checkpointDiffCommand,
  checkpointLintCommand,
  checkpointBuildCommand,
  checkpointPushCommand,
  checkpointPullCommand,
  checkpointVerifyCommand,
] as unknown as readonly Command<Options>[];
