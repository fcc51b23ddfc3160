import type { CheckedExpression } from "./checker.ts";
import {
  accumulatorName,
  type CallExpression,
  type Comprehension,
  type Expression,
  type ListLiteral,
} from "./expression-tree.ts";
import { callCost, type CostMeter } from "./runtime-cost.ts";
import {
  EvaluationFailure,
  isList,
  isOfType,
  LiteralMap,
  Mapping,
  none,
  noSuchOverload,
  OptionalValue,
  plainText,
  runtimeTypes,
  StructValue,
  UnsignedValue,
  type Value,
} from "./values.ts";

/** Variables by (dotted) name; `undefined` where there is none. */
export type Variables = (name: string) => Value | undefined;

interface Scope {
  readonly name: string;
  /** A failure is thrown where the variable is read, so that later elements of a loop may still decide. */
  value: Value | EvaluationFailure;
  readonly parent: Scope | undefined;
}

/** Runs a checked expression. Throws EvaluationFailure and CostLimitExceeded. */
export function evaluate(checked: CheckedExpression, variables: Variables, meter: CostMeter): Value {
  return new Evaluator(checked, variables, meter).run(checked.root, undefined);
}

class Evaluator {
  readonly #checked: CheckedExpression;
  readonly #variables: Variables;
  readonly #meter: CostMeter;
  /** Lists that a loop of this run is filling: nobody else has seen them, so they grow in place. */
  readonly #growing = new WeakSet<readonly Value[]>();

  constructor(checked: CheckedExpression, variables: Variables, meter: CostMeter) {
    this.#checked = checked;
    this.#variables = variables;
    this.#meter = meter;
  }

  run(expression: Expression, scope: Scope | undefined): Value {
    switch (expression.kind) {
      case "literal":
        return expression.type === "uint" ? new UnsignedValue(expression.value as bigint) : expression.value;
      case "identifier":
        return this.#identifier(expression, expression.name, scope);
      case "select":
        return this.#select(expression, scope);
      case "call":
        return this.#call(expression, scope);
      case "list":
        return this.#list(expression, scope);
      case "map": {
        const entries: (readonly [Value, Value])[] = [];
        for (const { key, value, optional } of expression.entries) {
          const entry = [this.run(key, scope), this.run(value, scope)] as const;
          if (!optional) entries.push(entry);
          else if (!(entry[1] instanceof OptionalValue)) throw noSuchOverload();
          else if (entry[1].value !== undefined) entries.push([entry[0], entry[1].value]);
        }
        this.#meter.add(30);
        return new LiteralMap(entries);
      }
      case "struct": {
        const fields = new Map<string, Value>();
        for (const { name, value, optional } of expression.fields) {
          const given = this.run(value, scope);
          if (!optional) fields.set(name, given);
          else if (!(given instanceof OptionalValue)) throw noSuchOverload();
          else if (given.value !== undefined) fields.set(name, given.value);
        }
        this.#meter.add(40);
        return new StructValue(expression.typeName, fields);
      }
      case "comprehension":
        return this.#comprehension(expression, scope);
    }
  }

