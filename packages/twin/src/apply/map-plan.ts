import type { Draft } from "../machinery/draft.ts";
import { fieldElement, shareLeaf, sortElements, type FieldSet } from "./field-set.ts";
import { type MapShape, type Shape } from "./shape.ts";

/** A field of a map, with the text that stands for it in FieldsV1. */
interface Step {
  readonly key: string;
  readonly element: string;
  readonly shape: Shape;
}

/** Fields of a map below which nothing lies, as a set and as FieldsV1: shared, and so never to be changed. */
interface Leaf {
  readonly set: FieldSet;
  readonly formatted: Draft;
}

/** The fields of a map that has certain keys, in the order of FieldsV1. */
interface Plan {
  readonly steps: readonly Step[];
  /** Of a map that has no other keys. */
  readonly leaf: Leaf | undefined;
}

/** By the keys that an object has: objects of a kind differ in what their fields hold more than in which they have. */
const plans = new WeakMap<MapShape, Map<string, Plan>>();
const plansPerMap = 200;

export function planOf(map: MapShape, keys: string[]): Plan {
  // Keys that are no declared fields are the client's: each object may have its own.
  if (map.values !== undefined) return { steps: makeSteps(map, keys), leaf: undefined };
  const name = keys.join("\0");
  let known = plans.get(map);
  if (known === undefined) plans.set(map, (known = new Map()));
  let plan = known.get(name);
  if (plan === undefined) {
    const steps = makeSteps(map, keys);
    const isWhole = steps.length === keys.length && keys.length > 0;
    plan = { steps, leaf: isWhole ? shareLeaf(steps.map(({ element }) => element)) : undefined };
    // A plan that leaves keys out could be found under the names of others.
    if (isWhole && known.size < plansPerMap) known.set(name, plan);
  }
  return plan;
}

/** A map of declared fields that hold no objects: nearly every item of a list is one. */
export function leafOf(map: MapShape, value: Readonly<Draft>): Leaf | undefined {
  if (map.atomic || map.values !== undefined) return undefined;
  const keys = Object.keys(value);
  for (const key of keys) {
    const child = value[key];
    if (child === undefined || (typeof child === "object" && child !== null)) return undefined;
  }
  return planOf(map, keys).leaf;
}

function makeSteps(map: MapShape, keys: readonly string[]): readonly Step[] {
  const elements = keys.map(fieldElement);
  if (elements.length > 1) sortElements(elements);
  const steps: Step[] = [];
  for (const element of elements) {
    const key = element.slice(2);
    const shape = map.field(key) ?? map.values;
    if (shape !== undefined) steps.push({ key, element, shape });
  }
  return steps;
}
