import { frozen } from "../machinery/draft.ts";
import type { Draft, DraftValue } from "../machinery/draft.ts";
import { setValue } from "../schema/own-value.ts";

/** Parts that are remembered before the older half is forgotten. */
const maxParts = 20_000;
/** Longer ones are seldom there twice. */
const maxPartLength = 4096;
/** After so many a place has shown whether its objects are found again. */
const triesBeforeVerdict = 64;
/** Below so many finds of a hundred looking for them costs more than it saves. */
const minFindsPercent = 20;
/** Places are made by kinds and by keys of maps, which are the clients'. */
const maxPlaces = 20_000;

/** Metadata, spec and status are seldom the same in two objects; what is in them is. */
const firstSharedDepth = 2;
const none: readonly DraftValue[] = [];

type Part = DraftValue[] | Draft;

/** Where in an object something is, whatever the index in lists: `spec.containers[].resources`. */
interface Place {
  readonly below: Map<string, Place>;
  tries: number;
  finds: number;
}

const newPlace = (): Place => ({ below: new Map(), tries: 0, finds: 0 });

const isPart = (value: DraftValue): value is Part => typeof value === "object" && value !== null;

const isWorthLooking = ({ tries, finds }: Place): boolean =>
  tries < triesBeforeVerdict || finds * 100 >= tries * minFindsPercent;

/**
 * Makes what is stored of what was written: without what JSON has not, and with parts that are equal to the version before or to those of other
 * objects (tolerations, resources, labels …) once. Fifty thousand pods of a few templates take a third of the memory, and what is the same object
 * need not be compared. Frozen parts are taken as they are.
 */
export class SharedParts {
  readonly #root = newPlace();
  /** Where there are too many places to tell apart. */
  readonly #anywhere = newPlace();
  #places = 0;
  #recent = new Map<string, Part>();
  #older = new Map<string, Part>();
  readonly #freezes: boolean;

  /** @param freezes what it answers with, to its depths */
  constructor(freezes = false) {
    this.#freezes = freezes;
  }

  /** Takes the object over: its parts are replaced by equal ones. */
  settle(object: Draft, before: Readonly<Draft> | undefined): Draft {
    const { kind } = object;
    const place = this.#placeBelow(this.#root, typeof kind === "string" ? kind : "");
    const settled = this.#object(object, before, place, 0);
    return this.#freezes ? frozen(settled) : settled;
  }

  #value(value: DraftValue, before: DraftValue, place: Place, depth: number): DraftValue {
    if (value === before || !isPart(value) || Object.isFrozen(value)) return value;
    if (Array.isArray(value)) return this.#list(value, Array.isArray(before) ? before : none, place, depth);
    const old = isPart(before) && !Array.isArray(before) ? before : undefined;
    const isSharable = depth >= firstSharedDepth && isWorthLooking(place);
    if (old === undefined && isSharable) return this.#shared(value, place, depth);
    const next = this.#object(value, old, place, depth);
    return next !== old && isSharable ? this.#shared(next, place, depth, true) : next;
  }

  /** The same object, or the one before if it is equal to that. */
  #object(object: Draft, before: Readonly<Draft> | undefined, place: Place, depth: number): Draft {
    let isSame = before !== undefined;
    let count = 0;
    let hasUndefined = false;
    for (const key of Object.keys(object)) {
      const value = object[key];
      if (value === undefined) {
        hasUndefined = true;
        continue;
      }
      count++;
      const old = before !== undefined && Object.hasOwn(before, key) ? before[key] : undefined;
      if (value === old) continue;
      if (isPart(value)) {
        const next = this.#value(value, old, this.#placeBelow(place, key), depth + 1);
        if (next !== value) object[key] = next;
        if (next === old) continue;
      }
      isSame = false;
    }
    if (isSame && before !== undefined && Object.keys(before).length === count) return before as Draft;
    return hasUndefined ? withoutUndefined(object) : object;
  }

  #list(values: DraftValue[], before: readonly DraftValue[], place: Place, depth: number): DraftValue[] {
    let isSame = values.length === before.length;
    for (let index = 0; index < values.length; index++) {
      const next = this.#value(values[index] ?? null, before[index], place, depth + 1);
      if (next !== values[index]) values[index] = next;
      if (next !== before[index]) isSame = false;
    }
    return isSame && before !== none ? (before as DraftValue[]) : values;
  }

  #shared(value: Draft, place: Place, depth: number, isSettled = false): Part {
    const text = JSON.stringify(value);
    if (text.length > maxPartLength) return isSettled ? value : this.#object(value, undefined, place, depth);
    place.tries++;
    const known = this.#recent.get(text) ?? this.#older.get(text);
    if (known !== undefined) place.finds++;
    const part = known ?? (isSettled ? value : this.#object(value, undefined, place, depth));
    if (this.#recent.size >= maxParts) {
      this.#older = this.#recent;
      this.#recent = new Map();
    }
    this.#recent.set(text, part);
    return part;
  }

  #placeBelow(place: Place, key: string): Place {
    const known = place.below.get(key);
    if (known !== undefined) return known;
    if (this.#places >= maxPlaces) return this.#anywhere;
    this.#places++;
    const made = newPlace();
    place.below.set(key, made);
    return made;
  }
}

function withoutUndefined(object: Draft): Draft {
  const copy: Draft = {};
  for (const key of Object.keys(object)) if (object[key] !== undefined) setValue(copy, key, object[key]);
  return copy;
}
