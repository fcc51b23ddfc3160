import { execFileSync } from "node:child_process";
import { createHash, generateKeyPairSync } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { encodeImage, openEvidence } from "@fleetwright/checkpoint";
import { systemClock } from "@fleetwright/kube";
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

it("builds the same image of the same archive, as a folder and as one file, and writes over nothing", async () => {
  const [tar, again, layout] = ["a.tar", "b.tar", "layout"].map((name) => join(folder, name));
  const source = archive();
  const digests: string[] = [];
  for (const place of [tar, again, layout]) {
    const { stdout } = await runProgram(["checkpoint", "build", source, place ?? "", "-o", "json"]);
    digests.push((JSON.parse(stdout) as { readonly digest: string }).digest);
  }
  expect(new Set(digests).size).toBe(1);
  expect(readFileSync(tar ?? "").equals(readFileSync(again ?? ""))).toBe(true);
  const manifest = readFileSync(join(layout ?? "", "blobs", (digests[0] ?? "").replace(":", "/")));
  expect(`sha256:${createHash("sha256").update(manifest).digest("hex")}`).toBe(digests[0]);
  const refused = await runProgram(["checkpoint", "build", source, tar ?? ""]);
  expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining("is there already") as string });
  expect(readdirSync(folder).filter((name) => name.includes(".half"))).toEqual([]);
});

it("looks at an archive, and says what to do about what it finds", async () => {
  const { code, stdout } = await runProgram(["checkpoint", "lint", archive(), "--namespace", "shop"]);
  expect(code).toBe(1);
  expect(stdout).toMatch(/^error HostNamespace: spec\.dump: linux\.namespaces: .*\n {4}→ restore it only for /m);
  expect(stdout).toMatch(/^error NamespaceMismatch: /m);
  const none = await runProgram(["checkpoint", "lint", join(folder, "none.tar")]);
  expect(none).toMatchObject({
    code: 2,
    stderr: expect.stringContaining("none.tar: there is no such file; ") as string,
  });
});

it("holds archives against a digest, and a chain of evidence against a key", async () => {
  const path = archive();
  const digest = `sha256:${createHash("sha256").update(readFileSync(path)).digest("hex")}`;
  const verify = (...args: readonly string[]) => runProgram(["checkpoint", "verify", ...args]);
  expect(await verify(path, path, "--digest", digest)).toMatchObject({ code: 0 });
  expect(await verify(path, process.execPath, "--digest", digest)).toMatchObject({
    code: 1,
    stdout: expect.stringContaining(`not ${digest}`) as string,
  });
  expect(await verify(path)).toMatchObject({ code: 2, stderr: expect.stringContaining("say what to hold") as string });

  const { privateKey: key, publicKey } = generateKeyPairSync("ed25519");
  const publicFile = join(folder, "key.pub");
  writeFileSync(publicFile, publicKey.export({ type: "spki", format: "pem" }));
  const evidence = await openEvidence(join(folder, "evidence"), { key, clock: systemClock });
  await evidence.deleted({ file: "a.tar", digest, modifiedMs: 0, deletedMs: 0, reason: "over count" });
  const chain = join(folder, "evidence", "evidence.jsonl");
  expect(await verify(chain, "--evidence-key", publicFile)).toMatchObject({
    code: 0,
    stdout: `${chain}: 1 records, whole\n`,
  });
  // As an agent answers: the head is the last line.
  const { head } = await evidence.read();
  const answer = join(folder, "answer.jsonl");
  writeFileSync(answer, `${readFileSync(chain, "utf8")}${JSON.stringify(head)}\n`);
  expect(await verify(answer, "--evidence-key", publicFile)).toMatchObject({ code: 0 });
  writeFileSync(chain, "");
  expect(await verify(chain, "--evidence-key", publicFile)).toMatchObject({
    code: 1,
    stdout: expect.stringContaining("Truncated: the head counts 1 records, 0 are here") as string,
  });
});

it("ends when the agent cannot serve the manager, and says why", async () => {
  const words = ["agent", "--checkpoints", join(folder, "store"), "--image-port", "0"];
  const none = join(folder, "no-certificates");
  expect(await runProgram([...words, "--cert-dir", none])).toMatchObject({
    code: 2,
    stdout: "",
    stderr: expect.stringContaining(`${none}/tls.crt: cannot be read`) as string,
  });
});
