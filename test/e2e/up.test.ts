import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { kubernetesVersion } from "@fleetwright/lab";
import { eventually } from "./eventually.ts";
import { runProgram, startProcess, startProgram, type Ended, type RunningProgram } from "./program.ts";
import { kubectl as pinned, serverName } from "./server.ts";

const quickstart = fileURLToPath(new URL("../../examples/quickstart/", import.meta.url));
const fits = join(quickstart, "fits.yaml");
const tooBig = join(quickstart, "too-big.yaml");
const kubectls = [
  ...(pinned === undefined ? [] : [[`the pinned kubectl ${kubernetesVersion}`, pinned] as const]),
  ...["/usr/local/bin/kubectl", "/usr/bin/kubectl"]
    .filter((path) => existsSync(path))
    .slice(0, 1)
    .map((path) => ["the machine's own kubectl", path] as const),
] as const;

const folder = mkdtempSync(join(tmpdir(), "fleetwright-up-"));
const secondKubeconfig = join(folder, "second", "kubeconfig");
let first: RunningProgram;
let second: RunningProgram;
let kubeconfig: string;
let server: string;

beforeAll(async () => {
  first = startProgram(["up", "--cluster", serverName]);
  second = startProgram(["up", "--cluster", serverName, "--kubeconfig", secondKubeconfig]);
  [, kubeconfig = "", server = ""] = await first.line(/^ready: kubeconfig=(\S+) server=(\S+)\n/m, 100_000);
});

afterAll(async () => {
  for (const up of [first, second]) up?.signal("SIGINT");
  await Promise.all([first, second].map((up) => up?.ended));
  rmSync(folder, { recursive: true, force: true });
});

const env = (): Record<string, string> => ({ KUBECONFIG: kubeconfig, TMPDIR: folder });
const fleetwright = (...args: readonly string[]): Promise<Ended> => runProgram(args, { env: env() });

