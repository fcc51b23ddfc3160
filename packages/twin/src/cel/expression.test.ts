import { describe, expect, it } from "vitest";
import { compile } from "./expression.ts";
import { dynamicValue } from "./json-value.ts";
import { CostLimitExceeded } from "./runtime-cost.ts";
import { dyn, scalar, type Type } from "./types.ts";

const data: Readonly<Record<string, unknown>> = {
  object: {
    list: [1, 2, 3],
    names: ["b", "a"],
    map: { x: "y", "a.b/c": 1 },
    text: "hello",
    nothing: null,
    __proto__x: true,
  },
  count: 5,
};
const variables = new Map<string, Type>([
  ["object", dyn],
  ["count", scalar("int")],
  ["text", scalar("string")],
]);

function run(source: string, limit?: number): unknown {
  const { program, error } = compile(source, { variables }, limit);
  if (program === undefined) throw new Error(error);
  return program.run((name) => (Object.hasOwn(data, name) ? dynamicValue(data[name]) : undefined));
}

describe("expressions", () => {
  it.each([
    "object.list.all(x, x > 0)",
    "object.list.map(x, x * 2) == [2, 4, 6]",
    "object.list.filter(x, x > 1).size() == 2",
    "object.list.exists_one(x, x == 2)",
    "object.list.all(i, v, v == i + 1)",
    "object.map.transformMap(k, v, type(v) == string, v + '!') == {'x': 'y!'}",
    "object.list.transformList(i, v, i > 0, v) == [2, 3]",
    "!has(object.missing) && has(object.text)",
    "object.map['a.b/c'] == 1",
    "object.?missing.orValue('none') == 'none'",
    "object.?map.x.hasValue() && !object.?nope.x.hasValue()",
    "object[?'text'].optMap(t, t + '!').value() == 'hello!'",
    "[1, ?optional.none(), 3] == [1, 3]",
    "{?'a': optional.of(1), ?'b': optional.none()} == {'a': 1}",
    "object.nothing == null",
    // A failure on one side does not matter when the other decides.
    "object.list.exists(x, x / 0 == 1 || x == 3)",
    "true || object.missing == 1",
    "!(object.missing == 1 && false)",
    "dyn(1) == 1.0 && dyn(1u) == 1",
    "count > 4.5",
    "-9223372036854775808 < 0",
    "0x1F == 31 && 1e3 == 1000.0 && 5u == uint(5)",
    "'\\u00e9\\x41' == 'éA' && r'\\d' == '\\\\d' && '\\n'.size() == 1",
    '"""a"b""" == \'a"b\'',
    "b'\\xff'.size() == 1",
    "'héllo'.size() == 5 && 'héllo'.charAt(1) == 'é'",
    "'a,b,c'.split(',', 2) == ['a', 'b,c']",
    "'abc'.replace('', '-') == '-a-b-c-'",
    "'  x '.trim() == 'x' && 'AbÉ'.lowerAscii() == 'abÉ'",
    "'hello'.indexOf('l') == 2 && 'hello'.lastIndexOf('l') == 3 && 'hello'.substring(1, 3) == 'el'",
    "'%s %d %.2f %x'.format(['a', 3, 1.5, 255]) == 'a 3 1.50 ff'",
    "['a', 'b'].join('-') == 'a-b'",
    "strings.quote('a\"b') == '\"a\\\\\"b\"'",
    "'abc 123'.find('[0-9]+') == '123' && 'a1b2'.findAll('[0-9]') == ['1', '2']",
    "'abc'.matches('^a.c$')",
    "[3, 1, 2].sort() == [1, 2, 3] && [1, 2].isSorted() && [1, 2].sum() == 3 && [2, 3].max() == 3",
    "[{'a': 3}, {'a': 1}].sortBy(e, e.a)[0].a == 1",
    "[1, 1, 2].distinct() == [1, 2] && [[1], [2]].flatten() == [1, 2] && lists.range(3) == [0, 1, 2]",
    "sets.contains([1, 2], [2]) && sets.intersects([1], [1, 2]) && !sets.equivalent([1], [2])",
    "duration('1h30m').getMinutes() == 90 && duration('90s') == duration('1m30s')",
    "timestamp('2024-02-29T10:00:00.5Z').getDayOfYear() == 59",
    "timestamp('2024-01-01T00:00:00Z') + duration('1h') == timestamp('2024-01-01T01:00:00Z')",
    "timestamp('2024-07-01T00:00:00Z').getHours('America/New_York') == 20",
    "string(timestamp('2024-01-01T00:00:00Z')) == '2024-01-01T00:00:00Z' && string(duration('1m')) == '60s'",
    "quantity('1Gi').isGreaterThan(quantity('5M')) && quantity('100m').add(quantity('0.9')).compareTo(quantity('1')) == 0",
    "isQuantity('1Ki') && !isQuantity('x') && quantity('50k').asInteger() == 50000",
    "url('https://a.b:80/x?y=1').getPort() == '80' && url('https://[::1]:80/').getHostname() == '::1' && !isURL('x y')",
    "ip('10.0.0.1').family() == 4 && ip('::1').isLoopback() && !isIP('1.2.3') && !ip.isCanonical('::FFFF')",
    "cidr('10.0.0.0/8').containsIP('10.1.2.3') && cidr('10.0.0.0/8').containsCIDR(cidr('10.1.0.0/16'))",
    "cidr('192.168.1.5/24').masked() == cidr('192.168.1.0/24') && cidr('10.0.0.0/8').prefixLength() == 8",
    "semver('1.2.3').isLessThan(semver('1.10.0')) && semver('1.0.0-a').compareTo(semver('1.0.0')) == -1",
    "semver('v1.2', true).minor() == 2 && !isSemver('1.2')",
    "!format.dns1123Label().validate('a-b').hasValue() && format.named('uuid').value().validate('x').hasValue()",
    "jsonpatch.escapeKey('k8s.io/my~label') == 'k8s.io~1my~0label'",
    "type(count) == int && type('x') == string && type([]) == list && type(duration('1s')) == google.protobuf.Duration",
    "int('42') == 42 && double('1.5') == 1.5 && string(1.0) == '1' && bool('true') && string(b'a') == 'a'",
    "2 in [1, 2] && 'x' in object.map && !('z' in object.map)",
    "(count > 3 ? 'many' : 'few') == 'many'",
  ])("%s", (source) => {
    expect(run(source)).toBe(true);
  });

  it.each([
    ["object.missing", "no such key: missing"],
    ["object.list[7]", "index out of bounds: 7"],
    ["count / 0", "division by zero"],
    ["9223372036854775807 + count", "integer overflow"],
    ["object.text.x", "no such overload"],
    ["object.text > 1", "no such overload"],
    ["optional.none().value()", "optional.none() dereference"],
    ["object.list.map(x, x / 0)", "division by zero"],
    ["int(object.text)", 'strconv.ParseInt: parsing "hello": invalid syntax'],
    ["quantity('x')", "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"],
  ])("%s fails: %s", (source, message) => {
    expect(() => run(source)).toThrow(message);
  });

  it.each([
    [
      'count + "x"',
      "ERROR: <input>:1:7: found no matching overload for '_+_' applied to '(int, string)'\n | count + \"x\"\n | ......^",
    ],
    ["foo.bar", "ERROR: <input>:1:1: undeclared reference to 'foo' (in container '')\n | foo.bar\n | ^"],
    ["count.x", "ERROR: <input>:1:6: type 'int' does not support field selection\n | count.x\n | .....^"],
    ["count && true", "ERROR: <input>:1:1: expected type 'bool' but found 'int'\n | count && true\n | ^"],
    [
      "text.nope()",
      "ERROR: <input>:1:10: undeclared reference to 'nope' (in container '')\n | text.nope()\n | .........^",
    ],
    [
      "text.startsWith(1)",
      "ERROR: <input>:1:16: found no matching overload for 'startsWith' applied to 'string.(int)'\n | text.startsWith(1)\n | ...............^",
    ],
    ["namespace", "reserved identifier: namespace"],
    ["'x'.matches('(')", "invalid matches argument"],
    ["duration('x') > duration('1s')", "invalid duration argument"],
    ["1 +", "mismatched input '<EOF>'"],
    ["text[", "mismatched input '<EOF>'"],
    ["'abc", "token recognition error"],
    ["count.all(x, true)", "expression of type 'int' cannot be range of a comprehension"],
  ])("%s does not compile", (source, message) => {
    expect(() => run(source)).toThrow(message);
  });

  it.each([
    "[0,1,2,3,4,5,6,7,8,9].all(a, [0,1,2,3,4,5,6,7,8,9].all(b, [0,1,2,3,4,5,6,7,8,9].all(c, [0,1,2,3,4,5,6,7,8,9].all(d, [0,1,2,3,4,5,6,7,8,9].all(e, [0,1,2,3,4,5,6,7,8,9].all(f, true))))))",
    "lists.range(1000000).map(x, x).size() > 0",
    "lists.range(20000).distinct().size() > 0",
  ])("stops at the limit: %s", (source) => {
    expect(() => run(source)).toThrow(CostLimitExceeded);
  });

  it("refuses what is nested too deeply, or too long, at once", () => {
    expect(() => run(`${"(".repeat(10_000)}1${")".repeat(10_000)}`)).toThrow(
      "expression recursion limit exceeded: 250",
    );
    expect(() => run(`1${" + 1".repeat(10_000)}`)).toThrow("expression recursion limit exceeded: 250");
    expect(() => run(" ".repeat(100_001))).toThrow(
      "expression code point size exceeds limit: size: 100001, limit 100000",
    );
    expect(run(`true${" && true".repeat(5000)}`)).toBe(true);
  });

  it("makes no list again for every element it adds", () => {
    const source = "lists.range(20000).map(x, x).size() == 20000";
    expect(run(source)).toBe(true);
  });
});
