import { generateKeyPairSync } from "node:crypto";
import { Pods, ServiceAccounts, VirtualClock, type UserInfo } from "@fleetwright/kube";
import { describe, expect, it } from "vitest";
import type { Call, RequestInfo } from "../machinery/request.ts";
import { createAuthenticator, createTokenAuthenticator } from "./authenticator.ts";
import { createFakeServer } from "./fake-server.ts";
import { impersonate } from "./impersonation.ts";
import { createServiceAccountTokens } from "./service-account-tokens.ts";

const call = (more: Partial<Call>): Call => ({
  method: "GET",
  path: "/",
  query: new URLSearchParams(),
  headers: {},
  body: () => Promise.resolve(Buffer.alloc(0)),
  signal: new AbortController().signal,
  ...more,
});

const keys = {
  ec: generateKeyPairSync("ec", { namedCurve: "P-256" }),
  rsa: generateKeyPairSync("rsa", { modulusLength: 2048 }),
};

function setUp(kind: keyof typeof keys = "ec") {
  const clock = new VirtualClock({ start: 1_700_000_000_000 });
  const server = createFakeServer(clock);
  server.put(ServiceAccounts, { metadata: { name: "robot", namespace: "ml", uid: "u1" } });
  server.put(Pods, { metadata: { name: "p", namespace: "ml", uid: "u2" }, spec: { containers: [] } });
  const serviceAccountTokens = createServiceAccountTokens({
    server,
    clock,
    keys: { signingKey: keys[kind].privateKey },
  });
  const tokens = createTokenAuthenticator({
    tokens: new Map<string, UserInfo>([["secret", { username: "static", groups: ["ops"] }]]),
    serviceAccountTokens,
  });
  return { clock, server, serviceAccountTokens, authenticate: createAuthenticator({ tokens }), tokens };
}

const subject = { namespace: "ml", serviceAccount: { name: "robot", uid: "u1" }, pod: { name: "p", uid: "u2" } };
const lifetime = { audiences: ["https://kubernetes.default.svc"], expirationSeconds: 600, id: "id-1" };

describe("createAuthenticator", () => {
  it("takes a certificate's name and organizations", async () => {
    const { authenticate } = setUp();
    const clientCertificate = { commonName: "alice", organizations: ["team"] };
    const user = await authenticate(call({ clientCertificate, headers: { authorization: "Bearer bad" } }));
    expect(user).toEqual({ username: "alice", groups: ["team", "system:authenticated"] });
    expect(await authenticate(call({ clientCertificate: { ...clientCertificate } }))).toBe(user);
  });

  it("takes static tokens, and anonymous callers without any", async () => {
    const { authenticate } = setUp();
    expect(await authenticate(call({ headers: { authorization: "bearer secret" } }))).toEqual({
      username: "static",
      groups: ["ops", "system:authenticated"],
    });
    expect(await authenticate(call({}))).toEqual({
      username: "system:anonymous",
      groups: ["system:unauthenticated"],
    });
  });

  it.each(["nonsense", "a.b.c", "eyJhbGciOiJub25lIn0.e30."])("refuses the token %s with 401", (token) => {
    const { authenticate } = setUp();
    expect(() => authenticate(call({ headers: { authorization: `Bearer ${token}` } }))).toThrow(
      expect.objectContaining({ status: expect.objectContaining({ code: 401, message: "Unauthorized" }) as unknown }),
    );
  });

  it.each(["ec", "rsa"] as const)("takes service account tokens signed with an %s key", async (kind) => {
    const { authenticate, serviceAccountTokens } = setUp(kind);
    const token = serviceAccountTokens.issue(subject, lifetime);
    expect(await authenticate(call({ headers: { authorization: `Bearer ${token}` } }))).toEqual({
      username: "system:serviceaccount:ml:robot",
      uid: "u1",
      groups: ["system:serviceaccounts", "system:serviceaccounts:ml", "system:authenticated"],
      extra: {
        "authentication.kubernetes.io/pod-name": ["p"],
        "authentication.kubernetes.io/pod-uid": ["u2"],
        "authentication.kubernetes.io/credential-id": ["JTI=id-1"],
      },
    });
  });
});

