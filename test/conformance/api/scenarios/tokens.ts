import { area } from "../scenario.ts";
import type { Session } from "../scenario.ts";
import { pod } from "./requests.ts";

const maps = ({ namespace }: Session): string => `/api/v1/namespaces/${namespace}/configmaps`;
const accounts = ({ namespace }: Session): string => `/api/v1/namespaces/${namespace}/serviceaccounts`;

export const tokenScenarios = [
  ...area("tokens", {
    "a service account's token says who it is": async (session) => {
      const path = `${accounts(session)}/default/token`;
      const answer = await session.send("POST", path, { body: { spec: { expirationSeconds: 600 } } });
      const { status } = answer.body as { readonly status: { readonly token: string } };
      await session.send("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {
        as: { token: status.token },
        body: {},
        pick: userOf,
      });
      await session.send("GET", maps(session), { as: { token: status.token } });
      await session.send("POST", "/apis/authentication.k8s.io/v1/tokenreviews", {
        body: { spec: { token: status.token } },
        pick: reviewOf,
      });
      await session.send("POST", "/apis/authentication.k8s.io/v1/tokenreviews", {
        body: { spec: { token: status.token, audiences: ["other"] } },
        pick: reviewOf,
      });
      await session.send("POST", "/apis/authentication.k8s.io/v1/tokenreviews", {
        body: { spec: { token: "nonsense" } },
      });
      await session.send("POST", "/apis/authentication.k8s.io/v1/tokenreviews", { body: { spec: {} } });
    },
    "a token dies with its account": async (session) => {
      await session.given("POST", accounts(session), { metadata: { name: "sa" } });
      const answer = await session.given("POST", `${accounts(session)}/sa/token`, { spec: {} });
      const { status } = answer.body as { readonly status: { readonly token: string } };
      await session.given("DELETE", `${accounts(session)}/sa`);
      await session.send("POST", "/apis/authentication.k8s.io/v1/tokenreviews", {
        body: { spec: { token: status.token } },
      });
    },
    "a token request is checked": async (session) => {
      const path = `${accounts(session)}/default/token`;
      for (const spec of [
        { expirationSeconds: 5 },
        { expirationSeconds: 2 ** 33 },
        { audiences: [""] },
        { boundObjectRef: { kind: "Pod", apiVersion: "v1", name: "none" } },
        { boundObjectRef: { kind: "Deployment", apiVersion: "apps/v1", name: "x" } },
      ])
        await session.send("POST", path, { body: { spec } });
      await session.send("POST", `${accounts(session)}/none/token`, { body: { spec: {} } });
      await session.send("GET", path);
    },
    "a token is bound to a pod": async (session) => {
      await session.given("POST", `/api/v1/namespaces/${session.namespace}/pods`, pod("p"));
      const boundObjectRef = { kind: "Pod", apiVersion: "v1", name: "p" };
      const answer = await session.send("POST", `${accounts(session)}/default/token`, {
        body: { spec: { audiences: ["vault"], boundObjectRef } },
      });
      const { status } = answer.body as { readonly status: { readonly token: string } };
      await session.send("POST", "/apis/authentication.k8s.io/v1/tokenreviews", {
        body: { spec: { token: status.token, audiences: ["vault"] } },
        pick: reviewOf,
      });
    },
  }),
];

interface Reviewed {
  readonly status: {
    readonly userInfo?: Person;
    readonly user?: Person;
    readonly authenticated?: boolean;
    readonly audiences?: unknown;
    readonly error?: string;
  };
}
interface Person {
  readonly username: string;
  readonly groups: readonly string[];
  readonly extra?: object;
}

/** Of the extra values only the names: they are ids. */
function userOf(body: unknown): unknown {
  const { username, groups, extra = {} } = (body as Reviewed).status.userInfo ?? { username: "", groups: [] };
  return { username, groups, extra: Object.keys(extra) };
}
function reviewOf(body: unknown): unknown {
  const { authenticated, audiences, error, user } = (body as Reviewed).status;
  return {
    authenticated,
    audiences,
    error,
    user: user && { username: user.username, groups: user.groups, extra: Object.keys(user.extra ?? {}) },
  };
}
