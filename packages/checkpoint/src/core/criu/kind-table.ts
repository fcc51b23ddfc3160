/** How an entry's message says what follows it. */
export type ExtraRule =
  | "none"
  | "pipes-data"
  | "sk-queues"
  | "tcp-stream"
  | "bpfmap-data"
  | "ipc-sem"
  | "ipc-shm"
  | "ipc-msg"
  | "ghost-file";

export interface ImageKind {
  /** The name that crit uses. */
  readonly name: string;
  readonly magic: number;
  /** The file's name; `N` is a decimal number, `X` a hexadecimal one. */
  readonly files: readonly string[];
  readonly message: string;
  /** The message of the first entry, where it differs: a pagemap's head. */
  readonly head?: string;
  readonly extra: ExtraRule;
  readonly header: "common" | "service" | "none";
}

/** First words of an image of version 1.1: of a dump, and of what is about CRIU itself. */
export const commonMagic = 0x54564319;
export const serviceMagic = 0x55105940;

type Row = readonly [name: string, magic: number, files: string, message: string, extra?: ExtraRule];

/** criu/include/magic.h, criu/image-desc.c, criu/protobuf-desc.c and lib/pycriu/images/images.py of CRIU 4.2.1. */
const rows: readonly Row[] = [
  ["INVENTORY", 0x58313116, "inventory.img", "inventory_entry"],
  ["PSTREE", 0x50273030, "pstree.img", "pstree_entry"],
  ["FDINFO", 0x56213732, "fdinfo-N.img", "fdinfo_entry"],
  ["PAGEMAP", 0x56084025, "pagemap-N.img pagemap-shmem-N.img", "pagemap_entry"],
  ["CORE", 0x55053847, "core-N.img", "core_entry"],
  ["IDS", 0x54432030, "ids-N.img", "task_kobj_ids_entry"],
  ["VMAS", 0x54123737, "vmas-N.img", "vma_entry"],
  ["PIPES", 0x56513555, "pipes.img", "pipe_entry"],
  ["PIPES_DATA", 0x56453709, "pipes-data.img", "pipe_data_entry", "pipes-data"],
  ["FIFO", 0x58364939, "fifo.img", "fifo_entry"],
  ["FIFO_DATA", 0x59333054, "fifo-data.img", "pipe_data_entry", "pipes-data"],
  ["SIGACT", 0x55344201, "sigacts-N.img", "sa_entry"],
  ["UNIXSK", 0x54373943, "unixsk.img", "unix_sk_entry"],
  ["INETSK", 0x56443851, "inetsk.img", "inet_sk_entry"],
  ["PACKETSK", 0x60454618, "packetsk.img", "packet_sock_entry"],
  ["ITIMERS", 0x57464056, "itimers-N.img", "itimer_entry"],
  ["POSIX_TIMERS", 0x52603957, "posix-timers-N.img", "posix_timer_entry"],
  ["SK_QUEUES", 0x56264026, "sk-queues.img", "sk_packet_entry", "sk-queues"],
  ["UTSNS", 0x54473203, "utsns-N.img", "utsns_entry"],
  ["CREDS", 0x54023547, "creds-N.img", "creds_entry"],
  ["IPC_VAR", 0x53115007, "ipcns-var-N.img", "ipc_var_entry"],
  ["IPCNS_SHM", 0x46283044, "ipcns-shm-N.img", "ipc_shm_entry", "ipc-shm"],
  ["IPCNS_MSG", 0x55453737, "ipcns-msg-N.img", "ipc_msg_entry", "ipc-msg"],
  ["IPCNS_SEM", 0x59573019, "ipcns-sem-N.img", "ipc_sem_entry", "ipc-sem"],
  ["REG_FILES", 0x50363636, "reg-files.img", "reg_file_entry"],
  ["EXT_FILES", 0x59255641, "ext-files.img", "ext_file_entry"],
  ["FS", 0x51403912, "fs-N.img", "fs_entry"],
  ["MM", 0x57492820, "mm-N.img", "mm_entry"],
  ["REMAP_FPATH", 0x59133954, "remap-fpath.img", "remap_file_path_entry"],
  ["GHOST_FILE", 0x52583605, "ghost-file-X.img", "ghost_file_entry", "ghost-file"],
  ["TCP_STREAM", 0x51465506, "tcp-stream-X.img", "tcp_stream_entry", "tcp-stream"],
  ["EVENTFD_FILE", 0x44523722, "eventfd.img", "eventfd_file_entry"],
  ["EVENTPOLL_FILE", 0x45023858, "eventpoll.img", "eventpoll_file_entry"],
  ["EVENTPOLL_TFD", 0x44433746, "eventpoll-tfd.img", "eventpoll_tfd_entry"],
  ["SIGNALFD", 0x57323820, "signalfd.img", "signalfd_entry"],
  ["INOTIFY_FILE", 0x48424431, "inotify.img", "inotify_file_entry"],
  ["INOTIFY_WD", 0x54562009, "inotify-wd.img", "inotify_wd_entry"],
  ["MNTS", 0x55563928, "mountpoints-N.img", "mnt_entry"],
  ["NETDEV", 0x57373951, "netdev-N.img", "net_device_entry"],
  ["NETNS", 0x55933752, "netns-N.img", "netns_entry"],
  ["TTY_FILES", 0x59433025, "tty.img", "tty_file_entry"],
  ["TTY_INFO", 0x59453036, "tty-info.img", "tty_info_entry"],
  ["TTY_DATA", 0x59413026, "tty-data.img", "tty_data_entry"],
  ["FILE_LOCKS", 0x54323616, "filelocks.img", "file_lock_entry"],
  ["RLIMIT", 0x57113925, "rlimit-N.img", "rlimit_entry"],
  ["FANOTIFY_FILE", 0x55096122, "fanotify.img", "fanotify_file_entry"],
  ["FANOTIFY_MARK", 0x56506035, "fanotify-mark.img", "fanotify_mark_entry"],
  ["SIGNAL", 0x59255647, "signal-s-N.img signal-p-N.img", "siginfo_entry"],
  ["NETLINK_SK", 0x58005614, "netlinksk.img", "netlink_sk_entry"],
  ["NS_FILES", 0x61394011, "ns-files.img", "ns_file_entry"],
  ["TUNFILE", 0x57143751, "tunfile.img", "tunfile_entry"],
  ["CGROUP", 0x59383330, "cgroup.img", "cgroup_entry"],
  ["TIMERFD", 0x50493712, "timerfd.img", "timerfd_entry"],
  ["CPUINFO", 0x61404013, "cpuinfo.img", "cpuinfo_entry"],
  ["USERNS", 0x55474906, "userns-N.img", "userns_entry"],
  ["SECCOMP", 0x64413049, "seccomp.img", "seccomp_entry"],
  ["BINFMT_MISC", 0x67343323, "binfmt-misc-N.img binfmt-misc.img", "binfmt_misc_entry"],
  ["AUTOFS", 0x49353943, "autofs-N.img", "autofs_entry"],
  ["FILES", 0x56303138, "files.img", "file_entry"],
  ["MEMFD_INODE", 0x48453499, "memfd.img", "memfd_inode_entry"],
  ["TIMENS", 0x43114433, "timens-N.img", "timens_entry"],
  ["PIDNS", 0x61157326, "pidns-N.img", "pidns_entry"],
  ["BPFMAP_FILE", 0x57506142, "bpfmap-file.img", "bpfmap_file_entry"],
  ["BPFMAP_DATA", 0x64324033, "bpfmap-data.img", "bpfmap_data_entry", "bpfmap-data"],
  ["APPARMOR", 0x59423047, "apparmor.img", "apparmor_entry"],
  ["PIDFD", 0x54435556, "pidfd.img", "pidfd_entry"],
  ["STATS", 0x57093306, "stats-dump stats-restore", "stats_entry"],
  ["IRMAP_CACHE", 0x57004059, "irmap-cache", "irmap_cache_entry"],
];

