import { area } from "../scenario.ts";
import type { Scenario, Session } from "../scenario.ts";
import type { KindCase } from "./kind-case.ts";
import { kindCases } from "./kinds.ts";

/** One kind's object in one scenario. */
interface Subject {
  readonly collection: string;
  readonly item: string;
  readonly name: string;
  readonly object: Readonly<Record<string, unknown>> & { readonly metadata: object };
}

type Json = Readonly<Record<string, unknown>>;

const apiVersionOf = ({ root }: KindCase): string => root.replace("/apis/", "").replace("/api/", "");
const isMap = (value: unknown): value is Json => typeof value === "object" && value !== null && !Array.isArray(value);

function merged(into: Json, over: Json): Json {
  const entries = Object.entries(over).map(([key, value]) => {
    const old = into[key];
    return [key, isMap(old) && isMap(value) ? merged(old, value) : value] as const;
  });
  return { ...into, ...Object.fromEntries(entries) };
}

function subjectOf(each: KindCase, { namespace, unique }: Session): Subject {
  const collection = `${each.root}${each.namespaced ? `/namespaces/${namespace}` : ""}/${each.plural}`;
  const name = each.nameOf?.(unique) ?? `${unique}-x`;
  const metadata = { name, labels: { scenario: unique } };
  const object = { apiVersion: apiVersionOf(each), kind: each.kind, metadata, ...each.content(name) };
  return { collection, item: `${collection}/${name}`, name, object };
}

const table = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
const partial = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io,application/json";
const partialList = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json";
const patch = (type: string): { readonly headers: Record<string, string> } => ({
  headers: { "content-type": `application/${type}-patch+json` },
});

type Conversation = (session: Session, subject: Subject, each: KindCase) => Promise<unknown>;

/** The conversations about an object that is there, by what they show. */
const aboutStored: Readonly<Record<string, Conversation>> = {
  "is listed by label, with its apiVersion and kind left to the list": ({ send, unique }, { collection }) =>
    send("GET", `${collection}?labelSelector=scenario%3D${unique}`),
  "is printed as rows of a table": async ({ send, unique }, { collection, item }) => {
    await send("GET", `${collection}?labelSelector=scenario%3D${unique}`, { headers: { accept: table } });
    await send("GET", `${item}?includeObject=None`, { headers: { accept: table } });
  },
  "is read as its metadata alone": async ({ send, unique }, { collection, item }) => {
    await send("GET", item, { headers: { accept: partial } });
    await send("GET", `${collection}?labelSelector=scenario%3D${unique}`, { headers: { accept: partialList } });
  },
  "is changed by a merge patch": ({ send }, { item }, { change = {} }) =>
    send("PATCH", item, { ...patch("merge"), body: merged({ metadata: { labels: { b: "2" } } }, change) }),
  "is changed by a JSON patch": ({ send }, { item }) =>
    send("PATCH", item, { ...patch("json"), body: [{ op: "add", path: "/metadata/labels/b", value: "2" }] }),
  "is changed by a strategic merge patch": ({ send }, { item }, { change = {} }) =>
    send("PATCH", item, { ...patch("strategic-merge"), body: merged({ metadata: { labels: { b: "2" } } }, change) }),
  "is unchanged, revision included, by a patch without effect": ({ send, unique }, { item }) =>
    send("PATCH", item, { ...patch("merge"), body: { metadata: { labels: { scenario: unique } } } }),
  "is replaced, but not by somebody who read an older version": async ({ send }, { item }, { change = {} }) => {
    const { body } = await send("GET", item);
    const changed = merged(body as Json, merged({ metadata: { annotations: { a: "1" } } }, change));
    await send("PUT", item, { body: changed });
    await send("PUT", item, { body: merged(changed, { metadata: { annotations: { a: "2" } } }) });
  },
  "cannot be created twice": ({ send }, { collection, object }) => send("POST", collection, { body: object }),
  "is deleted, and then gone": async ({ send }, { item }) => {
    await send("DELETE", item);
    await send("GET", item);
  },
  "is deleted with a collection by label": async ({ send, unique }, { collection }) => {
    await send("DELETE", `${collection}?labelSelector=scenario%3D${unique}`);
    await send("GET", `${collection}?labelSelector=scenario%3D${unique}`);
  },
  "keeps its content when a dry run changes it": async ({ send }, { item }, { change = {} }) => {
    await send("PATCH", `${item}?dryRun=All`, {
      ...patch("merge"),
      body: merged({ metadata: { labels: { b: "2" } } }, change),
    });
    await send("DELETE", `${item}?dryRun=All`);
    await send("GET", item);
  },
  "is not renamed by an update": async ({ send }, { item, object }) => {
    await send("PUT", item, { body: merged(object, { metadata: { name: "another" } }) });
    await send("PATCH", item, {
      ...patch("merge"),
      body: { metadata: { uid: "00000000-0000-0000-0000-00000000000a" } },
    });
  },
  "is refused with metadata that is wrong": async ({ send }, { item, collection, object }) => {
    const dry = `${item}?dryRun=All`;
    await send("PATCH", dry, { ...patch("merge"), body: { metadata: { labels: { bad: "-" } } } });
    await send("PATCH", dry, { ...patch("merge"), body: { metadata: { finalizers: ["unqualified"] } } });
    await send("PATCH", dry, { ...patch("merge"), body: { metadata: { ownerReferences: [{ kind: "A", name: "" }] } } });
    await send("POST", `${collection}?dryRun=All`, {
      body: merged(object, { metadata: { finalizers: ["unqualified"], labels: { "-": "a" } } }),
    });
  },
  "is watched as it changes and goes": ({ send, watch, unique }, { collection, item }) =>
    watch(`${collection}?watch=true&labelSelector=scenario%3D${unique}`, {
      events: 3,
      during: async () => {
        await send("PATCH", item, { ...patch("merge"), body: { metadata: { labels: { b: "2" } } } });
        await send("DELETE", `${item}?gracePeriodSeconds=0`);
      },
    }),
};

