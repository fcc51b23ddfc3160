import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import fc from "fast-check";
import { parse } from "yaml";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { formatKubeconfig } from "./format-kubeconfig.ts";
import { parseKubeconfig } from "./kubeconfig.ts";
import { loadKubeconfig } from "./load-kubeconfig.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "kubeconfig-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** Writes a file below the test's folder; returns its path. */
function write(name: string, content: string | object): string {
  const path = join(folder, name);
  mkdirSync(join(path, ".."), { recursive: true });
  writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
  return path;
}

const cluster = (server: string, more: object = {}): object => ({ server, ...more });

/** A kubeconfig with entries by name; JSON is YAML. */
const kubeconfig = (parts: {
  readonly current?: string;
  readonly clusters?: Readonly<Record<string, object>>;
  readonly users?: Readonly<Record<string, object>>;
  readonly contexts?: Readonly<Record<string, object>>;
}): object => ({
  apiVersion: "v1",
  kind: "Config",
  ...(parts.current === undefined ? {} : { "current-context": parts.current }),
  clusters: Object.entries(parts.clusters ?? {}).map(([name, entry]) => ({ name, cluster: entry })),
  users: Object.entries(parts.users ?? {}).map(([name, entry]) => ({ name, user: entry })),
  contexts: Object.entries(parts.contexts ?? {}).map(([name, entry]) => ({ name, context: entry })),
});

const simple = (server: string, user: object = {}, more: object = {}): object =>
  kubeconfig({
    current: "c",
    clusters: { k: cluster(server, more) },
    users: { u: user },
    contexts: { c: { cluster: "k", user: "u" } },
  });

/** Not of this machine: no KUBECONFIG, an empty home, no pod. */
const alone = (
  env: Readonly<Record<string, string>> = {},
): { env: Readonly<Record<string, string>>; homeDirectory: string } => ({
  env,
  homeDirectory: folder,
});

const base64 = (text: string): string => Buffer.from(text).toString("base64");

describe("where it is looked for", () => {
  it("--kubeconfig before KUBECONFIG before the home before the pod", () => {
    const account = join(folder, "account");
    write("account/token", "t");
    write("account/namespace", "pod-ns\n");
    const pod = { KUBERNETES_SERVICE_HOST: "10.0.0.1", KUBERNETES_SERVICE_PORT: "443" };
    const where = { ...alone(pod), serviceAccountDirectory: account };
    expect(loadKubeconfig(where)).toMatchObject({
      server: "https://10.0.0.1:443",
      namespace: "pod-ns",
      identity: { kind: "token", file: join(account, "token") },
    });
    write(".kube/config", simple("https://home"));
    expect(loadKubeconfig(where).server).toBe("https://home");
    const named = write("named", simple("https://named"));
    expect(loadKubeconfig({ ...where, env: { ...pod, KUBECONFIG: named } }).server).toBe("https://named");
    const given = write("given", simple("https://given"));
    expect(loadKubeconfig({ ...where, env: { ...pod, KUBECONFIG: named }, kubeconfig: given }).server).toBe(
      "https://given",
    );
  });

  it("an IPv6 service host is bracketed", () => {
    write("account/token", "t");
    const env = { KUBERNETES_SERVICE_HOST: "fd00::1", KUBERNETES_SERVICE_PORT: "443" };
    const config = loadKubeconfig({ ...alone(env), serviceAccountDirectory: join(folder, "account") });
    expect(config.server).toBe("https://[fd00::1]:443");
  });
});

describe("several files", () => {
  it("the first that has an entry gives all of it; the first that names a context makes it current", () => {
    const first = write(
      "a/config",
      kubeconfig({
        clusters: { shared: cluster("https://first", { "certificate-authority": "ca.crt" }) },
        contexts: { mine: { cluster: "shared", user: "second-only", namespace: "ns" } },
      }),
    );
    const second = write(
      "b/config",
      kubeconfig({
        current: "mine",
        clusters: {
          shared: cluster("https://second", { "tls-server-name": "second", "certificate-authority": "other.crt" }),
        },
        users: { "second-only": { tokenFile: "token" } },
        contexts: { mine: { cluster: "other", user: "other" } },
      }),
    );
    const env = { KUBECONFIG: [first, "", join(folder, "missing"), second, first].join(delimiter) };
    expect(loadKubeconfig(alone(env))).toEqual({
      source: `kubeconfig "${first}" + "${second}" context "mine"`,
      server: "https://first",
      namespace: "ns",
      ca: { kind: "file", path: join(folder, "a/ca.crt") },
      identity: { kind: "token", file: join(folder, "b/token") },
    });
  });

  it("a broken one among them is an error, not left out", () => {
    const good = write("good", simple("https://good"));
    const bad = write("bad", "clusters: {");
    expect(() => loadKubeconfig(alone({ KUBECONFIG: [good, bad].join(delimiter) }))).toThrow(JSON.stringify(bad));
  });
});

