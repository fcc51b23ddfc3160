/** One upstream specification as JSON reports name it. */
export interface SpecReport {
  readonly ContainerHierarchyTexts?: readonly string[] | null;
  readonly LeafNodeText: string;
  readonly LeafNodeType: string;
  readonly State: string;
  readonly Failure?: { readonly Message?: string };
}

/** What came of the specs that were asked for. */
export interface SpecOutcome {
  readonly passed: readonly string[];
  readonly failed: readonly { readonly name: string; readonly message: string }[];
  /** Asked for, but not in the suite. */
  readonly missing: readonly string[];
}

/** Names, one a line; `#` begins a comment. */
export function parseSpecNames(text: string): readonly string[] {
  return text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"));
}

/** A regular expression for ginkgo that matches these names alone; ginkgo puts the suite's own description before them. */
export function focusOf(names: readonly string[]): string {
  return `(?:^| )(?:${names.map((name) => name.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&")).join("|")})$`;
}

/** A spec's full name, as upstream's lists write it: labels are not part of it. */
export const specName = ({ ContainerHierarchyTexts, LeafNodeText }: SpecReport): string =>
  [...(ContainerHierarchyTexts ?? []), LeafNodeText].join(" ");

/** Sums up ginkgo's JSON report. */
export function outcomeOf(asked: readonly string[], reports: readonly SpecReport[]): SpecOutcome {
  const ran = reports.filter(
    ({ LeafNodeType, State }) => LeafNodeType === "It" && State !== "skipped" && State !== "pending",
  );
  const states = new Map(ran.map((report) => [specName(report), report]));
  const there = asked.filter((name) => states.has(name));
  return {
    passed: there.filter((name) => states.get(name)?.State === "passed"),
    failed: there
      .filter((name) => states.get(name)?.State !== "passed")
      .map((name) => ({ name, message: states.get(name)?.Failure?.Message ?? "no message" })),
    missing: asked.filter((name) => !states.has(name)),
  };
}
