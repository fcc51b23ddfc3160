import { seededRandom, type KubeObject } from "@fleetwright/kube";
import { chooser, isTree, shuffled, type Chooser } from "./random-patch.ts";

/** Set by the server, or what a list's element is known by: an object without it is not to be had. */
const kept = new Set(
  [
    "apiVersion kind namespace uid resourceVersion creationTimestamp managedFields status",
    "name mountPath ip containerPort port topologyKey",
  ].flatMap((names) => names.split(" ")),
);

/** Objects that a user could have made of this one. */
export function changedObjects(object: KubeObject, seed: number, count: number): readonly KubeObject[] {
  const choose = chooser(seededRandom(seed + 2));
  return Array.from({ length: count }, () => changed(choose, object) as KubeObject);
}

function changed(choose: Chooser, value: unknown): unknown {
  if (Array.isArray(value)) {
    let list = value.map((element) => changed(choose, element));
    if (choose.chance(0.15)) list = shuffled(choose, list);
    if (choose.chance(0.15)) list = list.slice(1);
    if (list.length > 0 && choose.chance(0.15)) list = [...list, renamed(list[0])];
    return list;
  }
  if (!isTree(value)) {
    if (typeof value === "string" && choose.chance(0.05)) return `${value}1`;
    return typeof value === "number" && choose.chance(0.05) ? value + 1 : value;
  }
  const result: Record<string, unknown> = {};
  for (const [key, inner] of Object.entries(value)) {
    if (kept.has(key)) result[key] = inner;
    else if (key === "spec" || key === "metadata" || !choose.chance(0.06)) result[key] = changed(choose, inner);
  }
  return result;
}

function renamed(element: unknown): unknown {
  if (!isTree(element)) return typeof element === "string" ? `${element}-new` : element;
  const result: Record<string, unknown> = { ...element };
  for (const key of ["name", "mountPath", "ip", "key"]) if (key in result) result[key] = `${String(result[key])}9`;
  for (const key of ["containerPort", "port"]) if (key in result) result[key] = Number(result[key]) + 1;
  return result;
}