describe("what a context comes down to", () => {
  const load = (content: object, options: object = {}): ReturnType<typeof loadKubeconfig> =>
    loadKubeconfig({ ...alone(), kubeconfig: write("config", content), ...options });

  it("another context and namespace on request", () => {
    const content = kubeconfig({
      current: "one",
      clusters: { k: cluster("https://k") },
      users: { u: {} },
      contexts: { one: { cluster: "k", user: "u" }, two: { cluster: "k", user: "u", namespace: "two" } },
    });
    expect(load(content).namespace).toBe("default");
    expect(load(content, { context: "two" }).namespace).toBe("two");
    expect(load(content, { context: "two", namespace: "three" }).namespace).toBe("three");
  });

  it.each<[string, object, object]>([
    ["no credentials", {}, { identity: { kind: "anonymous" } }],
    ["a token", { token: "t" }, { identity: { kind: "token", token: "t" } }],
    ["a token and its file", { token: "t", tokenFile: "/f" }, { identity: { kind: "token", token: "t", file: "/f" } }],
    ["a password", { username: "me", password: "p" }, { identity: { kind: "basic", username: "me", password: "p" } }],
    [
      "certificate data before a file",
      { "client-certificate": "/no", "client-certificate-data": base64("cert"), "client-key": "/key" },
      { clientCertificate: { cert: { kind: "data", text: "cert" }, key: { kind: "file", path: "/key" } } },
    ],
    [
      "impersonation",
      { token: "t", as: "you", "as-uid": "1", "as-groups": ["g"], "as-user-extra": { scope: ["a", "b"] } },
      { impersonate: { user: "you", uid: "1", groups: ["g"], extra: { scope: ["a", "b"] } } },
    ],
    [
      "a plugin",
      { exec: { apiVersion: "client.authentication.k8s.io/v1beta1", command: "login" } },
      {
        identity: {
          kind: "exec",
          exec: { command: "login", args: [], env: [], provideClusterInfo: false, interactiveMode: "IfAvailable" },
        },
      },
    ],
    [
      "a plugin beside a token: the token",
      { token: "t", exec: { apiVersion: "client.authentication.k8s.io/v1beta1", command: "login" } },
      { identity: { kind: "token", token: "t" } },
    ],
  ])("%s", (_name, user, expected) => {
    expect(load(simple("https://k", user))).toMatchObject(expected);
  });

  it("a plugin's relative command is relative to the file, a bare one is looked up", () => {
    const exec = { apiVersion: "client.authentication.k8s.io/v1", interactiveMode: "Never", command: "bin/login" };
    expect(load(simple("https://k", { exec }))).toMatchObject({
      identity: { exec: { command: join(folder, "bin/login") } },
    });
  });

  it("a plugin that wants it gets to know the cluster, and what the cluster has for it", () => {
    write("ca.crt", "authority");
    const exec = {
      apiVersion: "client.authentication.k8s.io/v1",
      interactiveMode: "Never",
      command: "x",
      provideClusterInfo: true,
    };
    const extensions = [{ name: "client.authentication.k8s.io/exec", extension: { audience: "a" } }];
    const config = load(simple("https://k", { exec }, { "certificate-authority": "ca.crt", extensions }));
    expect(config.identity).toMatchObject({
      clusterInfo: {
        server: "https://k",
        "certificate-authority-data": base64("authority"),
        config: { audience: "a" },
      },
    });
  });

  it("the cluster's proxy before the environment's, and whatever NO_PROXY says", () => {
    const env = { HTTPS_PROXY: "http://env:1", NO_PROXY: "k" };
    expect(load(simple("https://k"), { env: { HTTPS_PROXY: "http://env:1" } }).proxyUrl).toBe("http://env:1");
    expect(load(simple("https://k"), { env }).proxyUrl).toBeUndefined();
    expect(load(simple("https://k", {}, { "proxy-url": "http://own:1" }), { env }).proxyUrl).toBe("http://own:1");
  });

  it("TLS server name, no verification, no compression", () => {
    const more = { "tls-server-name": "n", "insecure-skip-tls-verify": true, "disable-compression": true };
    expect(load(simple("https://k", {}, more))).toMatchObject({
      tlsServerName: "n",
      insecureSkipTlsVerify: true,
      disableCompression: true,
    });
  });

  it.each<[string, object, RegExp]>([
    [
      "no current context",
      kubeconfig({ contexts: { a: { cluster: "k", user: "u" } } }),
      /no current-context; pass --context, one of: "a"$/,
    ],
    ["an unknown context", kubeconfig({ current: "b", contexts: { a: {} } }), /no context "b"; it has: "a"$/],
    [
      "an unknown cluster",
      kubeconfig({ current: "a", contexts: { a: { cluster: "k" } } }),
      /names the cluster "k", which is not there; it has: none$/,
    ],
    [
      "an unknown user",
      kubeconfig({ current: "a", clusters: { k: cluster("https://k") }, contexts: { a: { cluster: "k", user: "u" } } }),
      /names the user "u", which is not there/,
    ],
    ["no server", simple(""), /cluster "k" has no server; add its URL$/],
    [
      "a certificate without a key",
      simple("https://k", { "client-certificate": "/c" }),
      /without a client-key; add the other$/,
    ],
    [
      "a key without a certificate",
      simple("https://k", { "client-key": "/c" }),
      /without a client-certificate; add the other$/,
    ],
    [
      "a token and a password",
      simple("https://k", { token: "t", username: "u" }),
      /both a token and a username; remove one$/,
    ],
    [
      "an authority that is not to be used",
      simple("https://k", {}, { "certificate-authority": "/c", "insecure-skip-tls-verify": true }),
      /remove one$/,
    ],
    [
      "a legacy provider",
      simple("https://k", { "auth-provider": { name: "gcp" } }),
      /auth-provider "gcp" is no longer supported/,
    ],
    ["groups without a user", simple("https://k", { "as-groups": ["a"] }), /need `as`; add it$/],
  ])("refuses %s", (_name, content, message) => {
    expect(() => load(content)).toThrow(
      expect.objectContaining({ code: "FW_KUBECONFIG", message: expect.stringMatching(message) }),
    );
  });
});

