import type { JsonObject } from "../criu/message-json.ts";
import { numberOf, objectOf, textOf } from "./entry-fields.ts";
import type { Images } from "./image-set.ts";
import { inetSocket, netlinkSocket, packetSocket, unixSocket } from "./socket.ts";
import type { Socket } from "./socket.ts";

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

async function described(images: Images, file: JsonObject): Promise<Omit<OpenFile, "fd">> {
  const type = textOf(file, "type") ?? "UNKNOWN";
  const detail = objectOf(file, details[type] ?? "") ?? {};
  if (type === "INETSK") {
    const ino = numberOf(detail, "ino") ?? 0;
    const [stream] = (await images.entries(`tcp-stream-${ino.toString(16)}.img`, "TCP_STREAM", "optional")) ?? [];
    return { type, socket: inetSocket(detail, stream) };
  }
  if (type === "UNIXSK") return { type, socket: unixSocket(detail) };
  if (type === "NETLINKSK") return { type, socket: netlinkSocket(detail) };
  if (type === "PACKETSK") return { type, socket: packetSocket(detail) };
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

const tables = new WeakMap<Images, Promise<ReadonlyMap<number, JsonObject>>>();

/** The files of a checkpoint by CRIU's id. Dumps of before CRIU 3.4 have them in images of their own, which are kept but not looked at. */
export function fileTable(images: Images): Promise<ReadonlyMap<number, JsonObject>> {
  let table = tables.get(images);
  if (table === undefined) tables.set(images, (table = readFileTable(images)));
  return table;
}

async function readFileTable(images: Images): Promise<ReadonlyMap<number, JsonObject>> {
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
