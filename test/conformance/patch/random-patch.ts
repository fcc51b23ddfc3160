import type { Random } from "@fleetwright/kube";

export interface Chooser {
  from<T>(values: readonly T[]): T;
  chance(probability: number): boolean;
  below(bound: number): number;
}

export function chooser(random: Random): Chooser {
  const below = (bound: number): number => Math.floor(random.next() * bound);
  return {
    below,
    chance: (probability) => random.next() < probability,
    from<T>(values: readonly T[]): T {
      const value = values[below(values.length)];
      if (value === undefined) throw new Error("nothing to choose from");
      return value;
    },
  };
}

type Tree = Readonly<Record<string, unknown>>;

export const isTree = (value: unknown): value is Tree =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** What must stay, or the API server answers nothing but "not found". */
const fixed = new Set(["apiVersion", "kind", "namespace"]);

/** A value like another one. */
function changed(choose: Chooser, value: unknown): unknown {
  if (typeof value === "string") return choose.from([`${value}0`, "1", "other", value]);
  if (typeof value === "number") return choose.from([value + 1, value, 1]);
  return value;
}

/** Changes, deletes and adds a few of the fields of an object. */
export function randomMergePatch(choose: Chooser, object: Tree): Tree {
  const patch: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(object)) {
    if (fixed.has(key) || !choose.chance(0.4)) continue;
    if (key !== "spec" && key !== "metadata" && key !== "name" && choose.chance(0.15)) patch[key] = null;
    else if (isTree(value)) patch[key] = randomMergePatch(choose, value);
    else if (Array.isArray(value)) patch[key] = value.filter(() => choose.chance(0.7));
    else if (key !== "name") patch[key] = changed(choose, value);
  }
  if (choose.chance(0.1)) patch["added"] = choose.from<unknown>(["x", null, {}]);
  return patch;
}

const mergeKeys = ["name", "containerPort", "mountPath", "ip", "port", "key"] as const;

/** A strategic merge patch with every directive, mostly one that makes sense. */
export function randomStrategicPatch(choose: Chooser, object: Tree): Tree {
  const patch: Record<string, unknown> = {};
  if (choose.chance(0.03)) patch["$patch"] = choose.from(["replace", "delete"]);
  for (const [key, value] of Object.entries(object)) {
    if (fixed.has(key) || !choose.chance(0.4)) continue;
    if (key !== "spec" && key !== "metadata" && key !== "name" && choose.chance(0.08)) patch[key] = null;
    else if (isTree(value)) patch[key] = randomStrategicPatch(choose, value);
    else if (Array.isArray(value)) addList(choose, patch, key, value);
    else if (key !== "name") patch[key] = changed(choose, value);
  }
  if (choose.chance(0.05)) patch["$retainKeys"] = Object.keys(object).filter(() => choose.chance(0.8));
  return patch;
}

function addList(choose: Chooser, patch: Record<string, unknown>, key: string, list: readonly unknown[]): void {
  const [first] = list;
  if (!isTree(first)) {
    const deleted = choose.chance(0.4) ? list.filter(() => choose.chance(0.5)) : undefined;
    if (deleted) patch[`$deleteFromPrimitiveList/${key}`] = deleted;
    // What is deleted and added in one patch has no answer: the server walks the patch in Go's random map order.
    const kept = shuffled(choose, [...list, "example.com/new"]).filter((item) => !deleted?.includes(item));
    if (choose.chance(0.5)) patch[key] = kept.filter(() => choose.chance(0.5));
    if (choose.chance(0.3)) patch[`$setElementOrder/${key}`] = shuffled(choose, list);
    return;
  }
  const mergeKey = mergeKeys.find((name) => name in first && !(name === "name" && "containerPort" in first)) ?? "name";
  const identity = isTree(first) && "mountPath" in first ? "mountPath" : "port" in first ? "port" : mergeKey;
  const elements: Tree[] = [];
  for (const element of shuffled(choose, list)) {
    if (!isTree(element) || !choose.chance(0.6)) continue;
    if (choose.chance(0.2)) elements.push({ [identity]: element[identity], $patch: "delete" });
    else elements.push({ ...randomStrategicPatch(choose, element), [identity]: element[identity] });
  }
  if (choose.chance(0.2)) elements.push({ ...first, [identity]: typeof first[identity] === "number" ? 4242 : "new" });
  if (choose.chance(0.05)) elements.push({ $patch: "replace" });
  patch[key] = elements;
  if (choose.chance(0.3)) {
    const order = elements
      .filter((element) => !("$patch" in element))
      .map((element) => ({ [identity]: element[identity] }));
    const others = list.filter(isTree).map((element) => ({ [identity]: element[identity] }));
    patch[`$setElementOrder/${key}`] = [
      ...order,
      ...others.filter((other) => !order.some((one) => one[identity] === other[identity])),
    ];
  }
}

export function shuffled<T>(choose: Chooser, list: readonly T[]): T[] {
  const rest = [...list];
  const result: T[] = [];
  while (rest.length > 0) result.push(...rest.splice(choose.below(rest.length), 1));
  return result;
}
