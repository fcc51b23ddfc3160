import type { FunctionTable, Overload } from "./declarations.ts";
import type {
  Comprehension,
  Expression,
  Issue,
  ListLiteral,
  MapLiteral,
  Select,
  StructLiteral,
} from "./expression-tree.ts";
import { qualifiedName } from "./parser.ts";
import { Substitution } from "./substitution.ts";
import { dyn, isDynamic, listOf, mapOf, optionalOf, scalar, typeText, type ObjectType, type Type } from "./types.ts";

/** What expressions may name. */
export interface Declarations {
  readonly functions: FunctionTable;
  readonly variables: ReadonlyMap<string, Type>;
  /** Types that expressions may name and construct: `Object.spec`. */
  readonly objectType?: (name: string) => ObjectType | undefined;
}

/** A tree with its types. */
export interface CheckedExpression {
  readonly root: Expression;
  readonly result: Type;
  readonly issues: readonly Issue[];
  typeOf(expression: Expression): Type;
  /** What a call may be: several where types are only known at run time. */
  overloadsOf(expression: Expression): readonly Overload[];
  /** A select or identifier that is a variable with this (dotted) name. */
  variableOf(expression: Expression): string | undefined;
  /** A call whose target is part of the function's name (`optional.of`). */
  isNamespaced(expression: Expression): boolean;
  /** An identifier that names a type, as a value. */
  typeNamed(expression: Expression): Type | undefined;
  readonly usedVariables: ReadonlySet<string>;
}

const typeNames: ReadonlyMap<string, Type> = new Map<string, Type>([
  ...(["bool", "bytes", "double", "int", "string", "uint"] as const).map((kind) => [kind, scalar(kind)] as const),
  ["list", listOf(dyn)],
  ["map", mapOf(dyn, dyn)],
  ["null_type", scalar("null")],
  ["type", { kind: "type", value: undefined }],
  ["optional_type", optionalOf(dyn)],
  ["google.protobuf.Timestamp", scalar("timestamp")],
  ["google.protobuf.Duration", scalar("duration")],
  ...["Quantity", "URL", "Semver", "NamedFormat"].map(
    (name) => [`kubernetes.${name}`, { kind: "object", name: `kubernetes.${name}` } as Type] as const,
  ),
  ...["IP", "CIDR"].map((name) => [`net.${name}`, { kind: "object", name: `net.${name}` } as Type] as const),
]);

/** Finds the type of every node (cel-go `checker/checker.go`), and all mistakes. */
export function check(root: Expression, declarations: Declarations): CheckedExpression {
  const checker = new Checker(declarations);
  checker.visit(root);
  const final = (expression: Expression) => checker.substitution.resolve(checker.types.get(expression.id) ?? dyn, true);
  return {
    root,
    result: final(root),
    issues: checker.issues,
    typeOf: final,
    overloadsOf: (expression) => checker.overloads.get(expression.id) ?? [],
    variableOf: (expression) => checker.variables.get(expression.id),
    isNamespaced: (expression) => checker.namespaced.has(expression.id),
    typeNamed: (expression) => checker.namedTypes.get(expression.id),
    usedVariables: new Set(checker.variables.values()),
  };
}

class Checker {
  readonly substitution = new Substitution();
  readonly types = new Map<number, Type>();
  readonly overloads = new Map<number, readonly Overload[]>();
  readonly variables = new Map<number, string>();
  readonly namespaced = new Set<number>();
  readonly namedTypes = new Map<number, Type>();
  readonly issues: Issue[] = [];
  readonly #declarations: Declarations;
  readonly #locals: (readonly [string, Type])[] = [];
  /** Arguments of `format` may be of different types. */
  #mixed = false;

  constructor(declarations: Declarations) {
    this.#declarations = declarations;
  }

  visit(expression: Expression): Type {
    const type = this.#typeOf(expression);
    this.types.set(expression.id, type);
    return type;
  }

