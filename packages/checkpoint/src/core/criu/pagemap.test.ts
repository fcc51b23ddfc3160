import { describe, expect, it } from "vitest";
import { pageIndex, runAt, stretches } from "./pagemap.ts";

const pageSize = 4096;

describe("the page index", () => {
  it("reads both generations of the page count", () => {
    const old = pageIndex([{ pages_id: 1 }, { vaddr: "0x10000", compat_nr_pages: 2, flags: 4 }], { pageSize });
    const now = pageIndex([{ pages_id: 1 }, { vaddr: "0x10000", compat_nr_pages: 0, nr_pages: "2", flags: 4 }], {
      pageSize,
    });
    expect(now).toEqual(old);
    expect(now).toMatchObject({ pagesId: 1, bytes: 2 * pageSize });
  });

  it("counts bytes only for pages that are here", () => {
    const index = pageIndex(
      [
        { pages_id: 1 },
        { vaddr: "0x10000", compat_nr_pages: 1, flags: 4 },
        { vaddr: "0x20000", compat_nr_pages: 1, flags: 1, in_parent: true },
        { vaddr: "0x30000", compat_nr_pages: 1, flags: 2 },
        { vaddr: "0x40000", compat_nr_pages: 1, flags: 6 },
        { vaddr: "0x50000", compat_nr_pages: 1 },
        { vaddr: "0x60000", compat_nr_pages: 1, in_parent: true },
      ],
      { pageSize },
    );
    expect(index.runs.map(({ home, offset }) => `${home} ${offset}`)).toEqual([
      "here 0",
      "parent 0",
      "lazy 0",
      "here 4096",
      "here 8192",
      "parent 0",
    ]);
    expect(index.bytes).toBe(3 * pageSize);
  });

  it("finds the run of an address, and says where there is none", () => {
    const index = pageIndex(
      [
        { pages_id: 1 },
        { vaddr: "0x10000", compat_nr_pages: 2, flags: 4 },
        { vaddr: "0x20000", compat_nr_pages: 1, flags: 4 },
      ],
      { pageSize },
    );
    expect([0x0n, 0x10000n, 0x11fffn, 0x12000n, 0x20fffn, 0x21000n].map((address) => runAt(index, address))).toEqual([
      0, 0, 0, 1, 1, 2,
    ]);
    const homes = [...stretches(index, 0x11000n, 0x21000n)].map(({ home, length }) => `${home} ${length}`);
    expect(homes).toEqual(["here 4096", "nowhere 57344", "here 4096"]);
  });

  it("refuses runs that overlap, go backwards or leave the address space", () => {
    const entries = (...list: readonly (readonly [string, string])[]) => [
      { pages_id: 1 },
      ...list.map(([vaddr, nr_pages]) => ({ vaddr, nr_pages, compat_nr_pages: 0, flags: 4 })),
    ];
    expect(() => pageIndex(entries(["0x10000", "2"], ["0x11000", "1"]), { pageSize })).toThrow(
      "within the run before it",
    );
    expect(() => pageIndex(entries(["0x10001", "1"]), { pageSize })).toThrow("not a multiple of the page size");
    expect(() => pageIndex(entries(["0xfffffffffffff000", "2"]), { pageSize })).toThrow("too many");
    expect(() => pageIndex(entries(["0x10000", "18446744073709551615"]), { pageSize })).toThrow("too many");
    expect(() => pageIndex([], { pageSize })).toThrow("no pages_id");
  });
});
