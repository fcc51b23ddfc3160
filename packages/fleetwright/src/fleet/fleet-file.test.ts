import { describe, expect, it } from "vitest";
import { parseFleet } from "./fleet-file.ts";

const parse = (text: string) => parseFleet(text, "/fleets/fleet.yaml");
const at = (line: number, column: number, message: string): string =>
  `fleet file "/fleets/fleet.yaml" line ${line}, column ${column}: ${message}`;

describe("a fleet file", () => {
  it("takes GPUs, processors and memory from the model, and what it says itself instead", () => {
    const { pools, manifests } = parse(
      [
        "nodes:",
        "  - { name: h, count: 2, model: H200 }",
        "  - name: a",
        "    model: A100",
        "    gpus: 4",
        "    cpu: 96",
        "    labels: { zone: z1 }",
        "    taints: [{ key: gpu, value: a100, effect: NoSchedule }]",
        "    capacity: { example.com/nic: 2 }",
        "  - { name: cpu }",
        "apply: [quota.yaml, /else/work.yaml]",
      ].join("\n"),
    );
    expect(pools).toEqual([
      { name: "h", count: 2, cpu: "192", memory: "2Ti", gpu: { product: "NVIDIA-H200", count: 8, memoryMiB: 143_771 } },
      {
        name: "a",
        count: 1,
        cpu: "96",
        memory: "1Ti",
        gpu: { product: "NVIDIA-A100-SXM4-80GB", count: 4, memoryMiB: 81_920 },
        labels: { zone: "z1" },
        taints: [{ key: "gpu", value: "a100", effect: "NoSchedule" }],
        capacity: { "example.com/nic": "2" },
      },
      { name: "cpu", count: 1 },
    ]);
    expect(manifests).toEqual(["/fleets/quota.yaml", "/else/work.yaml"]);
  });

  const broken: readonly (readonly [string, string, string])[] = [
    ["no YAML", "nodes: [", at(1, 9, "Flow sequence in block collection must be sufficiently indented")],
    ["no mapping", "- a", "the file must be a mapping, not a list"],
    ["no nodes", "apply: []", "nodes is missing or empty"],
    [
      "an unknown field",
      "nodes: [{ name: a }]\nfoo: 1",
      at(2, 6, 'unknown field "foo" in a fleet; known are nodes, apply'),
    ],
    ["an unknown field of a pool", "nodes:\n  - name: a\n    gpu: 8", at(3, 10, 'unknown field "gpu" in nodes[0]')],
    [
      "an unknown model",
      "nodes:\n  - name: a\n    model: H900",
      at(3, 12, 'nodes[0].model: unknown model "H900"; known are T4,'),
    ],
    ["GPUs of no model", "nodes:\n  - name: a\n    gpus: 8", at(3, 11, "nodes[0].gpus: of which model? Add model")],
    [
      "a count that is none",
      "nodes:\n  - { name: a, count: -1 }",
      at(2, 23, "nodes[0].count: -1 is not a whole number from 1 to 20000"),
    ],
    [
      "an amount that is none",
      "nodes:\n  - name: a\n    memory: lots",
      at(3, 13, 'nodes[0].memory: "lots" is not an amount'),
    ],
    ["a name that is none", "nodes:\n  - name: A_B", at(2, 11, 'nodes[0].name: "A_B" cannot begin a node\'s name')],
    [
      "two pools of one name",
      "nodes:\n  - name: a\n  - name: a",
      at(3, 11, 'nodes[1].name: "a" is another pool\'s: its nodes would join twice'),
    ],
    [
      "a taint's effect",
      "nodes:\n  - name: a\n    taints: [{ key: k, effect: Never }]",
      at(3, 32, 'nodes[0].taints[0].effect: "Never" is none of'),
    ],
    ["too many nodes", "nodes:\n  - { name: a, count: 20000 }\n  - { name: b }", "nodes: 20001 in all; at most 20000"],
  ];
  it.each(broken)("says where and what, for %s", (_, text, message) => {
    expect(() => parse(text)).toThrow(
      expect.objectContaining({ code: "FW_FLEET_FILE", message: expect.stringContaining(message) }),
    );
  });
});
