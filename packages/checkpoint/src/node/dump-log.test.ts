import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { readDumpErrors } from "./dump-log.ts";

const id = "ab".repeat(32);
let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "fleetwright-log-"));
  await mkdir(join(folder, id, "userdata"), { recursive: true });
});
afterEach(() => rm(folder, { recursive: true, force: true }));

// As CRIU 4.2.1 wrote it of a CUDA program, without its plugin's tool.
const log = `(00.079844) Plugin "cuda_plugin" (version 512 hooks 13)
(00.079900) Error (criu/util.c:1534): rlimit: Can't setup RLIMIT_NOFILE for self: Operation not permitted
(00.080949) Warn  (cuda_plugin.c:585): cuda_plugin: check that cuda-checkpoint is present in $PATH
(00.086528) Error (criu/proc_parse.c:118): handle_device_vma plugin failed: No such file or directory
(00.086530) Error (criu/proc_parse.c:663): Can't handle non-regular mapping on 754's map 200600000
(00.086538) Error (criu/cr-dump.c:1440): Collect mappings (pid: 754) failed with -1
(00.086731) Error (criu/cr-dump.c:1975): Dumping FAILED.
`;

it("reads CRIU's errors where engines have it write them", async () => {
  const expected = [
    "Error (criu/proc_parse.c:118): handle_device_vma plugin failed: No such file or directory",
    "Error (criu/proc_parse.c:663): Can't handle non-regular mapping on 754's map 200600000",
    "Error (criu/cr-dump.c:1440): Collect mappings (pid: 754) failed with -1",
  ];
  for (const name of ["criu-dump.log", "userdata/dump.log"]) {
    const path = join(folder, id, name);
    await writeFile(path, `${"(00.000001) nothing\n".repeat(100_000)}${log}`);
    expect(await readDumpErrors(id, path)).toEqual(expected);
  }
});

it("reads nothing else", async () => {
  await writeFile(join(folder, "secret"), "Error (it): is read\n");
  await symlink(join(folder, "secret"), join(folder, id, "criu-dump.log"));
  await mkdir(join(folder, "other"));
  await writeFile(join(folder, "other/criu-dump.log"), "Error (it): is read\n");
  for (const path of [
    join(folder, id, "criu-dump.log"),
    join(folder, "other/criu-dump.log"),
    `${folder}/${id}/../other/criu-dump.log`,
    join(folder, id, "userdata/dump.log"),
    join(folder, "secret"),
  ])
    expect(await readDumpErrors(id, path)).toEqual([]);
});
