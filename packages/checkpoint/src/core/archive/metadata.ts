import { checkpointError } from "../../errors.ts";

/** Who wrote an archive. */
export type Engine = "containerd" | "cri-o" | "podman";

/** Whose checkpoint an archive is, from what is in it: a file's name says nothing that could be relied on (`_<ns>-<container>-` has several readings). */
export interface CheckpointIdentity {
  readonly engine: Engine;
  readonly container: string;
  readonly pod?: string;
  readonly namespace?: string;
  readonly podUid?: string;
  /** Of the container, as the engine knows it. */
  readonly id?: string;
}

/** What the engine wrote beside CRIU's images. */
export interface CheckpointMetadata extends CheckpointIdentity {
  /** The OCI runtime, as the engine names it (`runc`, `io.containerd.runc.v2`). */
  readonly runtime?: string;
  /** The image as the user asked for it, and what it resolved to. */
  readonly image?: string;
  readonly imageRef?: string;
  readonly createdAt?: string;
  readonly checkpointedAt?: string;
  readonly restarts?: number;
  readonly hostname?: string;
  /** Mounts that whoever restores has to bring; what every engine makes itself is left out. */
  readonly mounts: readonly {
    readonly destination: string;
    readonly type: string;
    readonly source: string;
    readonly readOnly: boolean;
  }[];
  /** Devices of the host that it was given: `/dev/nvidia0`. */
  readonly devices?: readonly string[];
  /** Podman's networks. */
  readonly addresses: readonly { readonly interface: string; readonly address: string; readonly mac?: string }[];
}

/** The texts of an archive's documents, by member name; what is missing is absent. */
export type Documents = Readonly<Record<string, string | undefined>>;

/** Documents that {@link readMetadata} looks at. */
export const metadataDocuments = ["config.dump", "spec.dump", "status.dump", "network.status"] as const;

/** Of one document: containerd's own limit of a pod's configuration. */
export const documentBytes = 4 * 1024 * 1024;

type Fields = Readonly<Record<string, unknown>>;

const fields = (value: unknown): Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Fields) : {};
const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? (value as readonly unknown[]) : []);
const string = (value: unknown): string | undefined => (typeof value === "string" && value !== "" ? value : undefined);

function parse(documents: Documents, name: string): Fields | undefined {
  const text = documents[name];
  if (text === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw checkpointError(
      "FW_CHECKPOINT_ARCHIVE",
      `${name}: ${error instanceof Error ? error.message : String(error)}`,
      error,
    );
  }
  // Podman's networks of a container without one.
  if (value === null) return undefined;
  if (typeof value !== "object" || Array.isArray(value))
    throw checkpointError("FW_CHECKPOINT_ARCHIVE", `${name}: not a JSON object`);
  return value as Fields;
}

/** An annotation that holds JSON itself. */
function inner(annotations: Fields, key: string): Fields {
  const text = string(annotations[key]);
  if (text === undefined) return {};
  try {
    return fields(JSON.parse(text));
  } catch (error) {
    throw checkpointError("FW_CHECKPOINT_ARCHIVE", `spec.dump: annotations[${JSON.stringify(key)}] is not JSON`, error);
  }
}

function identityOf(engine: Engine, annotations: Fields, config: Fields): Omit<CheckpointIdentity, "engine" | "id"> {
  const get = (key: string): string | undefined => string(annotations[key]);
  const optional = (pod: string | undefined, namespace: string | undefined, podUid: string | undefined) => ({
    ...(pod === undefined ? {} : { pod }),
    ...(namespace === undefined ? {} : { namespace }),
    ...(podUid === undefined ? {} : { podUid }),
  });
  if (engine === "containerd")
    return {
      container: get("io.kubernetes.cri.container-name") ?? "",
      ...optional(
        get("io.kubernetes.cri.sandbox-name"),
        get("io.kubernetes.cri.sandbox-namespace"),
        get("io.kubernetes.cri.sandbox-uid"),
      ),
    };
  if (engine === "podman") return { container: string(config["name"]) ?? "" };
  const labels = inner(annotations, "io.kubernetes.cri-o.Labels");
  return {
    container:
      string(inner(annotations, "io.kubernetes.cri-o.Metadata")["name"]) ?? get("io.kubernetes.container.name") ?? "",
    ...optional(
      get("io.kubernetes.pod.name"),
      get("io.kubernetes.pod.namespace"),
      get("io.kubernetes.pod.uid") ?? string(labels["io.kubernetes.pod.uid"]),
    ),
  };
}

