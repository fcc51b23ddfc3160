import { createServer } from "node:http";
import { Registry } from "prom-client";
import { expect, it } from "vitest";
import { createClient } from "./create-client.ts";
import { listen } from "./scripted-server.ts";

it("counts requests under client-go's names when it is given a registry", async () => {
  await using server = await listen(
    createServer((request, response) => {
      response.writeHead(request.url === "/version" ? 200 : 404, { "content-type": "application/json" });
      response.end("{}");
    }),
  );
  const metrics = new Registry();
  const config = { source: "test", server: server.url, namespace: "default", identity: { kind: "anonymous" } } as const;
  const client = createClient({ kubeconfig: config, metrics });
  await client.raw("GET", "/version");
  await client.raw("GET", "/nothing").catch(() => {});
  const text = await metrics.metrics();
  const host = `127.0.0.1:${server.port}`;
  expect(text).toContain(`rest_client_requests_total{code="200",method="GET",host="${host}"} 1`);
  expect(text).toContain(`rest_client_requests_total{code="404",method="GET",host="${host}"} 1`);
  await client.close();
});
