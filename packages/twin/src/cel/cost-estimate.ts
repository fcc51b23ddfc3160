import type { CheckedExpression } from "./checker.ts";
import { accumulatorName, type CallExpression, type Comprehension, type Expression } from "./expression-tree.ts";
import { regexFactor, traversalFactor } from "./runtime-cost.ts";
import type { Type } from "./types.ts";
import { codePoints } from "./values.ts";

/** Least and most; `limit` stands for no bound. */
export interface Range {
  readonly min: number;
  readonly max: number;
}

/** Go's largest uint64: sums and products stay there. */
const limit = 2 ** 64;
const cap = (value: number): number => (value > limit ? limit : value);
const fixed = (value: number): Range => ({ min: value, max: value });
const unknownSize: Range = { min: 0, max: limit };
const nothing = fixed(0);
const add = (left: Range, right: Range): Range => ({ min: cap(left.min + right.min), max: cap(left.max + right.max) });
const multiply = (left: Range, right: Range): Range => ({
  min: cap(left.min * right.min),
  max: cap(left.max * right.max),
});
const scale = ({ min, max }: Range, factor: number): Range => ({
  min: cap(Math.ceil(min * factor)),
  max: cap(Math.ceil(max * factor)),
});
const union = (left: Range, right: Range): Range => ({
  min: Math.min(left.min, right.min),
  max: Math.max(left.max, right.max),
});

/** How large the value at a path of a variable (`self`, `spec`, `@items`) can be; `undefined` where nothing is known. */
export type SizeOfPath = (path: readonly string[]) => Range | undefined;

/** Sizes of the keys and values of a list or map that an expression makes. */
interface EntrySizes {
  readonly isList: boolean;
  readonly key: Range;
  readonly value: Range;
}

interface Local {
  readonly name: string;
  readonly path: readonly string[];
  readonly size: Range | undefined;
  readonly entries: EntrySizes | undefined;
}

interface CallEstimate {
  readonly cost: Range;
  readonly size?: Range;
}

/** What a checked expression can cost at most and at least: cel-go `checker/cost.go` with Kubernetes' `library/cost.go`. */
export function estimateCost(checked: CheckedExpression, sizeOfPath: SizeOfPath): Range {
  return new Estimator(checked, sizeOfPath).cost(checked.root);
}

const parameterOf = (type: Type): Type | undefined =>
  type.kind === "list"
    ? type.element
    : type.kind === "map"
      ? type.key
      : type.kind === "optional"
        ? type.value
        : undefined;

const isScalar = (type: Type): boolean =>
  ["bool", "double", "duration", "int", "timestamp", "uint"].includes(type.kind) ||
  (type.kind === "optional" && isScalar(type.value));

const nominal = new Set(
  (
    "serviceAccount path group resource subresource namespace name allowed reason error errored masked prefixLength " +
    "family isUnspecified isLoopback isLinkLocalMulticast isLinkLocalUnicast isGlobalUnicast format.named sign asInteger " +
    "isInteger asApproximateFloat isGreaterThan isLessThan compareTo add sub major minor patch getScheme getHostname " +
    "getHost getPort getEscapedPath getQuery"
  ).split(" "),
);

class Estimator {
  readonly #checked: CheckedExpression;
  readonly #sizeOfPath: SizeOfPath;
  readonly #paths = new Map<number, readonly string[]>();
  readonly #sizes = new Map<number, Range>();
  readonly #entries = new Map<number, EntrySizes>();
  readonly #locals: Local[] = [];

  constructor(checked: CheckedExpression, sizeOfPath: SizeOfPath) {
    this.#checked = checked;
    this.#sizeOfPath = sizeOfPath;
  }

