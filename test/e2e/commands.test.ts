import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BizGroupResourceQuotas, customResourceDefinition } from "@fleetwright/api";
import { createClient, CustomResourceDefinitions } from "@fleetwright/kube";
import type { ControlPlane } from "@fleetwright/lab";
import { eventually } from "./eventually.ts";
import { runProgram, type Ended } from "./program.ts";
import { startServer } from "./server.ts";

const folder = mkdtempSync(join(tmpdir(), "fleetwright-commands-"));
const file = (name: string, content: string): string => {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
};

/** A line on standard error and nothing else, exit code 2. Returns the line. */
function complaint({ code, stdout, stderr }: Ended): string {
  expect({ code, stdout, lines: stderr.trimEnd().split("\n").length, stderr }).toMatchObject({
    code: 2,
    stdout: "",
    lines: 1,
  });
  return stderr.trimEnd();
}

const complains = async (...args: readonly string[]): Promise<string> =>
  complaint(await runProgram(args, { env: { HOME: folder } }));

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("words that the program does not know", () => {
  const cases: readonly (readonly [args: string, expected: RegExp])[] = [
    ["quotas tree", /^fleetwright: unknown command 'quotas' \(Did you mean quota\?\); --help lists what it takes$/],
    ["quota three", /^fleetwright: unknown command 'three' \(Did you mean tree\?\); --help lists what it takes$/],
    ["quota tree --colour", /unknown option '--colour'.*--help/],
    ["quota tree -o xml", /argument 'xml' is invalid\. Allowed choices are table, json, yaml; --help/],
    ["quota explain", /missing required argument 'group'.*--help/],
    ["quota can-i", /-f is missing: name a manifest, or - for standard input/],
    ["manager --quota-refresh soon", /"soon" is not a duration; write for example 500ms, 90s, 5m or 1h30m/],
    ["manager --quota-workers 0", /"0" is not a whole number from 1 to 100/],
  ];
  it.concurrent.each(cases)("%s", async (args, expected) => {
    expect(await complains(...args.split(" "))).toMatch(expected);
  });
});

describe.concurrent("a kubeconfig", () => {
  it("that is not there is named, given or looked for", async () => {
    const path = join(folder, "nowhere");
    expect(await complains("quota", "tree", "--kubeconfig", path)).toBe(
      `fleetwright: kubeconfig "${path}": no such file; pass --kubeconfig or set KUBECONFIG`,
    );
    expect(await complains("manager")).toBe(
      `fleetwright: no kubeconfig: "${folder}/.kube/config" does not exist; pass --kubeconfig or set KUBECONFIG`,
    );
  });

  it("that is broken YAML is named with line and column", async () => {
    const path = file("broken.kubeconfig", "apiVersion: v1\nclusters:\n- name: [a\n  cluster: {}\n");
    expect(await complains("quota", "tree", "--kubeconfig", path)).toMatch(
      new RegExp(`^fleetwright: kubeconfig "${path}" line \\d+, column \\d+: .+; correct the file$`),
    );
  });

  it("whose server does not answer is named with its address", async () => {
    // A port that was just given back, so that nobody listens there.
    const taken = await listening();
    const { port } = taken.address() as AddressInfo;
    await new Promise((resolve) => taken.close(resolve));
    const config = {
      clusters: [{ name: "c", cluster: { server: `https://127.0.0.1:${port}` } }],
      contexts: [{ name: "c", context: { cluster: "c", user: "u" } }],
      users: [{ name: "u", user: {} }],
      "current-context": "c",
    };
    const path = file("gone.kubeconfig", JSON.stringify(config));
    const expected = new RegExp(
      `^fleetwright: https://127\\.0\\.0\\.1:${port} \\(kubeconfig "${path}" context "c"\\): connection refused; check `,
    );
    expect(await complains("quota", "tree", "--kubeconfig", path)).toMatch(expected);
    expect(await complains("manager", "--kubeconfig", path, "--health-address=off")).toMatch(expected);
  });
});

