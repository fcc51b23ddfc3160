import { stringify } from "yaml";

/** Prints data as the user asked; `table` is only made when it is wanted. */
export function formatOutput(format: string, data: unknown, table: () => string): string {
  if (format === "json") return `${JSON.stringify(data, null, 2)}\n`;
  if (format === "yaml") return stringify(data, { lineWidth: 0 });
  return table();
}