  #report({ offset }: { readonly offset: number }, message: string): Type {
    this.issues.push({ offset, message });
    return scalar("error");
  }

  #typeOf(expression: Expression): Type {
    switch (expression.kind) {
      case "literal":
        return scalar(expression.type);
      case "identifier":
        return this.#named(expression, expression.name) ?? this.#undeclared(expression, expression.name);
      case "select":
        return this.#select(expression);
      case "call":
        return expression.name === "_?._"
          ? this.#optionalSelect(expression, expression.parameters)
          : this.#call(expression);
      case "list":
        return this.#list(expression);
      case "map":
        return this.#map(expression);
      case "struct":
        return this.#struct(expression);
      case "comprehension":
        return this.#comprehension(expression);
    }
  }

  #undeclared(place: { readonly offset: number }, name: string): Type {
    return this.#report(place, `undeclared reference to '${name}' (in container '')`);
  }

  #named(expression: Expression, name: string): Type | undefined {
    const local = this.#locals.findLast(([known]) => known === name);
    if (local !== undefined) return local[1];
    const variable = this.#declarations.variables.get(name);
    if (variable !== undefined) {
      this.variables.set(expression.id, name);
      return variable;
    }
    const type = typeNames.get(name) ?? this.#declarations.objectType?.(name);
    if (type === undefined) return undefined;
    this.namedTypes.set(expression.id, type);
    return { kind: "type", value: type };
  }

  #select(expression: Select): Type {
    const dotted = expression.testOnly ? undefined : qualifiedName(expression);
    const first = dotted?.split(".", 1)[0];
    // A loop variable hides what is declared under its name.
    if (dotted !== undefined && !this.#locals.some(([name]) => name === first)) {
      const variable = this.#named(expression, dotted);
      if (variable !== undefined) return variable;
    }
    const type = this.#field(expression, expression.operand, expression.field, false);
    return expression.testOnly ? scalar("bool") : type;
  }

  #optionalSelect(expression: Expression, [operand, field]: readonly Expression[]): Type {
    if (operand === undefined || field?.kind !== "literal")
      return this.#report(expression, "unsupported optional field selection");
    this.visit(field);
    return this.#field(expression, operand, String(field.value), true);
  }

  #field(expression: Expression, operand: Expression, field: string, optional: boolean): Type {
    const operandType = this.substitution.resolve(this.visit(operand));
    const target = operandType.kind === "optional" ? operandType.value : operandType;
    const wrap = (type: Type) => (optional || operandType.kind === "optional" ? optionalOf(type) : type);
    switch (target.kind) {
      case "map":
        return wrap(target.value);
      case "object": {
        const type = target.field?.(field);
        return wrap(type ?? this.#report(expression, `undefined field '${field}'`));
      }
      case "parameter":
        this.substitution.accept([dyn], [target]);
        return wrap(dyn);
      default:
        if (!isDynamic(target)) {
          this.#report(expression, `type '${typeText(target)}' does not support field selection`);
        }
        return wrap(dyn);
    }
  }

  #call(expression: Expression & { readonly kind: "call" }): Type {
    const { name, target, parameters } = expression;
    const mixed = this.#mixed;
    this.#mixed ||= name === "format" && target !== undefined;
    const parameterTypes = parameters.map((parameter) => this.visit(parameter));
    this.#mixed = mixed;
    if (target === undefined) {
      const known = this.#declarations.functions.get(name);
      return known === undefined
        ? this.#undeclared(expression, name)
        : this.#resolve(expression, name, known, parameterTypes, false);
    }
    const prefix = qualifiedName(target);
    const qualified = prefix === undefined ? undefined : this.#declarations.functions.get(`${prefix}.${name}`);
    if (qualified !== undefined) {
      this.namespaced.add(expression.id);
      return this.#resolve(expression, `${prefix}.${name}`, qualified, parameterTypes, false);
    }
    const targetType = this.visit(target);
    const known = this.#declarations.functions.get(name);
    if (known === undefined) return this.#undeclared(expression, name);
    return this.#resolve(expression, name, known, [targetType, ...parameterTypes], true);
  }

  #resolve(
    expression: Expression,
    name: string,
    known: readonly Overload[],
    types: readonly Type[],
    member: boolean,
  ): Type {
    if (name === "_&&_" || name === "_||_") {
      for (const [at, type] of types.entries()) {
        if (this.substitution.accept([type], [scalar("bool")])) continue;
        const place = expression.kind === "call" ? expression.parameters[at] : undefined;
        this.#report(
          place ?? expression,
          `expected type 'bool' but found '${typeText(this.substitution.resolve(type, true))}'`,
        );
        return scalar("error");
      }
      this.overloads.set(expression.id, known);
      return scalar("bool");
    }
    const found: Overload[] = [];
    let result: Type | undefined;
    for (const overload of known) {
      if (overload.member !== member) continue;
      const instance = this.#instantiate(overload);
      if (!this.substitution.accept(types, instance.parameters)) continue;
      found.push(overload);
      const type = this.substitution.resolve(instance.result);
      if (result === undefined) result = type;
      else if (!isDynamic(result) && typeText(result) !== typeText(type)) result = dyn;
    }
    if (result === undefined) {
      const texts = types.map((type) => typeText(this.substitution.resolve(type, true)));
      const signature = member ? `${texts[0]}.(${texts.slice(1).join(", ")})` : `(${texts.join(", ")})`;
      return this.#report(expression, `found no matching overload for '${name}' applied to '${signature}'`);
    }
    this.overloads.set(expression.id, found);
    return result;
  }

  #instantiate(overload: Overload): { readonly parameters: readonly Type[]; readonly result: Type } {
    const fresh = new Map<string, Type>();
    const instantiate = (type: Type): Type => {
      if (type.kind === "parameter") {
        const variable = fresh.get(type.name) ?? this.substitution.fresh();
        fresh.set(type.name, variable);
        return variable;
      }
      if (type.kind === "list") return listOf(instantiate(type.element));
      if (type.kind === "map") return mapOf(instantiate(type.key), instantiate(type.value));
      if (type.kind === "optional") return optionalOf(instantiate(type.value));
      if (type.kind === "type" && type.value !== undefined) return { kind: "type", value: instantiate(type.value) };
      return type;
    };
    return { parameters: overload.parameters.map(instantiate), result: instantiate(overload.result) };
  }

  /** Kubernetes wants elements of one type (`HomogeneousAggregateLiterals`). */
  #join(place: Expression, previous: Type | undefined, current: Type): Type {
    if (previous === undefined) return current;
    if (this.substitution.accept([previous], [current])) {
      const resolved = this.substitution.resolve(previous);
      return isDynamic(resolved) ? resolved : current;
    }
    if (this.substitution.accept([current], [previous])) return previous;
    if (this.#mixed) return dyn;
    this.#report(
      place,
      `expected type '${typeText(this.substitution.resolve(previous, true))}' but found '${typeText(this.substitution.resolve(current, true))}'`,
    );
    return previous;
  }

  #unwrapped(place: Expression, type: Type, optional: boolean): Type {
    if (!optional) return type;
    if (type.kind === "optional") return type.value;
    if (!isDynamic(type)) {
      this.#report(place, `expected type '${typeText(optionalOf(type))}' but found '${typeText(type)}'`);
    }
    return type;
  }

  #list({ elements }: ListLiteral): Type {
    let joined: Type | undefined;
    for (const { value, optional } of elements) {
      joined = this.#join(value, joined, this.#unwrapped(value, this.visit(value), optional));
    }
    return listOf(joined ?? this.substitution.fresh());
  }

  #map({ entries }: MapLiteral): Type {
    let keys: Type | undefined;
    let values: Type | undefined;
    for (const { key, value, optional } of entries) {
      keys = this.#join(key, keys, this.visit(key));
      values = this.#join(value, values, this.#unwrapped(value, this.visit(value), optional));
    }
    return mapOf(keys ?? this.substitution.fresh(), values ?? this.substitution.fresh());
  }

  #struct(expression: StructLiteral): Type {
    const type = this.#declarations.objectType?.(expression.typeName);
    for (const { value } of expression.fields) this.visit(value);
    if (type === undefined) return this.#undeclared(expression, expression.typeName);
    for (const { name, value, optional, offset } of expression.fields) {
      const declared = type.field?.(name);
      if (declared === undefined) {
        this.#report({ offset }, `undefined field '${name}'`);
        continue;
      }
      const given = this.#unwrapped(value, this.types.get(value.id) ?? dyn, optional);
      if (this.substitution.accept([given], [declared])) continue;
      this.#report(
        { offset },
        `expected type of field '${name}' is '${typeText(declared)}' but provided type is '${typeText(this.substitution.resolve(given, true))}'`,
      );
    }
    return type;
  }

  #comprehension(loop: Comprehension): Type {
    const range = this.substitution.resolve(this.visit(loop.range));
    const accumulator = this.visit(loop.initial);
    let first: Type = dyn;
    let second: Type = dyn;
    if (range.kind === "list") {
      first = loop.secondVariable === undefined ? range.element : scalar("int");
      second = range.element;
    } else if (range.kind === "map") {
      first = range.key;
      second = range.value;
    } else if (range.kind === "parameter") {
      this.substitution.accept([dyn], [range]);
    } else if (!isDynamic(range)) {
      this.#report(
        loop.range,
        `expression of type '${typeText(range)}' cannot be range of a comprehension (must be list, map, or dynamic)`,
      );
      first = scalar("error");
      second = first;
    }
    const depth = this.#locals.length;
    this.#locals.push([loop.accumulator, accumulator], [loop.variable, first]);
    if (loop.secondVariable !== undefined) this.#locals.push([loop.secondVariable, second]);
    this.#expect(loop.condition, scalar("bool"));
    this.#expect(loop.step, accumulator);
    this.#locals.length = depth;
    this.#locals.push([loop.accumulator, accumulator]);
    const result = this.substitution.resolve(this.visit(loop.result));
    this.#locals.length = depth;
    return result;
  }

  #expect(expression: Expression, wanted: Type): void {
    const type = this.visit(expression);
    if (this.substitution.accept([type], [wanted])) return;
    this.#report(
      expression,
      `expected type '${typeText(this.substitution.resolve(wanted, true))}' but found '${typeText(this.substitution.resolve(type, true))}'`,
    );
  }
}
