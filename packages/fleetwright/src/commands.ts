import type { Command, Options } from "./command.ts";
import { managerCommand } from "./commands/manager.ts";
import { upCommand } from "./commands/up.ts";

/** Every command of the program. */
export const commands = [managerCommand, upCommand] as unknown as readonly Command<Options>[];