describe.concurrent("a manifest", () => {
  it("that is malformed is named with line and column", async () => {
    const path = file("bad.yaml", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x\nspec: {}\n");
    expect(await complains("quota", "can-i", "-f", path)).toMatch(new RegExp(`^fleetwright: ${path}:4:1: .+`));
    const nameless = file("nameless.yaml", "apiVersion: apps/v1\nkind: Deployment\n---\nkind: Job\n");
    expect(await complains("quota", "can-i", "-f", nameless)).toBe(
      `fleetwright: ${nameless}:1:1: metadata.name is missing`,
    );
    const piped = await runProgram(["quota", "can-i", "-f", "-"], { stdin: "a: b: c\n" });
    expect(complaint(piped)).toMatch(/^fleetwright: <stdin>:1:\d+: /);
  });

  it("that is not there, or holds nothing that is charged, is named", async () => {
    const path = join(folder, "no.yaml");
    expect(await complains("quota", "can-i", "-f", path)).toMatch(
      new RegExp(`^fleetwright: ${path}: cannot be read \\(ENOENT`),
    );
    const map = file("map.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n");
    expect(await complains("quota", "can-i", "-f", map)).toBe(
      `fleetwright: ${map}: holds no workload; quotas charge Deployment, StatefulSet, ReplicaSet, Job, CronJob, Pod`,
    );
  });
});

function listening(): Promise<Server> {
  return new Promise((resolve) => {
    const server = createServer();
    server.listen(0, "127.0.0.1", () => resolve(server));
  });
}

describe("on a cluster", () => {
  let controlPlane: ControlPlane;
  const on = (...args: readonly string[]): Promise<string> =>
    complains(...args, "--kubeconfig", controlPlane.kubeconfigPath);
  const manager = (...args: readonly string[]): Promise<string> =>
    on("manager", "--log-level=error", "--webhook-url=https://127.0.0.1:1", ...args);

  beforeAll(async () => {
    controlPlane = await startServer();
  });
  afterAll(() => controlPlane?.stop());

  it("without our kinds, everybody is told how to bring them", async () => {
    const expected =
      'fleetwright: the cluster has no bizgroupresourcequotas.fleetwright.dev: run "kubectl apply -f config/crd"';
    expect(await manager("--webhook-address=127.0.0.1:0", "--health-address=off")).toBe(expected);
    expect(await on("quota", "tree")).toBe(expected);
    expect(await on("quota", "explain", "vision")).toBe(expected);
  });

  it("an expired certificate is told with its end", async () => {
    const pair = await controlPlane.authority.issue({
      usage: "client",
      commonName: "late",
      notBefore: Date.UTC(2020, 0, 1),
      notAfter: Date.UTC(2021, 0, 1),
    });
    const config = {
      clusters: [
        {
          name: "c",
          cluster: {
            server: controlPlane.url,
            "certificate-authority-data": Buffer.from(controlPlane.caCertificate).toString("base64"),
          },
        },
      ],
      contexts: [{ name: "c", context: { cluster: "c", user: "u" } }],
      users: [
        {
          name: "u",
          user: {
            "client-certificate-data": Buffer.from(pair.certificate).toString("base64"),
            "client-key-data": Buffer.from(pair.key).toString("base64"),
          },
        },
      ],
      "current-context": "c",
    };
    const path = file("late.kubeconfig", JSON.stringify(config));
    const expected = `: the client certificate expired at 2021-01-01T00:00:00.000Z; get a new one from who runs the cluster`;
    expect(await complains("quota", "tree", "--kubeconfig", path)).toContain(expected);
    expect(await complains("manager", "--kubeconfig", path)).toContain(expected);
  });

  it("a user without rights is told each verb and resource that is lacking", async () => {
    const { kubeconfigPath } = await controlPlane.issueUser("nobody");
    const said = await complains("manager", "--kubeconfig", kubeconfigPath, "--health-address=off");
    expect(said).toMatch(/^fleetwright: the manager's user may not /);
    for (const access of [
      "list deployments.apps in all namespaces",
      "watch pods in all namespaces",
      "update bizgroupresourcequotas/status.fleetwright.dev in all namespaces",
      'create leases.coordination.k8s.io in namespace "fleetwright-system"',
    ])
      expect(said).toContain(access);
    expect(said).toMatch(/; grant it with config\/rbac\/manager\.yaml$/);
    const tree = await complains("quota", "tree", "--kubeconfig", kubeconfigPath);
    expect(tree).toContain('cannot list resource "bizgroupresourcequotas" in API group "fleetwright.dev"');
  });

  describe("with our kinds", () => {
    let taken: Server;
    let address: string;
    beforeAll(async () => {
      const client = createClient({ kubeconfig: controlPlane.kubeconfigPath });
      await client.create(CustomResourceDefinitions, customResourceDefinition(BizGroupResourceQuotas) as never);
      const served = (): Promise<boolean> =>
        client.list(BizGroupResourceQuotas as never).then(
          () => true,
          () => false,
        );
      await eventually("the CRD is served", served);
      await client.close();
      taken = await listening();
      address = `127.0.0.1:${(taken.address() as AddressInfo).port}`;
    });
    afterAll(() => new Promise((resolve) => taken.close(resolve)));

    it("a group that is not there is named", async () => {
      expect(await on("quota", "explain", "ghost")).toBe(
        'fleetwright: there is no bizrq "ghost"; "fleetwright quota tree" lists them',
      );
    });

    it("no group at all is no mistake", async () => {
      const { code, stdout } = await runProgram(["quota", "tree", "--kubeconfig", controlPlane.kubeconfigPath]);
      expect({ code, stdout }).toEqual({ code: 0, stdout: "no groups\n" });
    });

    it("a taken port is named, of the webhooks and of the probes", async () => {
      expect(await manager(`--webhook-address=${address}`, "--health-address=off")).toBe(
        `fleetwright: webhook address ${address} is taken by another process; choose another port`,
      );
      expect(await manager("--webhook-address=127.0.0.1:0", `--health-address=${address}`)).toBe(
        `fleetwright: cannot listen on ${address}: another process has it; stop that one or choose another`,
      );
    });

    it("an address that is none is named with its flag", async () => {
      expect(await manager("--webhook-address=9443")).toBe(
        'fleetwright: --webhook-address "9443": write host:port, for example 127.0.0.1:9443',
      );
    });
  });
});