/** As checkpointctl tells them apart: by `io.container.manager`. */
function engineOf(annotations: Fields): Engine {
  const manager = annotations["io.container.manager"];
  if (manager === "libpod") return "podman";
  return manager === "cri-o" ? "cri-o" : "containerd";
}

/** Every engine makes these itself (CRI-O's list, server/container_restore.go). */
export const madeByEngine =
  /^\/(proc|dev|sys)(\/|$)|^\/etc\/(hostname|hosts|resolv\.conf)$|^(\/var)?\/run\/(secrets|\.containerenv)(\/|$)/;

/** Go's zero time means "never". */
const time = (value: unknown): string | undefined => {
  const text = string(value);
  return text === undefined || text.startsWith("0001-01-01") ? undefined : text;
};

function addressesOf(status: Fields): CheckpointMetadata["addresses"] {
  return Object.values(status).flatMap((network) =>
    Object.entries(fields(fields(network)["interfaces"])).flatMap(([name, value]) => {
      const mac = string(fields(value)["mac_address"]);
      return list(fields(value)["subnets"]).flatMap((subnet) => {
        const address = string(fields(subnet)["ipnet"]);
        return address === undefined ? [] : [{ interface: name, address, ...(mac === undefined ? {} : { mac }) }];
      });
    }),
  );
}

/**
 * Reads what the engines write beside CRIU's images: `config.dump` and `spec.dump` (all), `status.dump` (containerd), `network.status` (podman).
 * Throws FW_CHECKPOINT_ARCHIVE when one that every engine writes is missing or broken.
 */
export function readMetadata(documents: Documents): CheckpointMetadata {
  const config = parse(documents, "config.dump");
  const spec = parse(documents, "spec.dump");
  for (const [name, value] of [
    ["config.dump", config],
    ["spec.dump", spec],
  ] as const)
    if (value === undefined)
      throw checkpointError(
        "FW_CHECKPOINT_ARCHIVE",
        `${name} is missing: not a container checkpoint, or only a part of one`,
      );
  const status = parse(documents, "status.dump") ?? {};
  const annotations = fields(spec?.["annotations"]);
  const engine = engineOf(annotations);
  const given = {
    id: string(config?.["id"]),
    runtime: string(config?.["runtime"]),
    image: string(config?.["rootfsImage"]) ?? string(config?.["rootfsImageName"]),
    imageRef: string(config?.["rootfsImageRef"]),
    createdAt: time(config?.["createdTime"]),
    checkpointedAt: time(config?.["checkpointedTime"]),
    hostname: string(spec?.["hostname"]),
  };
  const devices = list(fields(spec?.["linux"])["devices"]).flatMap((item) => string(fields(item)["path"]) ?? []);
  const restarts = string(fields(status["annotations"])["io.kubernetes.container.restartCount"]);
  return {
    engine,
    ...identityOf(engine, annotations, config ?? {}),
    ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
    ...(restarts !== undefined && /^\d{1,9}$/.test(restarts) ? { restarts: Number(restarts) } : {}),
    mounts: list(spec?.["mounts"]).flatMap((item) => {
      const mount = fields(item);
      const destination = string(mount["destination"]);
      if (destination === undefined || madeByEngine.test(destination)) return [];
      return [
        {
          destination,
          type: string(mount["type"]) ?? "bind",
          source: string(mount["source"]) ?? "",
          readOnly: list(mount["options"]).includes("ro"),
        },
      ];
    }),
    ...(devices.length > 0 && { devices }),
    addresses: addressesOf(parse(documents, "network.status") ?? {}),
  };
}
