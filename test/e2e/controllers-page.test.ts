import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { expect, it } from "vitest";
import { ConfigMaps, EventsEvents, Namespaces, createClient } from "@fleetwright/kube";
import { eventually } from "./eventually.ts";
import { startServer } from "./server.ts";

/** Below the repository, so that its imports resolve; removed at the end. */
const program = new URL(`controllers-page-${process.pid}.program.ts`, import.meta.url).pathname;

it("the program in docs/controllers.md does what the page says", async () => {
  const page = readFileSync(new URL("../../docs/controllers.md", import.meta.url), "utf8");
  const code = /```ts\n(.*?)```/s.exec(page)?.[1] ?? "";
  await using controlPlane = await startServer();
  const client = createClient({ kubeconfig: controlPlane.kubeconfigPath });
  writeFileSync(program, code);
  const child = spawn(process.execPath, [program], {
    env: { ...process.env, KUBECONFIG: controlPlane.kubeconfigPath },
    stdio: ["ignore", "inherit", "pipe"],
  });
  let log = "";
  child.stderr.on("data", (chunk: Buffer) => (log += chunk.toString()));
  const ended = once(child, "exit");
  const state = async (): Promise<{ readonly team: string | undefined; readonly log: string }> => {
    const map = await client.get(ConfigMaps, { namespace: "vision", name: "team" }).catch(() => undefined);
    return { team: map?.data?.["team"], log };
  };
  const becomes = (team: string): Promise<unknown> =>
    eventually(`the team is ${team}`, state, (current) => current.team === team, 30_000);
  try {
    await client.create(Namespaces, { metadata: { name: "vision", labels: { team: "ada" } } });
    await becomes("ada");
    await client.delete(ConfigMaps, { namespace: "vision", name: "team" });
    await becomes("ada");
    await client.patch(
      Namespaces,
      { name: "vision" },
      { type: "merge", patch: { metadata: { labels: { team: "bo" } } } },
    );
    await becomes("bo");
    // A stop aborts what is being written: the event follows the ConfigMap only when the program has seen the answer.
    const notes = async (): Promise<(string | undefined)[]> =>
      (await client.list(EventsEvents)).items.map((event) => event.note);
    await eventually("an event says so", notes, (current) => current.includes("team is bo"), 30_000);
    child.kill("SIGTERM");
    expect(await ended).toEqual([0, null]);
  } finally {
    child.kill("SIGKILL");
    rmSync(program, { force: true });
    await client.close();
  }
});
