import { checkpointError } from "../../errors.ts";
import type { CheckpointArchive } from "../archive/checkpoint-archive.ts";

/** What of an OCI runtime-spec 1.2 `config.json` (`spec.dump`) matters to a reader; what is missing or of another type is absent. */
export interface RuntimeSpec {
  readonly arguments: readonly string[];
  /** By name; the last of two wins, as for a process. */
  readonly environment: ReadonlyMap<string, string>;
  readonly workingDirectory: string;
  readonly user: number;
  readonly group: number;
  readonly noNewPrivileges: boolean;
  /** By set: `bounding`, `effective`, `inheritable`, `permitted`, `ambient`. */
  readonly capabilities: ReadonlyMap<string, readonly string[]>;
  readonly annotations: ReadonlyMap<string, string>;
  readonly mounts: readonly SpecMount[];
  readonly rootReadOnly: boolean;
  /** With `path`: the namespace of somebody else that is joined. */
  readonly namespaces: readonly { readonly type: string; readonly path?: string }[];
  readonly devices: readonly string[];
  readonly devicesAllowed: readonly string[];
  readonly maskedPaths: readonly string[];
  readonly hasSeccomp: boolean;
  /** AppArmor's or SELinux' label; `""` for none. */
  readonly label: string;
  /** Programs of the host that the runtime would run. */
  readonly hooks: readonly string[];
}

export interface SpecMount {
  readonly destination: string;
  readonly type: string;
  readonly source: string;
  readonly options: readonly string[];
}

type Fields = Readonly<Record<string, unknown>>;

const fields = (value: unknown): Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Fields) : {};
const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? (value as readonly unknown[]) : []);
const text = (value: unknown): string => (typeof value === "string" ? value : "");
const number = (value: unknown): number => (typeof value === "number" ? value : 0);
const texts = (value: unknown): readonly string[] => list(value).filter((item) => typeof item === "string");

function environmentOf(value: unknown): ReadonlyMap<string, string> {
  return new Map(
    texts(value).map((line) => {
      const equals = line.indexOf("=");
      return equals === -1 ? ([line, ""] as const) : ([line.slice(0, equals), line.slice(equals + 1)] as const);
    }),
  );
}

/** What the runtime may not be kept from opening: every rule that allows, as `type major:minor access`. */
function allowedDevices(resources: Fields): readonly string[] {
  return list(resources["devices"]).flatMap((item) => {
    const { allow, type, major, minor, access } = fields(item);
    if (allow !== true) return [];
    const part = (value: unknown): string => (typeof value === "number" ? String(value) : "*");
    return [`${text(type) || "a"} ${part(major)}:${part(minor)} ${text(access) || "rwm"}`];
  });
}

/** Reads a `spec.dump`. Throws FW_CHECKPOINT_ARCHIVE when it is no JSON object. */
function parseRuntimeSpec(json: string): RuntimeSpec {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (error) {
    throw checkpointError("FW_CHECKPOINT_ARCHIVE", `spec.dump: ${(error as Error).message}`, error);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw checkpointError("FW_CHECKPOINT_ARCHIVE", "spec.dump: not a JSON object");
  const spec = fields(value);
  const process = fields(spec["process"]);
  const linux = fields(spec["linux"]);
  const user = fields(process["user"]);
  const annotations = Object.entries(fields(spec["annotations"]));
  return {
    arguments: texts(process["args"]),
    environment: environmentOf(process["env"]),
    workingDirectory: text(process["cwd"]),
    user: number(user["uid"]),
    group: number(user["gid"]),
    noNewPrivileges: process["noNewPrivileges"] === true,
    capabilities: new Map(
      Object.entries(fields(process["capabilities"])).map(([set, names]) => [set, texts(names)] as const),
    ),
    annotations: new Map(annotations.filter((entry): entry is [string, string] => typeof entry[1] === "string")),
    mounts: list(spec["mounts"]).map((item) => {
      const { destination, type, source, options } = fields(item);
      return {
        destination: text(destination),
        type: text(type) || "bind",
        source: text(source),
        options: texts(options),
      };
    }),
    rootReadOnly: fields(spec["root"])["readonly"] === true,
    namespaces: list(linux["namespaces"]).map((item) => {
      const { type, path } = fields(item);
      return { type: text(type), ...(text(path) === "" ? {} : { path: text(path) }) };
    }),
    devices: list(linux["devices"]).map((item) => text(fields(item)["path"])),
    devicesAllowed: allowedDevices(fields(linux["resources"])),
    maskedPaths: texts(linux["maskedPaths"]),
    hasSeccomp: linux["seccomp"] !== undefined && linux["seccomp"] !== null,
    label: text(process["apparmorProfile"]) || text(process["selinuxLabel"]),
    hooks: Object.values(fields(spec["hooks"])).flatMap((stage) =>
      list(stage).map((hook) => text(fields(hook)["path"])),
    ),
  };
}

/** The `spec.dump` of an open archive, which bounded its size when it was opened. */
export async function readRuntimeSpec(archive: CheckpointArchive): Promise<RuntimeSpec> {
  const parts: Uint8Array[] = [];
  for await (const part of archive.open("spec.dump")) parts.push(part);
  return parseRuntimeSpec(Buffer.concat(parts).toString("utf8"));
}
