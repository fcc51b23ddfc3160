import { checkpointError } from "../../errors.ts";

/**
 * A member's name as a plain relative path: a leading `./` and a trailing `/` go, anything that could leave the folder is refused.
 * `""` is the archive's root itself. Throws FW_CHECKPOINT_ARCHIVE.
 */
export function plainName(name: string): string {
  const refuse = (why: string) =>
    checkpointError("FW_CHECKPOINT_ARCHIVE", `member ${JSON.stringify(name)}: ${why}: do not trust this archive`);
  if (name.includes("\0")) throw refuse("a NUL in a name");
  if (name.startsWith("/")) throw refuse("an absolute path");
  const parts = name.split("/").filter((part) => part !== "" && part !== ".");
  if (parts.includes("..")) throw refuse("leads out of its folder");
  return parts.join("/");
}
