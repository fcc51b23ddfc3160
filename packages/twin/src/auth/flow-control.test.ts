import { VirtualClock, type UserInfo } from "@fleetwright/kube";
import { describe, expect, it } from "vitest";
import type { RequestInfo } from "../machinery/request.ts";
import { bootstrapObjects } from "./bootstrap.ts";
import { createFakeServer } from "./fake-server.ts";
import { createFlowControl } from "./flow-control.ts";

const info: RequestInfo = {
  isResource: true,
  path: "",
  verb: "list",
  group: "",
  version: "v1",
  namespace: "ml",
  resource: "pods",
  subresource: "",
  name: "",
};
const alice: UserInfo = { username: "alice", groups: ["system:authenticated"] };
const root: UserInfo = { username: "root", groups: ["system:masters"] };

function setUp(seats?: number) {
  const clock = new VirtualClock();
  const server = createFakeServer(clock);
  for (const { resource, object } of bootstrapObjects({ nowMs: 0 })) {
    server.put(resource, {
      ...object,
      metadata: { ...object.metadata, uid: `${resource.kind}/${object.metadata.name}` },
    });
  }
  return { clock, flow: createFlowControl({ server, clock, limits: seats === undefined ? {} : { seats } }) };
}

describe("createFlowControl", () => {
  it.each<[UserInfo, Partial<RequestInfo>, string, string]>([
    [alice, {}, "global-default", "global-default"],
    [root, {}, "exempt", "exempt"],
    [{ ...alice, username: "system:kube-scheduler" }, {}, "kube-scheduler", "workload-high"],
    [
      { username: "system:serviceaccount:ml:robot", groups: ["system:serviceaccounts", "system:authenticated"] },
      {},
      "service-accounts",
      "workload-low",
    ],
    [{ username: "system:anonymous", groups: ["system:unauthenticated"] }, {}, "global-default", "global-default"],
    [alice, { isResource: false, path: "/readyz", verb: "get" }, "probes", "exempt"],
  ])("puts %j with %j into %s", async (user, more, schema, level) => {
    const turn = await setUp().flow.begin(user, { ...info, ...more });
    expect(turn.headers).toEqual({
      "x-kubernetes-pf-flowschema-uid": `FlowSchema/${schema}`,
      "x-kubernetes-pf-prioritylevel-uid": `PriorityLevelConfiguration/${level}`,
    });
  });

  it("lets requests wait for a seat, and others that are exempt pass", async () => {
    const { flow } = setUp(1);
    const first = await flow.begin(alice, info);
    let started = false;
    const second = flow.begin(alice, info).then((turn) => {
      started = true;
      return turn;
    });
    await flow.begin(root, info);
    expect(started).toBe(false);
    first.done();
    first.done();
    (await second).done();
    expect(started).toBe(true);
    (await flow.begin(alice, info)).done();
  });

  it("refuses with 429 what waits too long", async () => {
    const { flow, clock } = setUp(1);
    await flow.begin(alice, info);
    const late = flow.begin(alice, info).catch((error: unknown) => error);
    await clock.advance(15_000);
    expect(await late).toMatchObject({
      message: "too many requests, please try again later",
      headers: { "retry-after": "1" },
      status: { code: 429, reason: "TooManyRequests" },
    });
  });

  it("forgets those whose client has gone", async () => {
    const { flow } = setUp(1);
    const first = await flow.begin(alice, info);
    const controller = new AbortController();
    const gone = flow.begin(alice, info, controller.signal).catch((error: unknown) => error);
    controller.abort(new Error("gone"));
    expect(await gone).toEqual(new Error("gone"));
    first.done();
    (await flow.begin(alice, info)).done();
  });
});