  #identifier(expression: Expression, name: string, scope: Scope | undefined): Value {
    this.#meter.add(1);
    for (let local = scope; local !== undefined; local = local.parent) {
      if (local.name !== name) continue;
      if (local.value instanceof EvaluationFailure) throw local.value;
      return local.value;
    }
    const type = this.#checked.typeNamed(expression);
    if (type !== undefined) return runtimeTypes(type);
    const value = this.#variables(name);
    if (value === undefined) throw new EvaluationFailure(`no such attribute(s): ${name}`);
    return value;
  }

  #select(expression: Expression & { readonly kind: "select" }, scope: Scope | undefined): Value {
    const variable = this.#checked.variableOf(expression);
    if (variable !== undefined || this.#checked.typeNamed(expression) !== undefined) {
      return this.#identifier(expression, variable ?? expression.field, undefined);
    }
    const operand = this.run(expression.operand, scope);
    if (!expression.testOnly) this.#meter.add(1);
    if (operand instanceof OptionalValue) {
      if (operand.value === undefined) return expression.testOnly ? false : none;
      const inner = fieldOf(operand.value, expression.field);
      return expression.testOnly ? inner !== undefined : new OptionalValue(inner);
    }
    const value = fieldOf(operand, expression.field);
    if (expression.testOnly) return value !== undefined;
    if (value === undefined) throw new EvaluationFailure(`no such key: ${expression.field}`);
    return value;
  }

  #list({ elements }: ListLiteral, scope: Scope | undefined): Value {
    const items: Value[] = [];
    let constant = elements.length > 0;
    for (const { value, optional } of elements) {
      const item = this.run(value, scope);
      constant &&= value.kind === "literal";
      if (!optional) items.push(item);
      else if (!(item instanceof OptionalValue)) throw noSuchOverload();
      else if (item.value !== undefined) items.push(item.value);
    }
    // A list of constants is made once, when the program is planned.
    if (!constant) this.#meter.add(10);
    return items;
  }

  #call(expression: CallExpression, scope: Scope | undefined): Value {
    const [left, middle, right] = expression.parameters;
    switch (expression.name) {
      case "_&&_":
      case "_||_":
        return this.#logical(expression.name === "_||_", left, middle, scope);
      case "_?_:_": {
        const condition = this.#optionalRun(left, scope);
        if (typeof condition !== "boolean") throw noSuchOverload();
        return this.#optionalRun(condition ? middle : right, scope);
      }
      case "@not_strictly_false":
        this.#meter.add(1);
        try {
          return this.#optionalRun(left, scope) !== false;
        } catch (error) {
          if (error instanceof EvaluationFailure) return true;
          throw error;
        }
      case "_?._": {
        const operand = this.#optionalRun(left, scope);
        this.#meter.add(1);
        const inner = operand instanceof OptionalValue ? operand.value : operand;
        if (inner === undefined) return none;
        const value = fieldOf(inner, middle?.kind === "literal" ? String(middle.value) : "");
        return value === undefined ? none : new OptionalValue(value);
      }
      default:
        break;
    }
    const values: Value[] = [];
    if (expression.target !== undefined && !this.#checked.isNamespaced(expression)) {
      values.push(this.run(expression.target, scope));
    }
    for (const parameter of expression.parameters) values.push(this.run(parameter, scope));
    const overload = this.#checked
      .overloadsOf(expression)
      .find(({ parameters }) => parameters.every((type, at) => isOfType(values[at] ?? null, type)));
    if (overload === undefined) throw noSuchOverload();
    const appended = overload.id === "add_list" ? this.#append(expression, values, scope) : undefined;
    // The cost of most calls depends on what goes in: counted before, a too large one is never begun.
    const known = costsByResult.has(expression.name) || costsByResult.has(overload.id);
    if (!known) this.#meter.add(callCost(expression.name, overload.id, values, null));
    const result = appended ?? overload.apply(...values);
    if (known) this.#meter.add(callCost(expression.name, overload.id, values, result));
    return result;
  }

  /** `@result + [x]` of macros, without a copy of the list for every element. */
  #append(
    { parameters }: CallExpression,
    [list, added]: readonly Value[],
    _scope: Scope | undefined,
  ): Value | undefined {
    const target = parameters[0];
    if (target?.kind !== "identifier" || target.name !== accumulatorName) return undefined;
    if (list === undefined || added === undefined || !isList(list) || !isList(added)) return undefined;
    const grown = this.#growing.has(list) ? (list as Value[]) : [...list];
    this.#growing.add(grown);
    for (const item of added) grown.push(item);
    return grown;
  }

  #optionalRun(expression: Expression | undefined, scope: Scope | undefined): Value {
    if (expression === undefined) throw noSuchOverload();
    return this.run(expression, scope);
  }

  /** A side that decides wins over a failure of the other. */
  #logical(
    deciding: boolean,
    left: Expression | undefined,
    right: Expression | undefined,
    scope: Scope | undefined,
  ): Value {
    let failure: EvaluationFailure | undefined;
    for (const side of [left, right]) {
      try {
        const value = this.#optionalRun(side, scope);
        if (value === deciding) return deciding;
        if (typeof value !== "boolean") failure ??= noSuchOverload();
      } catch (error) {
        if (!(error instanceof EvaluationFailure)) throw error;
        failure ??= error;
      }
    }
    if (failure !== undefined) throw failure;
    return !deciding;
  }

  #comprehension(loop: Comprehension, scope: Scope | undefined): Value {
    const range = this.run(loop.range, scope);
    const accumulator: Scope = { name: loop.accumulator, value: null, parent: scope };
    try {
      accumulator.value = this.run(loop.initial, scope);
    } catch (error) {
      if (!(error instanceof EvaluationFailure)) throw error;
      accumulator.value = error;
    }
    for (const [first, second] of entriesOf(range, loop.secondVariable !== undefined)) {
      const single: Scope = { name: loop.variable, value: first, parent: accumulator };
      const inner: Scope =
        loop.secondVariable === undefined ? single : { name: loop.secondVariable, value: second, parent: single };
      if (this.run(loop.condition, inner) !== true) break;
      try {
        accumulator.value = this.run(loop.step, inner);
      } catch (error) {
        if (!(error instanceof EvaluationFailure)) throw error;
        accumulator.value = error;
      }
    }
    return this.run(loop.result, accumulator);
  }
}

/** Functions whose cost is that of what comes out. */
const costsByResult: ReadonlySet<string> = new Set(["join"]);

function fieldOf(operand: Value, field: string): Value | undefined {
  if (operand instanceof Mapping) return operand.get(field);
  throw noSuchOverload();
}

function* entriesOf(range: Value, both: boolean): Generator<readonly [Value, Value]> {
  if (isList(range)) {
    for (let at = 0; at < range.length; at += 1) yield [both ? BigInt(at) : (range[at] ?? null), range[at] ?? null];
  } else if (range instanceof Mapping && range.objectType === undefined) {
    for (const key of range.keys()) yield [key, both ? (range.get(key) ?? null) : null];
  } else {
    throw new EvaluationFailure(`got '${plainText(range)}', expected iterable type`);
  }
}
