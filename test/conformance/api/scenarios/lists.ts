import { area } from "../scenario.ts";
import type { Session } from "../scenario.ts";
import { configMap, stored, tableHeaders } from "./requests.ts";

const maps = ({ namespace }: Session): string => `/api/v1/namespaces/${namespace}/configmaps`;

async function fill(session: Session, count: number): Promise<readonly string[]> {
  const revisions: string[] = [];
  for (let index = 0; index < count; index++) {
    const labels = { tier: index % 2 === 0 ? "even" : "odd", index: String(index) };
    const answer = await session.given("POST", maps(session), configMap(`m${index}`, {}, { labels }));
    revisions.push(stored(answer).metadata.resourceVersion);
  }
  return revisions;
}

const selectors: readonly string[] = [
  "tier=even",
  "tier==even",
  "tier!=even",
  "tier",
  "!tier",
  "!missing",
  "tier in (even,odd)",
  "tier notin (even)",
  "index>1",
  "index<2",
  "tier=even,index=2",
  "tier in ()",
  "tier=",
  ",",
  "tier=even,",
  "=even",
  "tier in even",
  "Bad Key=1",
  "tier=bad value",
  "tier>abc",
  "a/b/c=1",
  "-a=1",
  "tier=-x",
];
const fieldSelectors: readonly string[] = [
  "metadata.name=m1",
  "metadata.name!=m1",
  "metadata.namespace=default",
  "metadata.uid=x",
  "data.a=1",
  "metadata.name",
  "metadata.name=m1,metadata.name=m2",
  "",
  "=",
  "metadata.name==m2",
];

/** Answers to a revision and a way to match it. */
const matches: readonly (readonly [revision: string, match: string])[] = [
  ["", ""],
  ["", "Exact"],
  ["", "NotOlderThan"],
  ["0", ""],
  ["0", "NotOlderThan"],
  ["0", "Exact"],
  ["first", ""],
  ["first", "Exact"],
  ["first", "NotOlderThan"],
  ["99999999", "NotOlderThan"],
  ["99999999", "Exact"],
  ["abc", ""],
  ["-1", ""],
  ["first", "Nonsense"],
  ["1", "Exact"],
];

const query = (parameters: Readonly<Record<string, string>>): string =>
  `?${new URLSearchParams(Object.entries(parameters).filter(([, value]) => value !== ""))}`;

