import { generateKeyPairSync } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { registryPath, registryUser, startRegistry, type RealRegistry } from "@fleetwright/lab";
import { runProgram, type Ended } from "../e2e/program.ts";

const archive = fileURLToPath(
  new URL("../../../shared/fixtures/checkpoint-archives/containerd-2.3.7-busybox-counter.tar.gz", import.meta.url),
);
const missing = [
  ...(existsSync(archive) ? [] : ["no fixtures beside the checkout"]),
  ...(existsSync(registryPath()) ? [] : ["no registry: make node"]),
];

describe.skipIf(missing.length > 0)(
  `checkpoint push, pull and verify${missing.length > 0 ? ` (skipped: ${missing.join(", ")})` : ""}`,
  () => {
    let registry: RealRegistry;
    let folder = "";
    const run = (...args: readonly string[]): Promise<Ended> =>
      runProgram(["checkpoint", ...args], { env: { DOCKER_CONFIG: folder } });
    beforeAll(async () => {
      registry = await startRegistry({ auth: "basic" });
      folder = await mkdtemp(join(tmpdir(), "fleetwright-commands-"));
      const auth = Buffer.from(`${registryUser.username}:${registryUser.password}`).toString("base64");
      await writeFile(join(folder, "config.json"), JSON.stringify({ auths: { [registry.address]: { auth } } }));
      for (const name of ["key", "other"]) {
        const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
        await writeFile(join(folder, `${name}.pem`), privateKey.export({ type: "pkcs8", format: "pem" }));
        await writeFile(join(folder, `${name}.pub`), publicKey.export({ type: "spki", format: "pem" }));
      }
    });
    afterAll(async () => {
      await registry?.stop();
      await rm(folder, { recursive: true, force: true });
    });

    it.each(["Artifact", "EngineImage"])("bring an archive there and back as %s, signed", async (form) => {
      const name = `${registry.address}/team/${form.toLowerCase()}`;
      const pushed = await run(
        "push",
        archive,
        `${name}:1`,
        "--form",
        form,
        "--sign-key",
        join(folder, "key.pem"),
        "-o",
        "json",
      );
      expect(pushed).toMatchObject({ code: 0 });
      const { reference } = JSON.parse(pushed.stdout) as { readonly reference: string };
      expect(reference).toMatch(/@sha256:/);
      const again = await run("push", archive, `${name}:2`, "--form", form, "-o", "json");
      expect(JSON.parse(again.stdout)).toMatchObject({ reference, sentBytes: 0 });
      const copy = join(folder, `${form}.tar`);
      expect(await run("pull", `${name}:1`, copy)).toMatchObject({ code: 0 });
      expect((await readFile(copy)).equals(await readFile(archive))).toBe(true);
      expect(await run("verify", reference, "--key", join(folder, "key.pub"))).toMatchObject({ code: 0 });
      expect((await run("verify", reference, "--key", join(folder, "other.pub"))).code).toBe(1);
      const unsigned = join(folder, "unsigned.tar");
      const refused = await run("pull", reference, unsigned, "--key", join(folder, "other.pub"));
      expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining("is by another key") as string });
      expect((await readdir(folder)).filter((left) => left.startsWith("unsigned"))).toEqual([]);
    });

    it.each(["Artifact", "EngineImage"])("look at %s in a registry before it is restored", async (form) => {
      const name = `${registry.address}/lint/${form.toLowerCase()}:1`;
      await run("push", archive, name, "--form", form);
      const codes = async (...args: readonly string[]) => {
        const { stdout } = await run("lint", name, "-o", "json", ...args);
        return (JSON.parse(stdout) as readonly { readonly code: string }[]).map(({ code }) => code);
      };
      const here = (await run("lint", archive, "-o", "json")).stdout;
      expect(await codes()).toEqual((JSON.parse(here) as readonly { readonly code: string }[]).map(({ code }) => code));
      expect(await codes("--namespace", "another")).toContain("NamespaceMismatch");
    });

    it("hold an archive against a digest", async () => {
      const wrong = `sha256:${"0".repeat(64)}`;
      const { code, stdout } = await run("verify", archive, "--digest", wrong);
      expect(code).toBe(1);
      const digest = /is (sha256:[0-9a-f]{64}), not/.exec(stdout)?.[1] ?? "";
      expect(await run("verify", archive, "--digest", digest)).toMatchObject({ code: 0 });
    });

    it("leave nothing behind when what is pulled is no checkpoint, or is not there", async () => {
      const target = join(folder, "nothing.tar");
      const { code, stderr } = await run("pull", `${registry.address}/team/nothing:1`, target);
      expect(code).not.toBe(0);
      expect(stderr).toContain("team/nothing");
      expect(existsSync(target) || existsSync(`${target}.half`)).toBe(false);
    });
  },
);
