import type { JsonObject } from "../criu/message-json.ts";
import { listOf, numberOf, objectOf, textOf } from "./entry-fields.ts";
import type { Images } from "./image-set.ts";

/** Something that a process has open. */
export interface OpenFile {
  /** `cwd` and `root` have no number. */
  readonly fd: number | "cwd" | "root";
  /** CRIU's type: `REG`, `PIPE`, `INETSK`, `UNIXSK`, `EVENTPOLL`, `TTY`, … */
  readonly type: string;
  /** The path, where there is one. */
  readonly path?: string;
  readonly position?: number;
  readonly size?: number;
  /** Of a pipe: both ends have the same. */
  readonly pipe?: number;
  readonly socket?: Socket;
}

export interface Socket {
  /** `INET`, `INET6`, `UNIX`, `NETLINK`, `PACKET`. */
  readonly family: string;
  /** `STREAM`, `DGRAM`, … */
  readonly type: string;
  /** `LISTEN`, `ESTABLISHED`, …; a TCP connection that is established does not survive without `tcp-established`. */
  readonly state?: string;
  readonly protocol?: string;
  readonly source?: string;
  readonly destination?: string;
  /** Bytes that waited to be read and to be sent. */
  readonly receiveQueue?: number;
  readonly sendQueue?: number;
}

/** Field of a file entry that holds what its type says (`images/fdinfo.proto`). */
const details: Readonly<Record<string, string>> = {
  REG: "reg",
  INETSK: "isk",
  NS: "nsf",
  PACKETSK: "psk",
  NETLINKSK: "nlsk",
  EVENTFD: "efd",
  EVENTPOLL: "epfd",
  SIGNALFD: "sgfd",
  TUNF: "tunf",
  TIMERFD: "tfd",
  INOTIFY: "ify",
  FANOTIFY: "ffy",
  EXT: "ext",
  UNIXSK: "usk",
  FIFO: "fifo",
  PIPE: "pipe",
  TTY: "tty",
  MEMFD: "memfd",
  BPFMAP: "bpf",
  PIDFD: "pidfd",
};

const given = <T extends object>(values: { readonly [Key in keyof T]: T[Key] | undefined }): Partial<T> =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Partial<T>;

function endpoint(entry: JsonObject, side: "src" | "dst"): string | undefined {
  const [address] = listOf(entry, `${side}_addr`);
  const port = numberOf(entry, `${side}_port`) ?? 0;
  if (typeof address !== "string" || (side === "dst" && port === 0)) return undefined;
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

async function inet(images: Images, entry: JsonObject): Promise<Socket> {
  const state = textOf(entry, "state");
  const ino = numberOf(entry, "ino");
  const [stream] =
    state === "LISTEN" || ino === undefined
      ? []
      : ((await images.entries(`tcp-stream-${ino.toString(16)}.img`, "TCP_STREAM", "optional")) ?? []);
  return {
    family: textOf(entry, "family") ?? "INET",
    type: textOf(entry, "type") ?? "",
    ...given<Socket>({
      family: undefined,
      type: undefined,
      state,
      protocol: textOf(entry, "proto"),
      source: endpoint(entry, "src"),
      destination: endpoint(entry, "dst"),
      receiveQueue: numberOf(stream, "inq_len"),
      sendQueue: numberOf(stream, "outq_len"),
    }),
  };
}

async function described(images: Images, file: JsonObject): Promise<Omit<OpenFile, "fd">> {
  const type = textOf(file, "type") ?? "UNKNOWN";
  const detail = objectOf(file, details[type] ?? "") ?? {};
  if (type === "INETSK") return { type, socket: await inet(images, detail) };
  if (type === "UNIXSK") {
    const name = textOf(detail, "name");
    const path = name === undefined || name === "" ? {} : { source: name.replace(/\0$/, "") };
    const state = textOf(detail, "state");
    return {
      type,
      socket: { family: "UNIX", type: textOf(detail, "type") ?? "", ...(state ? { state } : {}), ...path },
    };
  }
  if (type === "NETLINKSK") return { type, socket: { family: "NETLINK", type: textOf(detail, "protocol") ?? "" } };
  if (type === "PACKETSK") return { type, socket: { family: "PACKET", type: textOf(detail, "type") ?? "" } };
  return {
    type,
    ...given<Omit<OpenFile, "fd" | "type">>({
      path: textOf(detail, "name"),
      position: type === "REG" ? numberOf(detail, "pos") : undefined,
      size: type === "REG" ? numberOf(detail, "size") : undefined,
      pipe: numberOf(detail, "pipe_id"),
      socket: undefined,
    }),
  };
}

/** The files of a checkpoint by CRIU's id. Dumps of before CRIU 3.4 have them in images of their own, which are kept but not looked at. */
export async function fileTable(images: Images): Promise<ReadonlyMap<number, JsonObject>> {
  const files = (await images.entries("files.img", "FILES")) ?? [];
  return new Map(
    files.flatMap((file) => {
      const id = numberOf(file, "id");
      return id === undefined ? [] : [[id, file] as const];
    }),
  );
}

/** What a process has open: its folders, then its descriptors by number. */
export async function readOpenFiles(images: Images, pid: number): Promise<readonly OpenFile[]> {
  const files = await fileTable(images);
  const open: OpenFile[] = [];
  const add = async (fd: OpenFile["fd"], id: number | undefined): Promise<void> => {
    const file = id === undefined ? undefined : files.get(id);
    if (file !== undefined) open.push({ fd, ...(await described(images, file)) });
    else if (id !== undefined)
      images.note("files.img", new Error(`no file ${id}, which process ${pid} has open as ${fd}`));
  };
  const [place] = (await images.entries(`fs-${pid}.img`, "FS")) ?? [];
  await add("cwd", numberOf(place, "cwd_id"));
  await add("root", numberOf(place, "root_id"));
  const [ids] = (await images.entries(`ids-${pid}.img`, "IDS")) ?? [];
  const table = numberOf(ids, "files_id");
  if (table === undefined) return open;
  const descriptors = (await images.entries(`fdinfo-${table}.img`, "FDINFO")) ?? [];
  for (const descriptor of [...descriptors].sort((a, b) => (numberOf(a, "fd") ?? 0) - (numberOf(b, "fd") ?? 0)))
    await add(numberOf(descriptor, "fd") ?? -1, numberOf(descriptor, "id"));
  return open;
}
