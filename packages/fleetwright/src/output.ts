import { stringify } from "yaml";

/** Prints data as the user asked; `table` is only made when it is wanted. What kubectl's YAML 1.1 would not read as text, such as `yes` and times, is quoted. */
export function formatOutput(format: string, data: unknown, table: () => string): string {
  if (format === "json") return `${JSON.stringify(data, null, 2)}\n`;
  if (format === "yaml") return stringify(data, { lineWidth: 0, compat: "yaml-1.1" });
  return table();
}
