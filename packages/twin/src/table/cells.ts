import { labelSelectorText, type LabelSelector, parseQuantity, selectorOf, selectorOfLabels } from "@fleetwright/kube";
import { humanDuration } from "./human-duration.ts";

/** How long ago a time is; `<unknown>` without one. */
export function since(time: string | null | undefined, nowMs: number): string {
  if (time === undefined || time === null || time === "") return "<unknown>";
  const atMs = Date.parse(time);
  return Number.isNaN(atMs) ? "<invalid>" : humanDuration(nowMs - atMs);
}

/** `a=1,b=2`, or `<none>`. */
export const labelsText = (labels: Readonly<Record<string, string>> | null | undefined): string =>
  labelSelectorText(selectorOfLabels(labels ?? undefined)) || "<none>";

/** The selector as kubectl takes it; `<none>` for one that selects everything. */
export function selectorText(selector: LabelSelector | null | undefined): string {
  try {
    return labelSelectorText(selectorOf(selector)) || "<none>";
  } catch {
    return "<error>";
  }
}

/** A quantity in canonical form; one that cannot be read as it is. */
export function quantityText(text: string | undefined): string {
  if (text === undefined) return "0";
  try {
    return parseQuantity(text).toString();
  } catch {
    return text;
  }
}

/** `a,b,c + 2 more...`; `<unset>` for none. */
export function firstThree(list: readonly string[]): string {
  if (list.length === 0) return "<unset>";
  const first = list.slice(0, 3).join(",");
  return list.length > 3 ? `${first} + ${list.length - 3} more...` : first;
}
