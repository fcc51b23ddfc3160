import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { differCheckpoints } from "./difference.ts";
import { openImages } from "./image-set.ts";
import { differMemory } from "./memory-difference.ts";
import { file, madeCheckpoint, page } from "./testdata/made-checkpoint.ts";
import type { MadeCheckpoint, MadeMapping, MadeProcess } from "./testdata/made-checkpoint.ts";

const shell: MadeProcess = { pid: 1, parent: 0, command: "sh" };
const differ = async (before: MadeCheckpoint, after: MadeCheckpoint, options = {}) =>
  differCheckpoints(await madeCheckpoint(before), await madeCheckpoint(after), options);

const memoryOf = async (before: readonly MadeMapping[], after: readonly MadeMapping[], ranges?: number) => {
  const images = async (mappings: readonly MadeMapping[], stack = 0x7000) =>
    openImages((await madeCheckpoint({ processes: [{ ...shell, mappings, stack }] })).images);
  return differMemory(
    { images: await images(before), pid: 1 },
    { images: await images(after), pid: 1 },
    ranges === undefined ? {} : { ranges },
  );
};

describe("processes of two checkpoints", () => {
  it("are found again by their place and command, whatever their ids", async () => {
    const { processes } = await differ(
      {
        processes: [shell, { pid: 5, parent: 1, command: "web" }, { pid: 6, parent: 5, command: "worker" }],
      },
      {
        processes: [
          shell,
          { pid: 25, parent: 1, command: "web" },
          { pid: 26, parent: 25, command: "worker" },
          { pid: 27, parent: 25, command: "worker" },
          { pid: 30, parent: 1, command: "sleep" },
        ],
      },
    );
    expect(processes.map(({ path, change, after }) => `${change} ${path.join("/")} ${after?.pid}`)).toEqual([
      "added sh/sleep 30",
      "added sh/web/worker 27",
    ]);
  });

  it("that became another program or went are told apart", async () => {
    const { processes } = await differ(
      { processes: [shell, { pid: 5, parent: 1, command: "init" }, { pid: 6, parent: 1, command: "old" }] },
      { processes: [shell, { pid: 5, parent: 1, command: "web" }] },
    );
    expect(processes.map(({ path, change, before }) => `${change} ${path.join("/")} ${before?.command}`)).toEqual([
      "changed sh/web init",
      "removed sh/old old",
    ]);
  });

  it("that a hostile tree repeats or hangs in a ring are each there once", async () => {
    const ring: readonly MadeProcess[] = [
      { pid: 5, parent: 6, command: "a" },
      { pid: 6, parent: 5, command: "b" },
      { pid: 0, parent: 0, command: "c" },
    ];
    const { processes } = await differ({ processes: ring }, { processes: [] });
    expect(processes.map(({ path, change }) => `${change} ${path.join("/")}`).toSorted()).toEqual([
      "removed a",
      "removed b",
      "removed c",
    ]);
  });

  it("say which files they opened, closed and opened otherwise", async () => {
    const { processes } = await differ(
      { processes: [{ ...shell, files: { 0: "/dev/null", 3: "/a", 4: "/b" } }] },
      { processes: [{ ...shell, files: { 0: "/dev/null", 3: "/c", 5: "/d" } }] },
    );
    expect(processes[0]?.files.map(({ fd, change }) => `${fd} ${change}`)).toEqual([
      "3 changed",
      "4 removed",
      "5 added",
    ]);
  });
});

