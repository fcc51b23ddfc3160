import { accumulatorName, ParseFailure, type Comprehension, type Expression, type Literal } from "./expression-tree.ts";

/** Makes nodes with ids of their own. */
export interface TreeBuilder {
  nextId(): number;
  literal(type: Literal["type"], value: Literal["value"], offset: number): Expression;
  identifier(name: string, offset: number): Expression;
  call(name: string, parameters: readonly Expression[], offset: number, target?: Expression): Expression;
}

interface MacroCall {
  readonly build: TreeBuilder;
  readonly target: Expression;
  readonly parameters: readonly Expression[];
  readonly offset: number;
  /** One or two loop variables. */
  readonly names: readonly [string, string | undefined];
  /** What follows the variables. */
  readonly rest: readonly Expression[];
}

const argument = (expression: Expression | undefined): Expression => {
  if (expression === undefined) throw new RangeError("the number of a macro's arguments is checked before");
  return expression;
};

function loop(
  { build, target, names, offset }: MacroCall,
  parts: Pick<Comprehension, "condition" | "initial" | "result" | "step">,
): Expression {
  return {
    kind: "comprehension",
    id: build.nextId(),
    offset,
    range: target,
    variable: names[0],
    secondVariable: names[1],
    accumulator: accumulatorName,
    ...parts,
  };
}

const accumulated = ({ build, offset }: MacroCall): Expression => build.identifier(accumulatorName, offset);
const listOf = ({ build, offset }: MacroCall, ...items: Expression[]): Expression => ({
  kind: "list",
  id: build.nextId(),
  offset,
  elements: items.map((value) => ({ value, optional: false })),
});
const always = ({ build, offset }: MacroCall): Expression => build.literal("bool", true, offset);

function all(call: MacroCall): Expression {
  const { build, offset, rest } = call;
  return loop(call, {
    initial: build.literal("bool", true, offset),
    condition: build.call("@not_strictly_false", [accumulated(call)], offset),
    step: build.call("_&&_", [accumulated(call), argument(rest[0])], offset),
    result: accumulated(call),
  });
}

function exists(call: MacroCall): Expression {
  const { build, offset, rest } = call;
  return loop(call, {
    initial: build.literal("bool", false, offset),
    condition: build.call("@not_strictly_false", [build.call("!_", [accumulated(call)], offset)], offset),
    step: build.call("_||_", [accumulated(call), argument(rest[0])], offset),
    result: accumulated(call),
  });
}

function existsOne(call: MacroCall): Expression {
  const { build, offset, rest } = call;
  const counted = build.call("_+_", [accumulated(call), build.literal("int", 1n, offset)], offset);
  return loop(call, {
    initial: build.literal("int", 0n, offset),
    condition: always(call),
    step: build.call("_?_:_", [argument(rest[0]), counted, accumulated(call)], offset),
    result: build.call("_==_", [accumulated(call), build.literal("int", 1n, offset)], offset),
  });
}

function transformList(call: MacroCall): Expression {
  const { build, offset, rest } = call;
  const appended = build.call("_+_", [accumulated(call), listOf(call, argument(rest.at(-1)))], offset);
  return loop(call, {
    initial: listOf(call),
    condition: always(call),
    step: rest.length === 1 ? appended : build.call("_?_:_", [argument(rest[0]), appended, accumulated(call)], offset),
    result: accumulated(call),
  });
}

function filter(call: MacroCall): Expression {
  return transformList({ ...call, rest: [argument(call.rest[0]), call.build.identifier(call.names[0], call.offset)] });
}

function transformMap(call: MacroCall, insertion: (call: MacroCall, last: Expression) => Expression): Expression {
  const { build, offset, rest } = call;
  const inserted = insertion(call, argument(rest.at(-1)));
  return loop(call, {
    initial: { kind: "map", id: build.nextId(), offset, entries: [] },
    condition: always(call),
    step: rest.length === 1 ? inserted : build.call("_?_:_", [argument(rest[0]), inserted, accumulated(call)], offset),
    result: accumulated(call),
  });
}

const insertValue = (call: MacroCall, value: Expression): Expression =>
  call.build.call(
    "cel.@mapInsert",
    [accumulated(call), call.build.identifier(call.names[0], call.offset), value],
    call.offset,
  );
const insertEntry = (call: MacroCall, entry: Expression): Expression =>
  call.build.call("cel.@mapInsert", [accumulated(call), entry], call.offset);

interface LoopMacro {
  /** Variables and number of arguments in all. */
  readonly variables: 1 | 2;
  readonly counts: readonly number[];
  expand(call: MacroCall): Expression;
}

