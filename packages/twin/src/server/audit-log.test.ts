import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { VirtualClock } from "@fleetwright/kube";
import { afterAll, describe, expect, it } from "vitest";
import type { Call, Reply } from "../machinery/request.ts";
import { requestInfoOf } from "../rest/request-info.ts";
import { openAuditLog } from "./audit-log.ts";

const folder = mkdtempSync(join(tmpdir(), "twin-audit-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function call(method: string, path: string, body = ""): Call {
  const { signal } = new AbortController();
  return { method, path, query: new URLSearchParams(), headers: {}, signal, body: async () => Buffer.from(body) };
}
const reply = (status: number, body: Reply["body"]): Reply => ({ status, headers: {}, body });

describe("the audit log", () => {
  it("has every write with its bodies when it is answered, and no reads", async () => {
    const path = join(folder, "audit.jsonl");
    const log = await openAuditLog(path, new VirtualClock());
    const begin = (one: Call): ReturnType<typeof log.begin> =>
      log.begin(one, requestInfoOf(one.method, one.path, one.query));
    expect(begin(call("GET", "/api/v1/namespaces/a/configmaps"))).toBeUndefined();
    expect(begin(call("POST", "/version"))).toBeUndefined();

    const object = { metadata: { name: "x" } };
    const created = begin(call("POST", "/api/v1/namespaces/a/configmaps", JSON.stringify(object)));
    created?.identified({ username: "ada", groups: ["devs"] });
    await created?.call.body();
    await created?.answered(reply(201, Buffer.from(JSON.stringify({ ...object, kind: "ConfigMap" }))));
    const status = begin(call("PUT", "/apis/apps/v1/namespaces/a/deployments/d/status", "no json"));
    await status?.call.body();
    await status?.answered(reply(400, "{}"));

    const events = readFileSync(path, "utf8").trimEnd().split("\n");
    expect(events.map((line) => JSON.parse(line) as unknown)).toMatchObject([
      {
        kind: "Event",
        apiVersion: "audit.k8s.io/v1",
        level: "RequestResponse",
        stage: "ResponseComplete",
        verb: "create",
        requestURI: "/api/v1/namespaces/a/configmaps",
        user: { username: "ada", groups: ["devs"] },
        objectRef: { resource: "configmaps", namespace: "a", name: "x", apiVersion: "v1" },
        requestObject: object,
        responseObject: { kind: "ConfigMap" },
        responseStatus: { code: 201 },
        requestReceivedTimestamp: expect.stringMatching(/\.\d{6}Z$/) as string,
      },
      {
        verb: "update",
        user: {},
        objectRef: { apiGroup: "apps", resource: "deployments", subresource: "status", name: "d" },
        responseStatus: { code: 400 },
      },
    ]);
    expect(events[1]).not.toContain("requestObject");
    await log.close();
  });

  it("is refused where it cannot be written", async () => {
    const path = join(folder, "none", "audit.jsonl");
    await expect(openAuditLog(path, new VirtualClock())).rejects.toMatchObject({ code: "FW_TWIN_AUDIT" });
  });
});
