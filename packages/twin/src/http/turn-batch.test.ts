import { describe, expect, it } from "vitest";
import { nextTurn } from "@fleetwright/kube";
import { createBatch } from "./turn-batch.ts";

describe("work in rows", () => {
  it("is done in order, after the turn in which it came, so many pieces in a turn", async () => {
    const inRow = createBatch(2);
    const done: number[] = [];
    for (const piece of [1, 2, 3, 4, 5]) inRow(() => void done.push(piece));
    expect(done).toEqual([]);
    const seen: number[] = [];
    while (done.length < 5) {
      await nextTurn();
      seen.push(done.length);
    }
    expect(seen).toEqual([2, 4, 5]);
    expect(done).toEqual([1, 2, 3, 4, 5]);
  });

  it("may bring more work, which waits for its turn", async () => {
    const inRow = createBatch(10);
    const done: string[] = [];
    inRow(() => {
      done.push("first");
      inRow(() => void done.push("third"));
    });
    inRow(() => void done.push("second"));
    await nextTurn();
    expect(done).toEqual(["first", "second"]);
    await nextTurn();
    expect(done).toEqual(["first", "second", "third"]);
  });
});