  cost(expression: Expression): Range {
    switch (expression.kind) {
      case "literal":
        return nothing;
      case "identifier":
        this.#paths.set(expression.id, this.#local(expression.name)?.path ?? [expression.name]);
        return fixed(1);
      case "select": {
        const variable = this.#checked.variableOf(expression);
        if (variable !== undefined) {
          this.#paths.set(expression.id, [variable]);
          return fixed(1);
        }
        if (this.#checked.typeNamed(expression) !== undefined) return fixed(1);
        const operand = this.cost(expression.operand);
        if (expression.testOnly) return operand;
        this.#paths.set(expression.id, [...this.#path(expression.operand), expression.field]);
        const { kind } = this.#checked.typeOf(expression.operand);
        return kind === "map" || kind === "object" || kind === "parameter" ? add(operand, fixed(1)) : operand;
      }
      case "call":
        return this.#call(expression);
      case "list": {
        let items: Range = { min: expression.elements.length === 0 ? 0 : limit, max: 0 };
        let cost = fixed(10);
        for (const { value } of expression.elements) {
          cost = add(cost, this.cost(value));
          items = union(items, this.#sizeOrUnknown(value));
        }
        this.#entries.set(expression.id, { isList: true, key: fixed(1), value: items });
        return cost;
      }
      case "map": {
        const least = expression.entries.length === 0 ? 0 : limit;
        let keys: Range = { min: least, max: 0 };
        let values: Range = { min: least, max: 0 };
        let cost = fixed(30);
        for (const { key, value } of expression.entries) {
          cost = add(cost, add(this.cost(key), this.cost(value)));
          keys = union(keys, this.#sizeOrUnknown(key));
          values = union(values, this.#sizeOrUnknown(value));
        }
        this.#entries.set(expression.id, { isList: false, key: keys, value: values });
        return cost;
      }
      case "struct":
        return expression.fields.reduce((sum, { value }) => add(sum, this.cost(value)), fixed(40));
      case "comprehension":
        return expression.accumulator === accumulatorName ? this.#loop(expression) : this.#binding(expression);
    }
  }

  #local(name: string): Local | undefined {
    return this.#locals.findLast((local) => local.name === name);
  }

  #path(expression: Expression): readonly string[] {
    if (expression.kind === "identifier") {
      const local = this.#local(expression.name);
      if (local !== undefined) return local.path;
    }
    return this.#paths.get(expression.id) ?? [];
  }

  #rootedPath(expression: Expression): readonly string[] {
    const path = this.#path(expression);
    return path[0]?.startsWith("@result") === true ? [] : path;
  }

  #size(expression: Expression): Range | undefined {
    const known = this.#sizes.get(expression.id) ?? literalSize(expression);
    if (known !== undefined) return known;
    const path = this.#rootedPath(expression);
    const schemaSize = path.length === 0 ? undefined : this.#sizeOfPath(path);
    if (schemaSize !== undefined) {
      this.#sizes.set(expression.id, schemaSize);
      return schemaSize;
    }
    if (isScalar(this.#checked.typeOf(expression))) return fixed(1);
    return expression.kind === "identifier" ? this.#local(expression.name)?.size : undefined;
  }

  #sizeOrUnknown(expression: Expression | undefined): Range {
    return (expression === undefined ? undefined : this.#size(expression)) ?? unknownSize;
  }

  #entrySizes(expression: Expression | undefined): EntrySizes | undefined {
    if (expression === undefined) return undefined;
    const known = this.#entries.get(expression.id);
    if (known !== undefined || expression.kind !== "identifier") return known;
    return this.#local(expression.name)?.entries;
  }

  #setEntries(expression: Expression, entries: EntrySizes | undefined): void {
    if (entries !== undefined) this.#entries.set(expression.id, entries);
  }