const loopMacros: Readonly<Record<string, readonly LoopMacro[]>> = {
  all: [
    { variables: 1, counts: [2], expand: all },
    { variables: 2, counts: [3], expand: all },
  ],
  exists: [
    { variables: 1, counts: [2], expand: exists },
    { variables: 2, counts: [3], expand: exists },
  ],
  exists_one: [
    { variables: 1, counts: [2], expand: existsOne },
    { variables: 2, counts: [3], expand: existsOne },
  ],
  existsOne: [
    { variables: 1, counts: [2], expand: existsOne },
    { variables: 2, counts: [3], expand: existsOne },
  ],
  map: [{ variables: 1, counts: [2, 3], expand: transformList }],
  filter: [{ variables: 1, counts: [2], expand: filter }],
  transformList: [{ variables: 2, counts: [3, 4], expand: transformList }],
  transformMap: [{ variables: 2, counts: [3, 4], expand: (call) => transformMap(call, insertValue) }],
  transformMapEntry: [{ variables: 2, counts: [3, 4], expand: (call) => transformMap(call, insertEntry) }],
};

const loopName = (expression: Expression | undefined, problem = "argument is not an identifier"): string => {
  if (expression?.kind === "identifier" && expression.name !== accumulatorName) return expression.name;
  throw new ParseFailure({ offset: expression?.offset ?? 0, message: problem });
};

/** `optMap` and `optFlatMap`: the operand is bound once, and used where it has a value. */
function optionalMap(
  build: TreeBuilder,
  target: Expression,
  parameters: readonly Expression[],
  offset: number,
  flat: boolean,
): Expression {
  const name = loopName(parameters[0]);
  const body = argument(parameters[1]);
  const operand = target.kind === "identifier" ? target.name : "@target";
  const bound = (value: string) => build.identifier(value, offset);
  const mapped = bind(build, name, build.call("value", [], offset, bound(operand)), body, offset);
  const chosen = build.call(
    "_?_:_",
    [
      build.call("hasValue", [], offset, bound(operand)),
      flat ? mapped : build.call("optional.of", [mapped], offset),
      build.call("optional.none", [], offset),
    ],
    offset,
  );
  return target.kind === "identifier" ? chosen : bind(build, operand, target, chosen, offset);
}

function bind(build: TreeBuilder, name: string, value: Expression, body: Expression, offset: number): Expression {
  return {
    kind: "comprehension",
    id: build.nextId(),
    offset,
    range: { kind: "list", id: build.nextId(), offset, elements: [] },
    variable: "#unused",
    secondVariable: undefined,
    accumulator: name,
    initial: value,
    condition: build.literal("bool", false, offset),
    step: build.identifier(name, offset),
    result: body,
  };
}

/** `lists.sortBy(element, key)`: keys by a loop, then a function of both. */
function sortBy(build: TreeBuilder, target: Expression, parameters: readonly Expression[], offset: number): Expression {
  const name = loopName(parameters[0]);
  const variable = "@__sortBy_input__";
  const list = build.identifier(variable, offset);
  const keys = transformList({
    build,
    target: list,
    parameters,
    offset,
    names: [name, undefined],
    rest: [argument(parameters[1])],
  });
  return bind(
    build,
    variable,
    target,
    build.call("@sortByAssociatedKeys", [keys], offset, build.identifier(variable, offset)),
    offset,
  );
}

/** What a call stands for when it is a macro (cel-go `parser/macro.go`, `ext/comprehensions.go`); `undefined` when it is a function. */
export function expandMacro(
  build: TreeBuilder,
  name: string,
  target: Expression | undefined,
  parameters: readonly Expression[],
  offset: number,
): Expression | undefined {
  if (target === undefined) {
    if (name !== "has" || parameters.length !== 1) return undefined;
    const operand = parameters[0];
    if (operand?.kind !== "select" || operand.testOnly) {
      throw new ParseFailure({ offset: operand?.offset ?? offset, message: "invalid argument to has() macro" });
    }
    return { ...operand, id: build.nextId(), offset, testOnly: true };
  }
  if (parameters.length === 2 && (name === "optMap" || name === "optFlatMap")) {
    return optionalMap(build, target, parameters, offset, name === "optFlatMap");
  }
  if (parameters.length === 2 && name === "sortBy") return sortBy(build, target, parameters, offset);
  if (!Object.hasOwn(loopMacros, name)) return undefined;
  const macro = loopMacros[name]?.find(({ counts }) => counts.includes(parameters.length));
  if (macro === undefined) return undefined;
  const problem = name === "map" || name === "filter" ? undefined : "argument must be a simple name";
  const names = [
    loopName(parameters[0], problem),
    macro.variables === 2 ? loopName(parameters[1], problem) : undefined,
  ] as const;
  return macro.expand({ build, target, parameters, offset, names, rest: parameters.slice(macro.variables) });
}