const headerOf = (name: string): ImageKind["header"] => {
  if (name === "INVENTORY") return "none";
  return name === "STATS" || name === "IRMAP_CACHE" ? "service" : "common";
};

/** Every kind of image with a header that CRIU 4.2 has a message for. */
export const imageKinds: readonly ImageKind[] = rows.map(([name, magic, files, message, extra = "none"]) => ({
  name,
  magic,
  files: files.split(" "),
  message,
  ...(name === "PAGEMAP" ? { head: "pagemap_head" } : {}),
  extra,
  header: headerOf(name),
}));

const byMagic = new Map(imageKinds.map((kind) => [kind.magic, kind]));
const byName = new Map(imageKinds.map((kind) => [kind.name, kind]));

export const kindByMagic = (magic: number): ImageKind | undefined => byMagic.get(magic);
export const kindByName = (name: string): ImageKind | undefined => byName.get(name);

/** Images without a header: pages, what `ip` and `iptables-save` wrote, archives of tmpfs. Never framed, whatever their first bytes look like. */
const rawNames =
  /^(pages-(shmem-)?-?\d+|(ifaddr|route|route6|rule|iptables|ip6tables|nftables|netns-ct|netns-exp)-\d+|tmpfs-(dev-)?\d+\.tar\.gz|amdgpu-.*)\.img$/;

/** Whether the image of that name is bytes without CRIU's framing (AMD's plugin writes bare messages and pages). */
export const isRawImageName = (name: string): boolean => rawNames.test(name);
