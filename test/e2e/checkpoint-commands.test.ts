import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { encodeImage } from "@fleetwright/checkpoint";
import { runProgram } from "./program.ts";

const folder = mkdtempSync(join(tmpdir(), "fleetwright-checkpoint-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** An archive as GNU tar writes it. */
function archive(): string {
  const content = join(folder, "content");
  mkdirSync(join(content, "checkpoint"), { recursive: true });
  writeFileSync(join(content, "config.dump"), JSON.stringify({ rootfsImageName: "app:1", runtime: "runc" }));
  writeFileSync(
    join(content, "spec.dump"),
    JSON.stringify({
      annotations: { "io.kubernetes.cri.container-name": "app", "io.kubernetes.cri.sandbox-name": "web" },
    }),
  );
  const entries = [{ pid: 1, ppid: 0, pgid: 1, sid: 1, threads: [1] }];
  writeFileSync(join(content, "checkpoint", "pstree.img"), encodeImage({ magic: "PSTREE", entries }));
  const path = join(folder, "checkpoint.tar.gz");
  execFileSync("tar", ["-czf", path, "-C", content, "."]);
  return path;
}

it("reads an archive that it did not write, and says on standard error what is not in it", async () => {
  const path = archive();
  const inspected = await runProgram(["checkpoint", "inspect", path, "-o", "json"]);
  expect(JSON.parse(inspected.stdout)).toMatchObject({ engine: "containerd", pod: "web", container: "app" });
  const listed = await runProgram(["checkpoint", "ps", path]);
  expect(listed).toMatchObject({
    code: 0,
    stderr: expect.stringContaining("core-1.img is not in the checkpoint") as string,
  });
  expect(listed.stdout).toMatch(/^PID +USER.*\n1 +unknown/);
});

it.each([
  ["a file that is not there", () => join(folder, "none.tar"), "there is no such file"],
  ["something else", () => process.execPath, "the header's checksum is wrong: not a tar archive, or a broken one"],
] as const)("complains in one line of %s", async (_, path, message) => {
  const { code, stdout, stderr } = await runProgram(["checkpoint", "inspect", path()]);
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  expect(stderr.trimEnd().split("\n")).toEqual([expect.stringContaining(message)]);
});

it("names the processes when the one asked for is not there", async () => {
  const { code, stderr } = await runProgram(["checkpoint", "mem", archive(), "--pid", "7"]);
  expect(code).toBe(2);
  expect(stderr).toContain("no process 7 in it; --pid takes one of 1");
});