/** The conversations that begin without an object. */
const aboutNew: Readonly<Record<string, Conversation>> = {
  "is created with its defaults": async ({ send }, { collection, item, object }) => {
    await send("POST", collection, { body: object });
    await send("GET", item);
  },
  "is not kept by a dry run": async ({ send }, { collection, item, object }) => {
    await send("POST", `${collection}?dryRun=All`, { body: object });
    await send("GET", item);
  },
  "with an unknown field is refused, warned of or passed": async ({ send }, { collection, object }) => {
    const body = { ...object, unknownHere: 1, metadata: { ...object.metadata, alsoUnknown: "x" } };
    await send("POST", `${collection}?fieldValidation=Strict`, { body });
    await send("POST", `${collection}?fieldValidation=Warn&dryRun=All`, { body });
    await send("POST", `${collection}?fieldValidation=Ignore&dryRun=All`, { body });
  },
  "is refused under another kind, version or name": async ({ send }, { collection, object }) => {
    await send("POST", collection, { body: { ...object, kind: "Other" } });
    await send("POST", collection, { body: { ...object, apiVersion: "other.example/v1" } });
    await send("POST", collection, { body: { ...object, metadata: { name: "Not_A/Name" } } });
    await send("POST", collection, { body: { ...object, metadata: {} } });
    await send("POST", collection, { body: { ...object, metadata: { ...object.metadata, namespace: "elsewhere" } } });
  },
  "is refused when invalid": ({ send }, { collection, object }, { invalid = { metadata: { labels: { "?": "" } } } }) =>
    send("POST", collection, { body: merged(object, invalid) }),
  "that is not there is not found": async ({ send }, { item, object }) => {
    await send("GET", item);
    await send("DELETE", item);
    await send("PATCH", item, { ...patch("merge"), body: {} });
    await send("PUT", item, { body: merged(object, { metadata: { resourceVersion: "1" } }) });
    await send("GET", `${item}/nonsense`);
  },
  "is not served by methods that do not fit": async ({ send }, { collection, item, object }) => {
    await send("POST", item, { body: object });
    await send("PUT", collection, { body: object });
    await send("PATCH", collection, { ...patch("merge"), body: {} });
  },
  "is created by apply and applied again": async ({ send }, { item, object }, { change = {} }) => {
    const headers = { "content-type": "application/apply-patch+yaml" };
    await send("PATCH", `${item}?fieldManager=tester`, { headers, body: object });
    await send("PATCH", `${item}?fieldManager=tester`, { headers, body: object });
    await send("PATCH", `${item}?fieldManager=tester&force=true`, { headers, body: merged(object, change) });
  },
};

function statusConversation(status: Json): Conversation {
  return async ({ send }, { item }) => {
    await send("PATCH", `${item}/status`, { ...patch("merge"), body: { status, spec: { ignored: true } } });
    await send("GET", `${item}/status`);
    await send("PATCH", item, { ...patch("merge"), body: { status: { ignoredHere: 1 } } });
  };
}

/** The server's own controllers write to these a moment later: what they write is waited for. */
const settling = new Set(["CustomResourceDefinition", "FlowSchema", "PriorityLevelConfiguration", "APIService"]);

/** Sends, then waits until the object rests. */
function settled(session: Session, { item }: Subject): Session {
  const rest = (): Promise<void> => session.settled(item);
  return {
    ...session,
    given: async (...request) => {
      const answer = await session.given(...request);
      await rest();
      return answer;
    },
    send: async (method, path, request) => {
      const answer = await session.send(method, path, request);
      if (method !== "GET") await rest();
      return answer;
    },
  };
}

function scenariosOf(each: KindCase): readonly Scenario[] {
  const kind = `${each.kind} (${apiVersionOf(each)})`;
  const stored = { ...aboutStored, ...(each.status && { "has a status of its own": statusConversation(each.status) }) };
  const conversations: Record<string, Scenario["run"]> = {};
  for (const [behaviour, conversation] of Object.entries(aboutNew))
    conversations[`${kind} ${behaviour}`] = async (session) => {
      const subject = subjectOf(each, session);
      await conversation(settling.has(each.kind) ? settled(session, subject) : session, subject, each);
    };
  for (const [behaviour, conversation] of Object.entries(stored)) {
    // How many events the server's own controllers cause is chance.
    if (settling.has(each.kind) && behaviour.startsWith("is watched")) continue;
    conversations[`${kind} ${behaviour}`] = async (bare) => {
      const subject = subjectOf(each, bare);
      const session = settling.has(each.kind) ? settled(bare, subject) : bare;
      await session.given("POST", subject.collection, subject.object);
      await conversation(session, subject, each);
    };
  }
  const areaName = each.root === "/api/v1" ? "core" : each.root.split("/")[2]?.split(".")[0];
  return area(`kinds-${areaName}`, conversations, { managedFields: false });
}

export const mechanicalScenarios: readonly Scenario[] = kindCases.flatMap(scenariosOf);