export const listScenarios = [
  ...area("lists", {
    "a list is read in pages that show one revision": async (session) => {
      await fill(session, 5);
      const first = await session.send("GET", `${maps(session)}?limit=2`);
      await session.given("POST", maps(session), configMap("m9"));
      const next = stored(first).metadata.continue ?? "";
      const second = await session.send("GET", `${maps(session)}?limit=2&continue=${encodeURIComponent(next)}`);
      const last = stored(second).metadata.continue ?? "";
      await session.send("GET", `${maps(session)}?limit=2&continue=${encodeURIComponent(last)}`);
    },
    "a page of a selection does not say how many remain": async (session) => {
      await fill(session, 5);
      await session.send("GET", `${maps(session)}?limit=1&labelSelector=tier%3Deven`);
    },
    "a page is printed as a table": async (session) => {
      await fill(session, 3);
      await session.send("GET", `${maps(session)}?limit=2`, { headers: tableHeaders });
    },
    "a continue token must be one": async (session) => {
      await fill(session, 2);
      await session.send("GET", `${maps(session)}?limit=1&continue=nonsense`);
      await session.send("GET", `${maps(session)}?continue=bm9uc2Vuc2U`);
      const { metadata } = stored(await session.given("GET", `${maps(session)}?limit=1`));
      const token = encodeURIComponent(metadata.continue ?? "");
      await session.send("GET", `${maps(session)}?limit=1&continue=${token}&resourceVersion=5`);
      await session.send("GET", `${maps(session)}?limit=1&continue=${token}&resourceVersionMatch=Exact`);
      await session.send("GET", `/api/v1/namespaces/default/configmaps?limit=1&continue=${token}`);
    },
    "limits that are odd": async (session) => {
      await fill(session, 2);
      for (const limit of ["0", "-1", "x", "1.5", "99999999999999999999", "500"])
        await session.send("GET", `${maps(session)}?limit=${limit}`);
    },
    "an empty list has items": async (session) => {
      await session.send("GET", maps(session));
      await session.send("GET", maps(session), { headers: tableHeaders });
    },
    "a single object can be read at a revision": async (session) => {
      await fill(session, 1);
      for (const revision of ["0", "abc", "99999999", ""])
        await session.send("GET", `${maps(session)}/m0?resourceVersion=${revision}`);
    },
    "objects of all namespaces are listed below the group": async (session) => {
      await fill(session, 1);
      await session.send("GET", `/api/v1/configmaps?fieldSelector=metadata.namespace%3D${session.namespace}`);
      await session.send("POST", "/api/v1/configmaps", { body: configMap("nowhere") });
    },
    "a list in a namespace that does not exist is empty": (session) =>
      session.send("GET", `/api/v1/namespaces/${session.unique}-none/configmaps`, {}).then(() => undefined),
    "pods are selected by what runs where": async (session) => {
      const pods = `/api/v1/namespaces/${session.namespace}/pods`;
      const spec = { containers: [{ name: "c", image: "i" }] };
      await session.given("POST", pods, { metadata: { name: "bound" }, spec: { ...spec, nodeName: "n1" } });
      await session.given("POST", pods, { metadata: { name: "free" }, spec: { ...spec, restartPolicy: "Never" } });
      for (const selector of [
        "spec.nodeName=n1",
        "spec.nodeName=",
        "status.phase=Pending",
        "status.phase!=Pending",
        "spec.restartPolicy=Never",
        "spec.schedulerName=default-scheduler",
        "spec.serviceAccountName=default",
        "spec.hostNetwork=false",
        "status.podIP=",
        "status.nominatedNodeName=",
        "spec.image=i",
      ])
        await session.send("GET", `${pods}?fieldSelector=${encodeURIComponent(selector)}`, { pick: namesOrStatus });
    },
    "events are selected by their object": async (session) => {
      const events = `/api/v1/namespaces/${session.namespace}/events`;
      const involvedObject = { kind: "Pod", name: "p", namespace: session.namespace, uid: "u-1" };
      await session.given("POST", events, { metadata: { name: "e" }, involvedObject, reason: "Why", type: "Normal" });
      for (const selector of [
        "involvedObject.kind=Pod",
        "involvedObject.name=q",
        "reason=Why",
        "type=Warning",
        "source=",
        "reportingComponent=",
        "involvedObject.uid=u-1",
        "message=x",
      ])
        await session.send("GET", `${events}?fieldSelector=${encodeURIComponent(selector)}`, { pick: namesOrStatus });
    },
    "other kinds are selected by the fields they index": async (session) => {
      const { namespace } = session;
      for (const path of [
        `/api/v1/namespaces/${namespace}/secrets?fieldSelector=type%3DOpaque`,
        "/api/v1/nodes?fieldSelector=spec.unschedulable%3Dtrue",
        "/api/v1/namespaces?fieldSelector=status.phase%3DTerminating",
        `/apis/apps/v1/namespaces/${namespace}/replicasets?fieldSelector=status.replicas%3D0`,
        `/apis/batch/v1/namespaces/${namespace}/jobs?fieldSelector=status.successful%3D0`,
        "/apis/certificates.k8s.io/v1/certificatesigningrequests?fieldSelector=spec.signerName%3Dx",
        `/api/v1/namespaces/${namespace}/services?fieldSelector=spec.type%3DClusterIP`,
        `/apis/apps/v1/namespaces/${namespace}/deployments?fieldSelector=spec.replicas%3D1`,
        `/api/v1/namespaces/${namespace}/replicationcontrollers?fieldSelector=status.replicas%3D1`,
        "/apis/resource.k8s.io/v1/resourceslices?fieldSelector=spec.driver%3Dnone",
      ])
        await session.send("GET", path, { pick: namesOrStatus });
    },
  }),
  ...area(
    "list-selectors",
    Object.fromEntries([
      ...selectors.map((selector) => [
        `labelSelector ${JSON.stringify(selector)}`,
        async (session: Session): Promise<void> => {
          await fill(session, 3);
          await session.send("GET", `${maps(session)}${query({ labelSelector: selector })}`, { pick: namesOrStatus });
        },
      ]),
      ...fieldSelectors.map((selector) => [
        `fieldSelector ${JSON.stringify(selector)}`,
        async (session: Session): Promise<void> => {
          await fill(session, 3);
          await session.send("GET", `${maps(session)}${query({ fieldSelector: selector })}`, { pick: namesOrStatus });
        },
      ]),
    ]),
  ),
  ...area(
    "list-revisions",
    Object.fromEntries(
      matches.flatMap(([revision, match]) =>
        ["", "2"].map((limit) => [
          `resourceVersion ${revision || "unset"}, match ${match || "unset"}, limit ${limit || "unset"}`,
          async (session: Session): Promise<void> => {
            const [first = ""] = await fill(session, 3);
            const resourceVersion = revision === "first" ? first : revision;
            // How far a list from the cache has come, and whether it is one, is chance.
            const settle = revision === "0" || match === "NotOlderThan";
            await session.send(
              "GET",
              `${maps(session)}${query({ resourceVersion, resourceVersionMatch: match, limit })}`,
              {
                pick: settle ? statusOnly : namesOrStatus,
              },
            );
          },
        ]),
      ),
    ),
  ),
];

/** The names on a list, or the whole refusal. */
function namesOrStatus(body: unknown): unknown {
  const { items, metadata } = body as {
    readonly items?: readonly { readonly metadata: { readonly name: string } }[];
    readonly metadata: object;
  };
  return items === undefined ? body : { names: items.map((item) => item.metadata.name), metadata };
}

function statusOnly(body: unknown): unknown {
  const { kind, message } = body as { readonly kind: string; readonly message?: string };
  return { kind, message };
}
