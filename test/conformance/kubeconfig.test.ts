/** Merging kubeconfigs as kubectl does: the same server, namespace and user from the same files. */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import fc from "fast-check";
import { loadKubeconfig } from "@fleetwright/kube";
import { type Binaries, findBinaries } from "@fleetwright/lab";
import { afterAll, beforeAll, expect, it } from "vitest";

let binaries: Binaries;
let folder: string;
beforeAll(async () => {
  binaries = await findBinaries();
  folder = mkdtempSync(join(tmpdir(), "kubeconfig-"));
});
afterAll(() => {
  if (folder) rmSync(folder, { recursive: true });
});

/** What both say of the current context; `undefined`: unusable. */
interface View {
  readonly server: string;
  readonly namespace: string;
  readonly token: string | undefined;
  readonly tlsServerName: string | undefined;
}

function byKubectl(env: Readonly<Record<string, string>>): View | undefined {
  interface Output {
    readonly clusters: readonly { readonly cluster: Readonly<Record<string, string>> }[] | null;
    readonly contexts: readonly { readonly context: { readonly namespace?: string } }[] | null;
    readonly users: readonly { readonly user: { readonly token?: string } }[] | null;
  }
  try {
    const args = ["config", "view", "--minify", "--raw", "-o", "json"];
    const output = execFileSync(binaries.kubectl, args, { env, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
    const { clusters, contexts, users } = JSON.parse(output) as Output;
    const cluster = clusters?.[0]?.cluster;
    const user = users?.[0]?.user;
    if (!cluster?.["server"] || !user) return undefined;
    return {
      server: cluster["server"],
      namespace: contexts?.[0]?.context.namespace ?? "default",
      token: user.token,
      tlsServerName: cluster["tls-server-name"],
    };
  } catch {
    return undefined;
  }
}

function byUs(env: Readonly<Record<string, string>>): View | undefined {
  try {
    const { server, namespace, identity, tlsServerName } = loadKubeconfig({ env });
    return { server, namespace, token: identity.kind === "token" ? identity.token : undefined, tlsServerName };
  } catch {
    return undefined;
  }
}

const name = fc.constantFrom("a", "b");
const maybe = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(arbitrary, { nil: undefined, freq: 2 });
/** Names are mostly unique in a file; kubectl refuses a file where they are not. */
const named = (key: string, entry: fc.Arbitrary<object>): fc.Arbitrary<object[]> => {
  const item = fc.record({ name, [key]: entry });
  return fc.oneof(
    { weight: 19, arbitrary: fc.uniqueArray(item, { selector: (each) => each.name, minLength: 1, maxLength: 2 }) },
    { weight: 1, arbitrary: fc.array(item, { maxLength: 3 }) },
  );
};
const text = fc.constantFrom("one", "two", "three");

const file = fc.record({
  "current-context": maybe(name),
  clusters: named(
    "cluster",
    fc.record({ server: text.map((host) => `https://${host}`), "tls-server-name": maybe(text) }),
  ),
  users: named("user", fc.record({ token: maybe(text) })),
  contexts: named("context", fc.record({ cluster: name, user: name, namespace: maybe(text) })),
});

it("agrees with kubectl on generated sets of files", () => {
  let usable = 0;
  let run = 0;
  fc.assert(
    fc.property(fc.array(file, { minLength: 1, maxLength: 3 }), (files) => {
      const here = join(folder, String(run++));
      mkdirSync(here);
      const paths = files.map((content, index) => {
        const path = join(here, `${index}.json`);
        writeFileSync(path, JSON.stringify({ apiVersion: "v1", kind: "Config", ...content }));
        return path;
      });
      const env = { KUBECONFIG: [...paths, join(here, "missing")].join(delimiter), HOME: here };
      const expected = byKubectl(env);
      if (expected) usable++;
      expect(byUs(env)).toEqual(expected);
    }),
    { numRuns: 120 },
  );
  // Otherwise the test would compare refusals only.
  expect(usable).toBeGreaterThan(10);
});