describe("memory of two checkpoints", () => {
  it("is compared page by page, with the addresses", async () => {
    const difference = await memoryOf(
      [{ from: 0x10000, pages: 8, dumped: { 0: 1, 1: 1, 2: 1, 3: 1, 5: 1 } }],
      [{ from: 0x10000, pages: 8, dumped: { 0: 1, 1: 2, 2: 2, 5: 1, 7: 9 } }],
    );
    expect(difference).toEqual({
      pageSize: page,
      matchedBy: "address",
      pages: { equal: 2, changed: 2, onlyBefore: 1, onlyAfter: 1, unknown: 0 },
      mappings: [
        {
          from: "0x10000",
          to: "0x18000",
          access: "rw-p",
          name: "",
          mappedIn: "both",
          pages: { equal: 2, changed: 2, onlyBefore: 1, onlyAfter: 1, unknown: 0 },
          ranges: [
            { from: "0x11000", to: "0x13000", change: "changed" },
            { from: "0x13000", to: "0x14000", change: "onlyBefore" },
            { from: "0x17000", to: "0x18000", change: "onlyAfter" },
          ],
        },
      ],
      rangesLeftOut: 0,
    });
  });

  it("that grew is a part that only one has", async () => {
    const difference = await memoryOf(
      [{ from: 0x10000, pages: 2, dumped: { 0: 1 } }],
      [{ from: 0x10000, pages: 4, dumped: { 0: 1, 3: 1 } }],
    );
    expect(difference?.mappings.map(({ from, to, mappedIn }) => `${from} ${to} ${mappedIn}`)).toEqual([
      "0x12000 0x14000 after",
    ]);
  });

  it("of a process that began anew is compared by the names of its mappings", async () => {
    const of = async (from: number, stack: number) =>
      openImages(
        (
          await madeCheckpoint({
            processes: [
              { ...shell, stack, mappings: [{ from, pages: 2, dumped: { 0: 1, 1: stack & 0xff }, status: 0x221 }] },
            ],
          })
        ).images,
      );
    const difference = await differMemory(
      { images: await of(0x10000, 0x7001), pid: 1 },
      { images: await of(0x50000, 0x8002), pid: 1 },
    );
    expect(difference).toMatchObject({
      matchedBy: "name",
      pages: { equal: 1, changed: 1, onlyBefore: 0, onlyAfter: 0 },
      mappings: [{ name: "[heap]", ranges: [{ from: "0x51000", to: "0x52000" }] }],
    });
  });

  it("lists no more ranges than were asked for, and counts them all", async () => {
    const dumped = (value: number) => Object.fromEntries([0, 2, 4, 6].map((at) => [at, value]));
    const difference = await memoryOf(
      [{ from: 0x10000, pages: 8, dumped: dumped(1) }],
      [{ from: 0x10000, pages: 8, dumped: dumped(2) }],
      3,
    );
    expect(difference).toMatchObject({ pages: { changed: 4 }, rangesLeftOut: 1 });
    expect(difference?.mappings[0]?.ranges.length).toBe(3);
  });

  it("is what comparing every page by itself says, whatever is mapped and dumped", async () => {
    const mapping = fc.record({
      gap: fc.nat(2),
      pages: fc.integer({ min: 1, max: 5 }),
      values: fc.array(fc.option(fc.nat(2)), { minLength: 5, maxLength: 5 }),
    });
    const laid = (list: readonly { gap: number; pages: number; values: readonly (number | null)[] }[]) => {
      let at = 0x10000;
      return list.map(({ gap, pages, values }): MadeMapping => {
        const from = at + gap * page;
        at = from + pages * page;
        const dumped = values.flatMap((value, index) => (value === null || index >= pages ? [] : [[index, value]]));
        return { from, pages, dumped: Object.fromEntries(dumped) as Record<number, number> };
      });
    };
    const pagesOf = (mappings: readonly MadeMapping[]) =>
      new Map(
        mappings.flatMap(({ from, dumped = {} }) =>
          Object.entries(dumped).map(([at, value]) => [from + Number(at) * page, value] as const),
        ),
      );
    await fc.assert(
      fc.asyncProperty(
        fc.array(mapping, { maxLength: 4 }),
        fc.array(mapping, { maxLength: 4 }),
        async (left, right) => {
          const [before, after] = [laid(left), laid(right)];
          const [was, is] = [pagesOf(before), pagesOf(after)];
          const expected = { equal: 0, changed: 0, onlyBefore: 0, onlyAfter: 0, unknown: 0 };
          for (const [address, value] of was)
            expected[!is.has(address) ? "onlyBefore" : is.get(address) === value ? "equal" : "changed"] += 1;
          for (const address of is.keys()) if (!was.has(address)) expected.onlyAfter += 1;
          expect((await memoryOf(before, after))?.pages).toEqual(expected);
        },
      ),
      { numRuns: 200, seed: 21 },
    );
  });
});

describe("what is around the processes", () => {
  const spec = (env: readonly string[], mounts: readonly object[] = []) => ({
    annotations: {},
    process: { args: ["sh"], env },
    mounts,
  });

  it("shows changed variables by name, and their values only when asked", async () => {
    const before = { spec: spec(["A=1", "TOKEN=old", "GONE=1"]) };
    const after = { spec: spec(["A=1", "TOKEN=new", "B=2"], [{ destination: "/data", type: "bind", source: "/srv" }]) };
    const { settings } = await differ(before, after);
    expect(settings).toEqual([
      { setting: "environment", name: "TOKEN", change: "changed" },
      { setting: "environment", name: "GONE", change: "removed" },
      { setting: "environment", name: "B", change: "added" },
      { setting: "mount", name: "/data", change: "added", after: "bind /srv " },
    ]);
    expect(JSON.stringify(settings)).not.toContain("new");
    expect((await differ(before, after, { values: true })).settings).toContainEqual({
      setting: "environment",
      name: "TOKEN",
      change: "changed",
      before: "old",
      after: "new",
    });
  });

  it("compares the changed files by their contents, not by their times", async () => {
    const { rootfs } = await differ(
      {
        rootfs: [
          [{ ...file("etc/same"), modified: 1 }, "x"],
          [file("etc/changed"), "x"],
          [file("etc/gone"), "x"],
        ],
      },
      {
        rootfs: [
          [{ ...file("./etc/same"), modified: 2 }, "x"],
          [file("./etc/changed"), "y"],
          [file("./bin/new", 0o4755), "x"],
        ],
      },
    );
    expect(rootfs.map(({ name, change }) => `${change} ${name}`)).toEqual([
      "changed etc/changed",
      "removed etc/gone",
      "added bin/new",
    ]);
    expect(rootfs[2]).toMatchObject({ after: { mode: "4755", size: 1 } });
  });

  it("is nothing for the same checkpoint twice, and it is all JSON", async () => {
    const checkpoint: MadeCheckpoint = {
      processes: [{ ...shell, mappings: [{ from: 0x10000, pages: 2, dumped: { 0: 1 } }], files: { 0: "/dev/null" } }],
      spec: spec(["A=1"]),
      rootfs: [[file("a"), "b"]],
    };
    const difference = await differ(checkpoint, checkpoint);
    expect(difference).toMatchObject({ settings: [], processes: [], mounts: [], rootfs: [] });
    expect(JSON.parse(JSON.stringify(difference))).toEqual(difference);
  });
});
