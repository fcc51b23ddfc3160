import { execFileSync, spawn } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { nodeProblem } from "@fleetwright/lab";
import { eventually } from "./eventually.ts";

const lab = fileURLToPath(new URL("../../packages/lab/src/index.ts", import.meta.url));
const program = (command: string): string =>
  `import { runInNodeNamespace } from ${JSON.stringify(lab)}; process.exitCode = await runInNodeNamespace("sh", ["-c", ${JSON.stringify(command)}]);`;
const arguments_ = (command: string): readonly string[] => ["--input-type=module-typescript", "-e", program(command)];
const cgroups = (): readonly string[] =>
  readdirSync("/sys/fs/cgroup", { recursive: false, encoding: "utf8" }).flatMap((name) =>
    existsSync(`/sys/fs/cgroup/${name}/tasks`)
      ? readdirSync(`/sys/fs/cgroup/${name}`).filter((entry) => entry.startsWith("fleetwright-"))
      : [],
  );

it("runs a command with no network but loopback, and removes folder and control groups after it", (context) => {
  const problem = nodeProblem();
  if (problem !== undefined) return context.skip(problem);
  const written = execFileSync(
    process.execPath,
    arguments_('ip -brief link; echo "$$ $TMPDIR $FLEETWRIGHT_NODE_CGROUP"'),
    { encoding: "utf8" },
  );
  const lines = written.trim().split("\n");
  expect(lines.filter((line) => !line.startsWith("lo ")).length).toBe(1);
  const [pid, folder = "", cgroup = ""] = lines.at(-1)?.split(" ") ?? [];
  expect(pid).toBe("1");
  expect(existsSync(folder)).toBe(false);
  expect(cgroups()).not.toContain(cgroup);
});

it("takes everything along when it is killed, and the next run removes what is left", async (context) => {
  const problem = nodeProblem();
  if (problem !== undefined) return context.skip(problem);
  const child = spawn(process.execPath, arguments_('sleep 987 & echo "$TMPDIR $FLEETWRIGHT_NODE_CGROUP"; wait'), {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const line = await new Promise<string>((resolve) =>
    child.stdout.once("data", (data: Buffer) => resolve(data.toString().trim())),
  );
  const [folder = "", cgroup = ""] = line.split(" ");
  const sleepers = (): number =>
    readdirSync("/proc").filter((pid) => {
      try {
        return (
          /^\d+$/.test(pid) &&
          execFileSync("cat", [`/proc/${pid}/cmdline`], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }) ===
            "sleep\x00987\0"
        );
      } catch {
        return false;
      }
    }).length;
  expect(sleepers()).toBe(1);
  child.kill("SIGKILL");
  await eventually("the processes are gone", sleepers, (count) => count === 0);
  expect(existsSync(folder)).toBe(true);
  execFileSync(process.execPath, arguments_("true"));
  expect([existsSync(folder), cgroups().includes(cgroup)]).toEqual([false, false]);
});
