import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, it } from "vitest";
import { artifactRoutes } from "./agent-artifacts.ts";
import type { AgentCall } from "./agent-service.ts";
import type { CheckpointStore } from "./store.ts";

const server = createServer((request, response) => {
  if (request.url === "/v2/team/web/manifests/1") response.end('{"schemaVersion":2}');
  else response.writeHead(request.url?.includes("secret") ? 401 : 404).end();
});
afterEach(async () => {
  if (server.listening) await new Promise((resolve) => server.close(resolve));
});

async function find(...names: readonly string[]): Promise<unknown> {
  const routes = artifactRoutes({
    store: {} as CheckpointStore,
    plainRegistries: [],
    engine: { hasImage: (name) => Promise.resolve(name === "localhost/there:1") },
  });
  const route = routes.find(({ path }) => path.test("/v1/images/find"));
  const call = { json: () => Promise.resolve({ names }), signal: new AbortController().signal };
  return route?.handle(call as unknown as AgentCall);
}

it("finds an image that the engine has, or at its registry, or says why not", async () => {
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const registry = `127.0.0.1:${port}`;
  expect(await find(`${registry}/team/web:1`)).toEqual({ onNode: false });
  expect(await find(`${registry}/team/web:2`)).toMatchObject({ problem: expect.stringMatching(/team\/web.*2/) });
  expect(await find(`${registry}/secret/web:1`)).toMatchObject({ problem: expect.stringMatching(/secret\/web/) });
  expect(await find("localhost/there:1", `${registry}/team/web:2`)).toEqual({ onNode: true });
  const digest = `sha256:${"0".repeat(64)}`;
  expect(await find(digest, `${registry}/team/web:1`)).toEqual({ onNode: false });
  expect(await find(`${registry}/team/web@${digest}`, `${registry}/team/web:1`)).toMatchObject({
    problem: expect.stringMatching(/sha256:0/),
  });
  expect(await find("web")).toMatchObject({ problem: expect.stringContaining("names no registry") });
  await new Promise((resolve) => server.close(resolve));
  expect(await find(`${registry}/team/web:1`)).toMatchObject({
    problem: expect.stringContaining("connection refused"),
  });
});