  #call(expression: CallExpression): Range {
    const { name, parameters } = expression;
    if (name === "dyn" && parameters[0] !== undefined) {
      const cost = this.cost(parameters[0]);
      const size = this.#size(parameters[0]);
      if (size !== undefined) this.#sizes.set(expression.id, size);
      this.#setEntries(expression, this.#entrySizes(parameters[0]));
      return add(fixed(1), cost);
    }
    const costs = parameters.map((parameter) => this.cost(parameter));
    if (name === "_?._") {
      const field = parameters[1];
      const path = this.#path(parameters[0] ?? expression);
      if (field?.kind === "literal") this.#paths.set(expression.id, [...path, String(field.value)]);
      return add(costs[0] ?? nothing, fixed(1));
    }
    const overloads = this.#checked.overloadsOf(expression);
    if (overloads.length === 0) return nothing;
    const namespaced = this.#checked.isNamespaced(expression);
    const target = namespaced ? undefined : expression.target;
    const targetCost = target === undefined ? nothing : this.cost(target);
    let total: Range = { min: limit, max: 0 };
    let size: Range | undefined;
    const fullName = namespaced ? (overloads[0]?.id ?? name) : name;
    for (const { id } of overloads) {
      const estimate = this.#callEstimate(expression, qualifiedFunction(fullName, expression), id, target, costs);
      total = union(total, estimate.cost);
      if (estimate.size !== undefined) size = size === undefined ? estimate.size : union(size, estimate.size);
      const [container] = parameters;
      if ((id === "index_list" || id === "index_map") && container !== undefined) {
        size = this.#entrySizes(container)?.value;
        this.#paths.set(expression.id, [...this.#path(container), id === "index_list" ? "@items" : "@values"]);
      }
      size ??= this.#size(expression);
    }
    if (size !== undefined) this.#sizes.set(expression.id, size);
    return add(targetCost, total);
  }

  #callEstimate(
    expression: CallExpression,
    name: string,
    overload: string,
    target: Expression | undefined,
    costs: readonly Range[],
  ): CallEstimate {
    const inputs = costs.reduce(add, nothing);
    const list = this.#listCall(overload, target, expression.parameters);
    if (list !== undefined) return { ...list, cost: add(list.cost, inputs) };
    const library = this.#libraryCall(name, overload, target, expression.parameters);
    if (library !== undefined) return { ...library, cost: add(library.cost, inputs) };
    return this.#standardCall(expression, overload, target, costs, inputs);
  }

  #elementSize(list: Expression): { readonly type: Type; readonly size: Range } | undefined {
    const type = parameterOf(this.#checked.typeOf(list));
    if (type === undefined) return undefined;
    const path = this.#rootedPath(list);
    const size = path.length === 0 ? undefined : this.#sizeOfPath([...path, "@items"]);
    return { type, size: size ?? unknownSize };
  }

  /** cel-go's `ext/lists.go` and `ext/sets.go`. */
  #listCall(
    overload: string,
    target: Expression | undefined,
    parameters: readonly Expression[],
  ): CallEstimate | undefined {
    const made = (factor: number, size: Range): CallEstimate => ({ cost: add(scale(size, factor), fixed(11)), size });
    const compared = (factor: number, list: Expression | undefined) => {
      const size = this.#sizeOrUnknown(list);
      return made(factor, multiply(size, size));
    };
    const [first, second] = parameters;
    const given = (expression: Expression | undefined, otherwise: number): number =>
      expression?.kind === "literal" && typeof expression.value === "bigint" ? Number(expression.value) : otherwise;
    switch (overload) {
      case "list_sets_contains_list":
      case "list_sets_intersects_list":
      case "list_sets_equivalent_list": {
        const size = multiply(this.#sizeOrUnknown(first), this.#sizeOrUnknown(second));
        return { cost: add(scale(size, overload === "list_sets_equivalent_list" ? 2 : 1), fixed(1)) };
      }
      case "list_distinct":
        return compared(2, target);
      case "list_slice":
        return made(1, fixed(Math.max(0, given(second, this.#sizeOrUnknown(target).max) - given(first, 0))));
      case "lists_range":
        return made(1, fixed(given(first, limit)));
      case "list_reverse":
        return made(1, this.#sizeOrUnknown(target));
      case "list_flatten":
      case "list_flatten_int":
        return made(overload === "list_flatten" ? 1 : given(first, limit), this.#sizeOrUnknown(target));
      default: {
        const sorted = /^list_([a-z]+)_(sort|sortByAssociatedKeys)$/.exec(overload);
        if (sorted === null) return undefined;
        const factor = sorted[1] === "string" || sorted[1] === "bytes" ? 2 + traversalFactor : 2;
        return compared(factor, sorted[2] === "sort" ? target : first);
      }
    }
  }

  #libraryCall(
    name: string,
    overload: string,
    target: Expression | undefined,
    parameters: readonly Expression[],
  ): CallEstimate | undefined {
    const [first, second] = parameters;
    const firstSize = () => this.#sizeOrUnknown(first);
    const targetSize = () => this.#sizeOrUnknown(target);
    if (nominal.has(name)) return { cost: fixed(1) };
    switch (name) {
      case "check":
        return { cost: fixed(350_000) };
      case "fieldSelector":
      case "labelSelector": {
        const length = firstSize();
        return { cost: add(add(fixed(10), scale(length, traversalFactor)), scale(scale(length, 0.5), 50)) };
      }
      case "isSorted":
      case "sum":
      case "max":
      case "min":
      case "indexOf":
      case "lastIndexOf": {
        if (target === undefined) return undefined;
        const element = this.#elementSize(target);
        if (element === undefined) return { cost: scale(targetSize(), traversalFactor) };
        const isText = element.type.kind === "string" || element.type.kind === "bytes";
        const each = isText ? add(fixed(1), scale(element.size, traversalFactor)) : fixed(1);
        return { cost: multiply(targetSize(), each) };
      }
      case "url":
      case "jsonpatch.escapeKey":
        return { cost: scale(firstSize(), traversalFactor), size: firstSize() };
      case "lowerAscii":
      case "upperAscii":
      case "substring":
      case "trim":
        return target === undefined ? undefined : { cost: scale(targetSize(), traversalFactor), size: targetSize() };
      case "replace":
        return {
          cost: scale(targetSize(), 2 * traversalFactor),
          size: replacedSize(targetSize(), firstSize(), this.#sizeOrUnknown(second)),
        };
      case "split": {
        const count = second?.kind === "literal" && typeof second.value === "bigint" ? Number(second.value) : undefined;
        const most = count === undefined ? targetSize().max : count < 0 ? limit : count;
        return { cost: scale(targetSize(), 2 * traversalFactor), size: { min: 0, max: most } };
      }
      case "join": {
        if (target === undefined) return undefined;
        const list = targetSize();
        const element = this.#elementSize(target);
        let size = element === undefined ? nothing : multiply(list, element.size);
        if (first !== undefined) {
          size = add(size, multiply(firstSize(), { min: Math.max(0, list.min - 1), max: Math.max(0, list.max - 1) }));
        }
        return { cost: scale(size, traversalFactor), size };
      }
      case "find":
      case "findAll": {
        const text = targetSize();
        const cost = multiply(scale(add(text, fixed(1)), traversalFactor), scale(firstSize(), regexFactor));
        return { cost, size: { min: 0, max: text.max } };
      }
      case "cidr":
      case "isIP":
      case "isCIDR":
      case "quantity":
      case "isQuantity":
      case "semver":
      case "isSemver":
        return { cost: scale(firstSize(), traversalFactor) };
      case "ip":
        return { cost: overload === "cidr_ip" ? fixed(1) : scale(firstSize(), traversalFactor) };
      case "ip.isCanonical":
        return { cost: scale(firstSize(), 2 * traversalFactor) };
      case "containsIP": {
        const compared = scale({ min: 8, max: 32 }, traversalFactor);
        const parsed = overload === "cidr_contains_ip_string" ? scale(firstSize(), traversalFactor) : nothing;
        return { cost: add(compared, parsed) };
      }
      case "containsCIDR": {
        const compared = add(scale({ min: 8, max: 32 }, traversalFactor), scale({ min: 4, max: 16 }, traversalFactor));
        const parsed = overload === "cidr_contains_cidr_string" ? scale(firstSize(), traversalFactor) : nothing;
        return { cost: add(add(compared, fixed(1)), parsed) };
      }
      case "validate":
        return { cost: scale(scale(firstSize(), traversalFactor), 128 * regexFactor) };
      case "_==_":
        return first !== undefined && isLibraryType(this.#checked.typeOf(first)) ? { cost: fixed(1) } : undefined;
      default:
        return undefined;
    }
  }

  #standardCall(
    expression: CallExpression,
    overload: string,
    target: Expression | undefined,
    costs: readonly Range[],
    inputs: Range,
  ): CallEstimate {
    const [first, second, third] = expression.parameters;
    const left = () => this.#sizeOrUnknown(first);
    const right = () => this.#sizeOrUnknown(second);
    switch (overload) {
      case "string_format":
        return { cost: add(scale(this.#sizeOrUnknown(target), traversalFactor), inputs) };
      case "string_to_bytes":
        return {
          cost: add(scale(left(), traversalFactor), inputs),
          size: { min: left().min, max: cap(left().max * 4) },
        };
      case "bytes_to_string":
        return {
          cost: add(scale(left(), traversalFactor), inputs),
          size: { min: Math.floor(left().min / 4), max: left().max },
        };
      case "strings_quote":
        return {
          cost: add(scale(left(), traversalFactor), inputs),
          size: { min: left().min + 2, max: cap(left().max * 2 + 2) },
        };
      case "starts_with_string":
      case "ends_with_string":
        return { cost: add(scale(left(), traversalFactor), inputs) };
      case "in_list":
        return { cost: add(right(), inputs) };
      case "matches_string":
      case "matches": {
        if (target === undefined) break;
        const text = scale(add(this.#sizeOrUnknown(target), fixed(1)), traversalFactor);
        return { cost: add(multiply(text, scale(left(), regexFactor)), inputs) };
      }
      case "contains_string": {
        const text = scale(this.#sizeOrUnknown(target), traversalFactor);
        return { cost: add(multiply(text, scale(left(), traversalFactor)), inputs) };
      }
      case "logical_or":
      case "logical_and":
        return { cost: { min: costs[0]?.min ?? 0, max: inputs.max } };
      case "conditional": {
        const yes = this.#entrySizes(second);
        const no = this.#entrySizes(third);
        this.#setEntries(expression, joined(yes, no));
        return {
          cost: add(costs[0] ?? nothing, union(costs[1] ?? nothing, costs[2] ?? nothing)),
          size: union(right(), this.#sizeOrUnknown(third)),
        };
      }
      case "add_string":
      case "add_bytes":
      case "add_list": {
        const size = add(left(), right());
        this.#setEntries(expression, joined(this.#entrySizes(first), this.#entrySizes(second)));
        return { cost: add(overload === "add_list" ? fixed(1) : scale(size, traversalFactor), inputs), size };
      }
      case "equals":
      case "not_equals":
        return { cost: add(comparison(left(), right()), inputs) };
      default:
        if (/^(?:less|greater)(?:_equals)?_(?:string|bytes)$/.test(overload)) {
          return { cost: add(comparison(left(), right()), inputs) };
        }
    }
    return { cost: add(fixed(1), inputs) };
  }

  #loop(loop: Comprehension): Range {
    const outside = add(this.cost(loop.range), this.cost(loop.initial));
    const entries = this.#entrySizes(loop.range);
    const isList = entries?.isList ?? this.#checked.typeOf(loop.range).kind === "list";
    const path = this.#path(loop.range);
    // A list that was made by a call has no path; upstream takes the bound of the whole object for its items then.
    const below = (part: string) => [...path, part];
    const key: Omit<Local, "name"> = {
      path: below(isList ? "@indices" : "@keys"),
      size: entries?.key,
      entries: undefined,
    };
    const value: Omit<Local, "name"> = {
      path: below(isList ? "@items" : "@values"),
      size: entries?.value,
      entries: undefined,
    };
    const depth = this.#locals.length;
    this.#pushAccumulator(loop);
    if (loop.secondVariable === undefined) this.#locals.push({ name: loop.variable, ...(isList ? value : key) });
    else this.#locals.push({ name: loop.variable, ...key }, { name: loop.secondVariable, ...value });
    const inside = add(this.cost(loop.condition), this.cost(loop.step));
    this.#locals.length = depth + 1;
    const after = this.cost(loop.result);
    this.#locals.length = depth;
    const count = this.#sizeOrUnknown(loop.range);
    if (loop.initial.kind === "literal") {
      const size = this.#size(loop.initial);
      if (size !== undefined) this.#sizes.set(loop.id, size);
    } else if (loop.initial.kind === "list" || loop.initial.kind === "map") {
      this.#sizes.set(loop.id, count);
      this.#setEntries(loop, this.#entrySizes(loop.step));
    }
    return add(add(outside, after), multiply(count, inside));
  }

  #binding(loop: Comprehension): Range {
    const before = add(this.cost(loop.range), this.cost(loop.initial));
    const depth = this.#locals.length;
    this.#pushAccumulator(loop);
    const cost = add(before, this.cost(loop.result));
    const size = this.#size(loop.result);
    if (size !== undefined) this.#sizes.set(loop.id, size);
    this.#setEntries(loop, this.#entrySizes(loop.result));
    this.#locals.length = depth;
    return cost;
  }

  #pushAccumulator({ accumulator, initial }: Comprehension): void {
    this.#locals.push({
      name: accumulator,
      path: this.#path(initial),
      size: this.#size(initial),
      entries: this.#entrySizes(initial),
    });
  }
}

/** `ip.isCanonical`, `format.named`: functions with a namespace are known by their whole name. */
function qualifiedFunction(name: string, { target, name: last }: CallExpression): string {
  return target?.kind === "identifier" && name !== last ? `${target.name}.${last}` : last;
}

function comparison(left: Range, right: Range): Range {
  const max = Math.min(left.max, right.max);
  return scale({ min: max > 0 ? 1 : 0, max }, traversalFactor);
}

const joined = (left: EntrySizes | undefined, right: EntrySizes | undefined): EntrySizes | undefined =>
  left === undefined || right === undefined
    ? undefined
    : { isList: left.isList, key: union(left.key, right.key), value: union(left.value, right.value) };

const isLibraryType = (type: Type): boolean => type.kind === "object" && type.field === undefined;

function literalSize(expression: Expression): Range | undefined {
  if (expression.kind === "list") return fixed(expression.elements.length);
  if (expression.kind === "map") return fixed(expression.entries.length);
  if (expression.kind !== "literal") return undefined;
  if (typeof expression.value === "string") return fixed(codePoints(expression.value));
  return fixed(expression.value instanceof Uint8Array ? expression.value.length : 1);
}

function replacedSize(text: Range, replaced: Range, replacement: Range): Range {
  const bound = (length: number, width: number, unchanged: boolean) =>
    width === 0
      ? { count: cap(length + 1), kept: length }
      : unchanged
        ? { count: 0, kept: length }
        : { count: Math.ceil(length / width), kept: 0 };
  const most = bound(text.max, replaced.min, replacement.max <= replaced.min);
  const least = bound(text.min, replaced.max, replaced.max <= replacement.min);
  return {
    min: cap(least.count * replacement.min + least.kept),
    max: cap(most.count * replacement.max + most.kept),
  };
}