describe("errors that name the place", () => {
  it("a missing file", () => {
    expect(() => loadKubeconfig({ ...alone(), kubeconfig: "/nowhere/x" })).toThrow(
      'kubeconfig "/nowhere/x": no such file; pass --kubeconfig or set KUBECONFIG',
    );
  });

  it("nothing anywhere", () => {
    expect(() => loadKubeconfig(alone())).toThrow(
      `no kubeconfig: "${join(folder, ".kube/config")}" does not exist; pass --kubeconfig or set KUBECONFIG`,
    );
  });

  it.each([
    ["broken YAML", "clusters:\n  - name: a\n   cluster: {}\n", /line 3, column \d+: /],
    ["not a mapping", "- a\n", /the file must be a mapping, not a list$/],
    ["a list that is none", "clusters: 3\n", /line 1, column 11: clusters must be a list, not the number 3$/],
    ["an entry without a name", "users:\n  - user: {}\n", /line 2, column 5: users\[0\] lacks name; add it$/],
    ["an entry without its body", "users:\n  - name: u\n", /line 2, column 5: users entry "u" lacks user; add it$/],
    [
      "two entries of a name",
      "users:\n  - {name: u, user: {}}\n  - {name: u, user: {}}\n",
      /line 3, column 12: users has two entries "u"; remove one$/,
    ],
    [
      "a token that is a number",
      "users:\n  - name: u\n    user:\n      token: 12345\n",
      /line 4, column 14: token must be a string, not the number 12345; quote it$/,
    ],
    [
      "a plugin of an unknown version",
      "users:\n  - name: u\n    user:\n      exec:\n        apiVersion: v9\n        command: x\n",
      /line 5, column 21: exec apiVersion "v9" is unknown; use /,
    ],
    [
      "a v1 plugin without its mode",
      "users:\n  - name: u\n    user:\n      exec:\n        apiVersion: client.authentication.k8s.io/v1\n        command: x\n",
      /interactiveMode must be one of Never, IfAvailable, Always$/,
    ],
    [
      "a flag that is a word",
      "clusters:\n  - name: k\n    cluster:\n      insecure-skip-tls-verify: maybe\n",
      /line 4, column 33: insecure-skip-tls-verify must be true or false/,
    ],
  ])("%s", (_name, text, message) => {
    expect(() => parseKubeconfig(text, "/x")).toThrow(
      expect.objectContaining({ code: "FW_KUBECONFIG", message: expect.stringMatching(message) }),
    );
    expect(() => parseKubeconfig(text, "/x")).toThrow(/^kubeconfig "\/x"/);
  });
});

describe("a written kubeconfig", () => {
  it("reads back as what it was made of", () => {
    const text = fc.string({ unit: "grapheme", minLength: 1 });
    fc.assert(
      fc.property(text, text, text, text, fc.option(text, { nil: undefined }), (name, userName, cert, key, token) => {
        const parts = {
          name,
          server: "https://k:6443",
          caCertificate: cert,
          userName,
          clientCertificate: { certificate: cert, key },
          token,
          namespace: "ns",
        };
        const read = parseKubeconfig(formatKubeconfig(parts), "/x");
        expect(read.currentContext).toBe(name);
        expect(read.contexts.get(name)).toEqual({ cluster: name, user: userName, namespace: "ns" });
        expect(read.clusters.get(name)).toEqual({ server: "https://k:6443", certificateAuthorityData: base64(cert) });
        expect(read.users.get(userName)).toEqual({
          clientCertificateData: base64(cert),
          clientKeyData: base64(key),
          ...(token === undefined ? {} : { token }),
        });
      }),
    );
  });

  it("leaves out what is not given", () => {
    expect(parse(formatKubeconfig({ name: "n", server: "https://k", userName: "u" }))).toMatchObject({
      clusters: [{ name: "n", cluster: { server: "https://k" } }],
      users: [{ name: "u", user: {} }],
    });
  });
});