describe.each(kubectls)("the example cluster, as a user of %s sees it", (_name, path) => {
  const kubectl = (args: string, extra: { stdin?: string; env?: Record<string, string> } = {}): Promise<Ended> =>
    startProcess(path, args.split(" "), { ...extra, env: { ...env(), ...extra.env } }).ended;
  const says = async (args: string): Promise<string> => {
    const { code, stdout, stderr } = await kubectl(args);
    expect({ args, code, stderr }).toEqual({ args, code: 0, stderr: "" });
    return stdout;
  };
  const usedH200 = (): Promise<string> =>
    says("get bizrq vision -o jsonpath={.status.used['requests\\.nvidia\\.com/gpu\\.H200']}");
  const runs = (deployment: string, replicas: number): Promise<unknown> =>
    eventually(
      `${deployment} runs with ${replicas}`,
      () => says(`get pods -n vision -l app=${deployment} -o jsonpath={.items[*].status.phase}`),
      (phases) => phases === Array.from({ length: replicas }, () => "Running").join(" "),
    );
  const edit = (replicas: number): Promise<Ended> => {
    const script = join(folder, "replicas.sed");
    writeFileSync(script, `s/^  replicas: .*/  replicas: ${replicas}/\n`);
    return kubectl("edit deployment vit -n vision", { env: { KUBE_EDITOR: `sed -i -f ${script}` } });
  };
  const denied = (webhook: string, message: string): string =>
    `admission webhook "${webhook}.quota.fleetwright.dev" denied the request: quota "vision": ${message}; above it, ` +
    'requests.nvidia.com/gpu.H200: "acme" has 0 left of 64, "research" has 8 left of 48\n';

  it("lists the groups and explains their fields", async () => {
    const [header = "", ...rows] = (await says("get bizrq")).trimEnd().split("\n");
    expect(header.split(/\s{2,}/)).toEqual(["NAME", "PARENT", "CPU USED", "CPU", "GPU USED", "GPU", "AGE"]);
    expect(rows.map((row) => row.split(/\s+/)[0])).toEqual([
      "acme",
      "assistant",
      "product",
      "research",
      "search",
      "speech",
      "vision",
    ]);
    expect(rows.at(-1)).toMatch(/^vision +research +32 +800 +8 +48 /);
    const explained = await says("explain bizrq.spec");
    expect(explained).toMatch(/hard\s+<map\[string\]\S+>\s+-required-/);
    expect(explained).toContain("as in\n    a ResourceQuota: limits.cpu");
    expect(explained).toMatch(/parentBizGroup\s+<string>/);
  });

  it("refuses a Deployment that does not fit, whole and with the sum; dry-run says the same", async () => {
    const sum = "requests.nvidia.com/gpu.H200 needs 24, 16 left of 16 (0 used by itself)";
    for (const args of [`apply -f ${tooBig}`, `apply --dry-run=server -f ${tooBig}`]) {
      const { code, stdout, stderr } = await kubectl(args);
      expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
      expect(stderr).toBe(
        `Error from server (Forbidden): error when creating ${JSON.stringify(tooBig)}: ${denied("workload", sum)}`,
      );
    }
    expect(await says("get deployment vit-large -n vision --ignore-not-found")).toBe("");
    expect(await says("get replicasets,pods -n vision -l app=vit-large --ignore-not-found")).toBe("");
    expect(await usedH200()).toBe("0");
  });

  it("charges nothing for a dry run of one that fits", async () => {
    const version = (): Promise<string> => says("get bizrq vision -o jsonpath={.metadata.resourceVersion}");
    const before = await version();
    expect(await says(`apply --dry-run=server -f ${fits}`)).toBe("deployment.apps/vit created (server dry run)\n");
    expect(await version()).toBe(before);
    expect(await usedH200()).toBe("0");
    expect(await says("get deployment vit -n vision --ignore-not-found")).toBe("");
  });

  it("runs the pods of one that fits, and refuses to scale or edit it beyond", async () => {
    expect(await says(`apply -f ${fits}`)).toBe("deployment.apps/vit created\n");
    expect(await usedH200()).toBe("16");
    await runs("vit", 2);
    const scaled = await kubectl("scale deployment vit -n vision --replicas=3");
    const sum = "requests.nvidia.com/gpu.H200 needs 8, 0 left of 16 (16 used by itself)";
    expect(scaled.code).toBe(1);
    expect(scaled.stderr).toBe(`Error from server (Forbidden): ${denied("scale", sum)}`);
    const edited = await edit(3);
    expect(edited.code).toBe(1);
    expect(edited.stderr).toContain(denied("workload", sum).trimEnd());
    expect(await says("get deployment vit -n vision -o jsonpath={.spec.replicas}")).toBe("2");
  });

  it("gives room back when it is edited or scaled down, and takes it again", async () => {
    const one = await edit(1);
    expect(one).toMatchObject({ code: 0, stdout: "deployment.apps/vit edited\n" });
    await eventually("8 given back", usedH200, (used) => used === "8");
    await runs("vit", 1);
    expect(await says("scale deployment vit -n vision --replicas=2")).toBe("deployment.apps/vit scaled\n");
    expect(await usedH200()).toBe("16");
    await runs("vit", 2);
  });

  it("admits what it refused once there is room", async () => {
    const waiting = join(folder, "waiting.yaml");
    writeFileSync(waiting, readFileSync(tooBig, "utf8").replace("replicas: 3", "replicas: 2"));
    const { code, stderr } = await kubectl(`apply -f ${waiting}`);
    expect(code).toBe(1);
    expect(stderr).toContain("requests.nvidia.com/gpu.H200 needs 16, 0 left of 16 (16 used by itself)");
    await says(`delete -f ${fits}`);
    expect(await says(`apply -f ${waiting}`)).toBe("deployment.apps/vit-large created\n");
    await runs("vit-large", 2);
    await says(`delete -f ${waiting}`);
    await eventually("all given back", usedH200, (used) => used === "0");
  });
});