describe("service account tokens", () => {
  it("end, with a minute's leeway", async () => {
    const { clock, serviceAccountTokens } = setUp();
    const token = serviceAccountTokens.issue(subject, lifetime);
    await clock.advance(659_000);
    expect(serviceAccountTokens.identify(token)?.user.uid).toBe("u1");
    await clock.advance(2_000);
    expect(() => serviceAccountTokens.identify(token)).toThrow("service account token has expired");
  });

  it("end with the pod, and with the account that they are for", () => {
    const { server, serviceAccountTokens } = setUp();
    const token = serviceAccountTokens.issue(subject, lifetime);
    server.put(Pods, { metadata: { name: "p", namespace: "ml", uid: "another" }, spec: { containers: [] } });
    expect(() => serviceAccountTokens.identify(token)).toThrow(
      "Pod UID (another) does not match service account pod ref claim (u2)",
    );
    server.put(ServiceAccounts, { metadata: { name: "robot", namespace: "ml", uid: "u9" } });
    expect(() => serviceAccountTokens.identify(token)).toThrow("service account UID (u9) does not match claim (u1)");
  });

  it("are for their audiences", () => {
    const { serviceAccountTokens } = setUp();
    const token = serviceAccountTokens.issue(subject, { ...lifetime, audiences: ["vault"] });
    expect(() => serviceAccountTokens.identify(token)).toThrow(
      'token audiences ["vault"] is invalid for the target audiences ["https://kubernetes.default.svc"]',
    );
    expect(serviceAccountTokens.identify(token, ["vault", "x"])?.audiences).toEqual(["vault"]);
  });

  it("are not taken from another signer, or changed", () => {
    const { serviceAccountTokens } = setUp();
    const foreign = setUp("rsa").serviceAccountTokens.issue(subject, lifetime);
    expect(() => serviceAccountTokens.identify(foreign)).toThrow("invalid signature, no keys found");
    const [head, payload, signature] = serviceAccountTokens.issue(subject, lifetime).split(".");
    const claims = JSON.parse(Buffer.from(payload ?? "", "base64url").toString()) as object;
    const changed = Buffer.from(JSON.stringify({ ...claims, exp: 9_999_999_999 })).toString("base64url");
    expect(() => serviceAccountTokens.identify(`${head}.${changed}.${signature}`)).toThrow("cryptographic");
  });
});

describe("impersonate", () => {
  const info: RequestInfo = {
    isResource: true,
    path: "/api/v1/pods",
    verb: "list",
    group: "",
    version: "v1",
    namespace: "",
    resource: "pods",
    subresource: "",
    name: "",
  };
  const admin: UserInfo = { username: "admin", groups: [] };
  const legacy = (_: UserInfo, { verb }: RequestInfo) => ({ allowed: verb === "impersonate", reason: "" });

  it.each<[Call["headers"], UserInfo]>([
    [{ "impersonate-user": "bob" }, { username: "bob", groups: ["system:authenticated"] }],
    [
      { "impersonate-user": "bob", "impersonate-group": ["a", "b"], "impersonate-extra-acme.com%2fscope": "s" },
      { username: "bob", groups: ["a", "b", "system:authenticated"], extra: { "acme.com/scope": ["s"] } },
    ],
    [
      { "impersonate-user": "system:serviceaccount:ml:robot" },
      {
        username: "system:serviceaccount:ml:robot",
        groups: ["system:serviceaccounts", "system:serviceaccounts:ml", "system:authenticated"],
      },
    ],
    [{ "impersonate-user": "system:anonymous" }, { username: "system:anonymous", groups: ["system:unauthenticated"] }],
  ])("with %j is %j", (headers, user) => {
    expect(impersonate(admin, headers, info, legacy)).toEqual(user);
  });

  it("without headers is the caller", () => {
    expect(impersonate(admin, {}, info, legacy)).toBe(admin);
  });

  it("names the check that failed first", () => {
    expect(() =>
      impersonate(admin, { "impersonate-user": "bob" }, info, () => ({ allowed: false, reason: "" })),
    ).toThrow(
      'pods is forbidden: User "admin" cannot impersonate-on:user-info:list resource "pods" in API group "" at the cluster scope',
    );
  });

  it("needs a user besides groups", () => {
    expect(() => impersonate(admin, { "impersonate-group": "a" }, info, legacy)).toThrow(
      'requested &user.DefaultInfo{Name:"", UID:"", Groups:[]string{"a"}, Extra:map[string][]string(nil)} without impersonating a user name',
    );
  });
});
