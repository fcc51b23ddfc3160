import { describe, expect, it } from "vitest";
import { formatTable } from "./table.ts";

describe("formatTable", () => {
  it("aligns columns with three spaces and leaves nothing behind the last", () => {
    const rows = [
      { name: "vision", used: "5" },
      { name: "a", used: "" },
    ];
    const text = formatTable(
      [
        { heading: "name", value: (row) => row.name },
        { heading: "used", value: (row) => row.used },
      ],
      rows,
    );
    expect(text).toBe("NAME     USED\nvision   5\na\n");
  });
});
