import { area } from "../scenario.ts";
import type { Session } from "../scenario.ts";
import { configMap, stored, tableHeaders, types } from "./requests.ts";

const maps = ({ namespace }: Session): string => `/api/v1/namespaces/${namespace}/configmaps`;
const create = async (session: Session, name: string, labels: object = {}): Promise<string> =>
  stored(await session.given("POST", maps(session), configMap(name, {}, { labels }))).metadata.resourceVersion;
const relabel = (session: Session, name: string, labels: object): Promise<unknown> =>
  session.given("PATCH", `${maps(session)}/${name}`, { metadata: { labels } }, types.merge);

export const watchScenarios = area("watches", {
  "a watch without a revision begins with what is there": async (session) => {
    await create(session, "a");
    await session.watch(`${maps(session)}?watch=1`, { events: 2, during: () => create(session, "b") });
  },
  "a watch from a revision begins after it": async (session) => {
    const first = await create(session, "a");
    await create(session, "b");
    await session.watch(`${maps(session)}?watch=true&resourceVersion=${first}`, {
      events: 3,
      during: async () => {
        await relabel(session, "a", { x: "1" });
        await session.given("DELETE", `${maps(session)}/b`);
      },
    });
  },
  "an object that stops matching is deleted for the watcher, one that starts is added": async (session) => {
    const from = await create(session, "a", { on: "yes" });
    await create(session, "b");
    await session.watch(`${maps(session)}?watch=true&resourceVersion=${from}&labelSelector=on%3Dyes`, {
      events: 5,
      during: async () => {
        await relabel(session, "b", { on: "yes" });
        await relabel(session, "a", { on: "no" });
        await relabel(session, "b", { other: "1" });
        await relabel(session, "a", { on: "yes" });
        await session.given("DELETE", `${maps(session)}/a`);
      },
    });
  },
  "a watch of one object by name": async (session) => {
    const from = await create(session, "a");
    await create(session, "b");
    await session.watch(`${maps(session)}?watch=true&resourceVersion=${from}&fieldSelector=metadata.name%3Da`, {
      events: 2,
      during: async () => {
        await relabel(session, "b", { x: "1" });
        await relabel(session, "a", { x: "1" });
        await session.given("DELETE", `${maps(session)}/a`);
      },
    });
  },
  "a streaming list ends in a bookmark that says so": async (session) => {
    await create(session, "a");
    await create(session, "b");
    const parameters = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    await session.watch(`${maps(session)}?watch=true&${parameters}`, { events: 3 });
    await session.watch(`${maps(session)}?watch=true&${parameters}&labelSelector=none`, { events: 1 });
  },
  "a streaming list without bookmarks has no end": async (session) => {
    await create(session, "a");
    await session.watch(`${maps(session)}?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan`, {
      events: 2,
      during: () => create(session, "b"),
    });
  },
  "initial events can be declined": async (session) => {
    await create(session, "a");
    await session.watch(`${maps(session)}?watch=true&sendInitialEvents=false&resourceVersionMatch=NotOlderThan`, {
      events: 1,
      during: () => create(session, "b"),
    });
  },
  "the parameters of initial events are checked": async (session) => {
    for (const parameters of [
      "watch=true&sendInitialEvents=true",
      "watch=true&sendInitialEvents=true&resourceVersionMatch=Exact",
      "watch=true&resourceVersionMatch=NotOlderThan",
      "sendInitialEvents=true",
      "sendInitialEvents=true&resourceVersionMatch=NotOlderThan",
      "watch=true&resourceVersionMatch=Exact&resourceVersion=1",
    ])
      await session.watch(`${maps(session)}?${parameters}`, { events: 0 });
  },
  "a watch of a revision that is no number": (session) =>
    session.watch(`${maps(session)}?watch=true&resourceVersion=abc`, { events: 1 }),
  "a watch of a revision before everything that is kept": (session) =>
    session.watch(`${maps(session)}?watch=true&resourceVersion=1`, { events: 1 }),
  "a watch whose selector cannot be read": async (session) => {
    await session.watch(`${maps(session)}?watch=true&labelSelector=a%3D%3D%3D`, { events: 1 });
    await session.watch(`${maps(session)}?watch=true&fieldSelector=data.x%3D1`, { events: 1 });
  },
  "events are printed as tables, the columns once": async (session) => {
    await create(session, "a");
    await session.watch(`${maps(session)}?watch=true`, {
      headers: tableHeaders,
      events: 2,
      during: () => create(session, "b"),
    });
  },
  "events hold metadata alone when asked": async (session) => {
    await create(session, "a");
    const accept = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io,application/json";
    await session.watch(`${maps(session)}?watch=true`, { headers: { accept }, events: 1 });
  },
  "the old path of watches": async (session) => {
    await create(session, "a");
    await session.watch(`/api/v1/watch/namespaces/${session.namespace}/configmaps`, { events: 1 });
    await session.watch(`/api/v1/watch/namespaces/${session.namespace}/configmaps/a`, { events: 1 });
  },
  "a watch of all namespaces selects by namespace": async (session) => {
    await create(session, "a");
    const selector = encodeURIComponent(`metadata.namespace=${session.namespace}`);
    await session.watch(`/api/v1/configmaps?watch=true&fieldSelector=${selector}`, { events: 1 });
  },
  "a watch ends when its time is over": async (session) => {
    await create(session, "a");
    await session.watch(`${maps(session)}?watch=true&timeoutSeconds=1`, { events: 2 });
    await session.watch(`${maps(session)}?watch=true&timeoutSeconds=x`, { events: 1 });
  },
  "a deletion with finalizers is a change, then a deletion": async (session) => {
    const body = configMap("a", {}, { finalizers: ["example.com/keep"] });
    const from = stored(await session.given("POST", maps(session), body)).metadata.resourceVersion;
    await session.watch(`${maps(session)}?watch=true&resourceVersion=${from}`, {
      events: 2,
      during: async () => {
        await session.given("DELETE", `${maps(session)}/a`);
        await session.given("PATCH", `${maps(session)}/a`, { metadata: { finalizers: null } }, types.merge);
      },
    });
  },
  "a change without effect is no event": async (session) => {
    const from = await create(session, "a", { x: "1" });
    await session.watch(`${maps(session)}?watch=true&resourceVersion=${from}`, {
      events: 1,
      during: async () => {
        await relabel(session, "a", { x: "1" });
        await relabel(session, "a", { x: "2" });
      },
    });
  },
  "a method of a watch is checked": (session) =>
    session.send("POST", `${maps(session)}?watch=true`, { body: configMap("a") }).then(() => undefined),
});