describe("the quota commands on it", () => {
  const output = async (format: string, ...args: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await fleetwright(...args, "-o", format);
    expect({ code, stderr }).toEqual({ code: args[1] === "can-i" && args.includes(tooBig) ? 1 : 0, stderr: "" });
    return stdout;
  };
  /** The same data as JSON and as YAML. */
  const data = async (...args: readonly string[]): Promise<unknown> => {
    const [json, yaml] = await Promise.all([output("json", ...args), output("yaml", ...args)]);
    const value: unknown = JSON.parse(json);
    expect(parse(yaml)).toEqual(value);
    return value;
  };
  const gpus = { key: "requests.nvidia.com/gpu", hard: "48", used: "8", selfUsed: "8", granted: "0", left: "40" };

  it("show the tree", async () => {
    const table = await output("table", "quota", "tree");
    expect(table).toMatch(/^GROUP +RESOURCE +HARD +SELF +GRANTED +LEFT\nacme +limits\.cpu +3k +0 +2800 +200\n/);
    expect(table).toMatch(/^ {4}vision +limits\.cpu +800 +32 +0 +768$/m);
    expect(await data("quota", "tree")).toMatchObject([
      {
        name: "acme",
        children: [
          { name: "product", children: [{ name: "assistant" }, { name: "search" }] },
          {
            name: "research",
            children: [{ name: "speech" }, { name: "vision", keys: expect.arrayContaining([gpus]) }],
          },
        ],
      },
    ]);
  });

  it("explain a group by its levels and holders", async () => {
    const table = await output("table", "quota", "explain", "vision");
    expect(table).toMatch(/^acme > research > vision\n/);
    expect(table).toMatch(/^vision\/ocr \(deployments\.apps\) +limits\.cpu +32$/m);
    expect(await data("quota", "explain", "vision")).toMatchObject({
      name: "vision",
      levels: [{ name: "acme" }, { name: "research" }, { name: "vision", keys: expect.arrayContaining([gpus]) }],
      holders: [{ name: "ocr", charge: { "requests.nvidia.com/gpu.A100": "8" } }],
    });
  });

  it("say what would fit, and at which level and model what would not", async () => {
    expect(await output("table", "quota", "can-i", "-f", fits)).toMatch(
      /^Deployment vision\/vit: yes: fits into "vision"\n/,
    );
    expect(await output("table", "quota", "can-i", "-f", tooBig)).toBe(
      'Deployment vision/vit-large: no: does not fit into "vision"\n' +
        "  requests.nvidia.com/gpu.H200: needs 24, 16 left of 16\n" +
        '    0 left in "acme" above it\n    8 left in "research" above it\n',
    );
    expect(await data("quota", "can-i", "-f", tooBig)).toMatchObject([
      { name: "vit-large", verdict: { kind: "lacks", missing: [{ key: "requests.nvidia.com/gpu.H200", left: "16" }] } },
    ]);
    const piped = await runProgram(["quota", "can-i", "-f", "-", "-o", "json"], {
      env: env(),
      stdin: readFileSync(fits, "utf8"),
    });
    expect(piped.code).toBe(0);
    expect(JSON.parse(piped.stdout)).toMatchObject([{ name: "vit", verdict: { kind: "fits" } }]);
  });
});

describe("Ctrl-C", () => {
  const isAlive = (pid: number): boolean => {
    try {
      return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
    } catch {
      return false;
    }
  };

  it("stops every process of one cluster, removes its folder, and leaves the one beside it alone", async () => {
    const [, path = "", other = ""] = await second.line(/^ready: kubeconfig=(\S+) server=(\S+)\n/m);
    expect(path).toBe(secondKubeconfig);
    expect(other).not.toBe(server);
    const workspace = dirname(kubeconfig);
    // The twin has no processes but this one.
    const list = join(workspace, "processes.json");
    const recorded = existsSync(list) ? (JSON.parse(readFileSync(list, "utf8")) as { pid: number }[]) : [];
    expect(recorded.filter(({ pid }) => isAlive(pid))).toHaveLength(serverName === "real" ? 4 : 0);

    first.signalGroup("SIGINT");
    const { code, stdout } = await first.ended;
    expect(code).toBe(0);
    expect(stdout).toBe(`ready: kubeconfig=${kubeconfig} server=${server}\n`);
    expect(recorded.filter(({ pid }) => isAlive(pid))).toEqual([]);
    expect(existsSync(workspace)).toBe(false);

    const beside = await runProgram(["quota", "tree", "--kubeconfig", path, "-o", "json"]);
    expect(beside.code).toBe(0);
    expect(JSON.parse(beside.stdout)).toMatchObject([{ name: "acme" }]);
    second.signalGroup("SIGINT");
    expect((await second.ended).code).toBe(0);
  });
});
