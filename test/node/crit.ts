import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { promisify } from "node:util";
import { nodeDirectory } from "@fleetwright/lab";

/** A Debian root file system with podman and CRIU's own `crit`. */
const root = join(nodeDirectory(), "podman");

/** Images that have no format of CRIU's: pages, and what other programs wrote. */
export const isRaw = (name: string): boolean =>
  !name.endsWith(".img") || /^pages-|^tmpfs-|^(ip|route|rule|nftables|netns-ct|ifaddr)/.test(name);

/** What CRIU's `crit decode` says of images, in their order, as {@link canonical} values. */
export async function critDecode(
  images: readonly { readonly name: string; readonly bytes: Uint8Array }[],
): Promise<readonly unknown[]> {
  for (const folder of ["bin", "sbin", "lib", "lib64"])
    await symlink(`usr/${folder}`, join(root, folder)).catch(() => undefined);
  await mkdir(join(root, "tmp"), { recursive: true });
  const folder = await mkdtemp(join(root, "tmp", "crit-"));
  try {
    const decoded: unknown[] = [];
    for (const { name, bytes } of images) {
      await writeFile(join(folder, name), bytes);
      const path = join("/tmp", basename(folder), name);
      const { stdout } = await promisify(execFile)("chroot", [root, "/usr/bin/crit", "decode", "-i", path], {
        maxBuffer: 2 ** 28,
      });
      decoded.push(canonical(parseExactly(stdout)));
    }
    return decoded;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Numbers of any size, as their text. */
const parseExactly = (text: string): unknown =>
  JSON.parse(text, (_, value: unknown, context?: { readonly source?: string }) =>
    typeof value === "number" ? (context?.source ?? value) : value,
  );

/** What is the same whether large numbers are numbers, decimal or hexadecimal text, and bytes are wrapped or not. */
export function canonical(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(canonical);
  if (typeof value === "object" && value !== null)
    return Object.fromEntries(Object.entries(value).map(([key, field]) => [key, canonical(field)]));
  if (typeof value === "number") return String(value);
  if (typeof value !== "string") return value;
  return /^(0x[0-9a-f]+|-?\d+)$/.test(value) ? String(BigInt(value)) : value.replaceAll("\n", "");
}
