import fc from "fast-check";
import type { JsonPatchOperation } from "@fleetwright/kube";
import type { SubjectName } from "./objects.ts";

export interface JsonCase {
  readonly on: SubjectName;
  readonly operations: readonly JsonPatchOperation[];
}

const container = "/spec/template/spec/containers/0";

const tables: Readonly<Partial<Record<SubjectName, readonly (readonly JsonPatchOperation[])[]>>> = {
  configMap: [
    [],
    [{ op: "add", path: "/data/c", value: "3" }],
    [{ op: "add", path: "/data/a.conf", value: "again" }],
    [{ op: "replace", path: "/data/a.conf", value: "9" }],
    [{ op: "replace", path: "/data/missing", value: "9" }],
    [{ op: "remove", path: "/data/a.conf" }],
    [{ op: "remove", path: "/data/missing" }],
    [{ op: "remove", path: "/data" }],
    [{ op: "remove", path: "/nothing/there" }],
    [{ op: "add", path: "/nothing/there", value: "x" }],
    [{ op: "test", path: "/data/a.conf", value: "1" }],
    [{ op: "test", path: "/data/a.conf", value: "2" }],
    [{ op: "test", path: "/data/missing", value: null }],
    [{ op: "test", path: "/data/missing", value: "x" }],
    [{ op: "test", path: "/data/a.conf", value: null }],
    [{ op: "test", path: "/missing/deeper", value: null }],
    [{ op: "test", path: "/data", value: { empty: "", "b.conf": "2", "a.conf": "1" } }],
    [{ op: "test", path: "/data", value: { "b.conf": "2", "a.conf": "1" } }],
    [{ op: "test", path: "/metadata/finalizers", value: ["example.com/a", "example.com/b"] }],
    [{ op: "test", path: "/metadata/finalizers", value: ["example.com/b", "example.com/a"] }],
    [{ op: "test", path: "/metadata/finalizers/-", value: "example.com/b" }],
    [{ op: "test", path: "/metadata/finalizers/-1", value: "example.com/b" }],
    [{ op: "test", path: "/metadata/finalizers/7", value: null }],
    [{ op: "replace", path: "/metadata/annotations/example.com~1a.b", value: "escaped" }],
    [{ op: "test", path: "/metadata/annotations/example.com~1a.b", value: "tilde" }],
    [{ op: "add", path: "/metadata/annotations/example.com~1new", value: "y" }],
    [{ op: "remove", path: "/metadata/annotations/example.com~1a.b" }],
    [{ op: "add", path: "/metadata/finalizers/-", value: "example.com/c" }],
    [{ op: "add", path: "/metadata/finalizers/0", value: "example.com/c" }],
    [{ op: "add", path: "/metadata/finalizers/2", value: "example.com/c" }],
    [{ op: "add", path: "/metadata/finalizers/3", value: "example.com/c" }],
    [{ op: "add", path: "/metadata/finalizers/-1", value: "example.com/c" }],
    [{ op: "add", path: "/metadata/finalizers/-3", value: "example.com/c" }],
    [{ op: "add", path: "/metadata/finalizers/-4", value: "example.com/c" }],
    [{ op: "add", path: "/metadata/finalizers/x", value: "example.com/c" }],
    [{ op: "add", path: "/metadata/finalizers/01", value: "example.com/c" }],
    [{ op: "remove", path: "/metadata/finalizers/0" }],
    [{ op: "remove", path: "/metadata/finalizers/-1" }],
    [{ op: "remove", path: "/metadata/finalizers/2" }],
    [{ op: "remove", path: "/metadata/finalizers/-" }],
    [{ op: "replace", path: "/metadata/finalizers/1", value: "example.com/c" }],
    [{ op: "replace", path: "/metadata/finalizers/2", value: "example.com/c" }],
    [{ op: "replace", path: "/metadata/finalizers/-", value: "example.com/c" }],
    [{ op: "move", from: "/data/a.conf", path: "/data/moved" }],
    [{ op: "move", from: "/data/missing", path: "/data/moved" }],
    [{ op: "move", from: "/data/a.conf", path: "/nothing/there" }],
    [{ op: "move", from: "/metadata/finalizers/0", path: "/metadata/finalizers/1" }],
    [{ op: "move", from: "/metadata/finalizers/0", path: "/metadata/finalizers/-" }],
    [{ op: "move", from: "/metadata/labels", path: "/metadata/labels/inside" }],
    [{ op: "copy", from: "/data/a.conf", path: "/data/copied" }],
    [{ op: "copy", from: "/data/missing", path: "/data/copied" }],
    [{ op: "copy", from: "/missing/deeper", path: "/data/copied" }],
    [{ op: "copy", from: "/metadata/labels", path: "/data" }],
    [{ op: "copy", from: "/data", path: "/metadata/annotations" }],
    [{ op: "copy", from: "/metadata/finalizers/0", path: "/data/f" }],
    [{ op: "copy", from: "/metadata/finalizers/5", path: "/data/f" }],
    [{ op: "add", path: "", value: {} }],
    [{ op: "remove", path: "" }],
    [{ op: "replace", path: "", value: "text" }],
    [{ op: "test", path: "", value: {} }],
    [{ op: "add", path: "data/c", value: "3" }],
    [{ op: "add", path: "x/data/c", value: "3" }],
    [{ op: "add", path: "/data/c/", value: "3" }],
    [{ op: "add", path: "/data/", value: "3" }],
    [{ op: "add", path: "/data/c", value: null }],
    [{ op: "replace", path: "/data/a.conf", value: null }],
    [{ op: "add", path: "/data", value: { only: "this" } }],
    [{ op: "add", path: "/data", value: null }],
    [{ op: "add", path: "/data/__proto__", value: "own" }],
    [{ op: "add", path: "/data/constructor", value: "own" }],
    [{ op: "test", path: "/data/toString", value: null }],
    [
      { op: "add", path: "/metadata/annotations/one", value: "1" },
      { op: "copy", from: "/metadata/annotations/one", path: "/data/one" },
      { op: "remove", path: "/metadata/annotations/one" },
    ],
    [
      { op: "add", path: "/data/c", value: "3" },
      { op: "test", path: "/data/c", value: "4" },
    ],
    [{ op: "flip" as "add", path: "/data/c", value: "3" }],
  ],
  deployment: [
    [{ op: "replace", path: "/spec/replicas", value: 5 }],
    [{ op: "test", path: "/spec/replicas", value: 3 }],
    [{ op: "test", path: "/spec/replicas", value: "3" }],
    [{ op: "replace", path: "/spec/replicas", value: "five" }],
    [{ op: "replace", path: `${container}/image`, value: "web:2" }],
    [{ op: "replace", path: `${container}/resources/requests/cpu`, value: "250m" }],
    [{ op: "add", path: `${container}/env/-`, value: { name: "D", value: "4" } }],
    [{ op: "add", path: `${container}/env/1`, value: { name: "D", value: "4" } }],
    [{ op: "remove", path: `${container}/env/1` }],
    [{ op: "remove", path: `${container}/env` }],
    [{ op: "add", path: "/spec/template/spec/containers/-", value: { name: "new", image: "new:1" } }],
    [{ op: "move", from: "/spec/template/spec/containers/1", path: "/spec/template/spec/containers/0" }],
    [{ op: "copy", from: `${container}/resources`, path: "/spec/template/spec/containers/1/resources" }],
    [{ op: "test", path: `${container}/env/0`, value: { value: "1", name: "A" } }],
    [{ op: "test", path: `${container}/env/0/name/deeper`, value: "A" }],
    [{ op: "remove", path: "/spec/template/spec/nodeSelector" }],
    [{ op: "add", path: "/spec/template/spec/nodeSelector/zone", value: "2" }],
    [{ op: "remove", path: "/spec/selector" }],
    [{ op: "replace", path: "/spec/strategy", value: { type: "Recreate" } }],
    [{ op: "add", path: "/spec/template/spec/tolerations/-", value: { operator: "Exists" } }],
  ],
  service: [
    [{ op: "add", path: "/spec/ports/-", value: { name: "more", port: 81 } }],
    [{ op: "replace", path: "/spec/ports/0/targetPort", value: "web" }],
    [{ op: "remove", path: "/spec/externalIPs/0" }],
    [{ op: "replace", path: "/spec/ports/0/port", value: 0 }],
  ],
  pod: [
    [{ op: "replace", path: "/spec/containers/0/image", value: "web:2" }],
    [{ op: "replace", path: "/spec/activeDeadlineSeconds", value: 60 }],
    [{ op: "add", path: "/spec/tolerations/-", value: { operator: "Exists" } }],
    [{ op: "remove", path: "/spec/containers/1" }],
  ],
};

export const jsonTable: readonly JsonCase[] = Object.entries(tables).flatMap(([on, lists]) =>
  lists.map((operations) => ({ on: on as SubjectName, operations })),
);

const word = fc.constantFrom("a.conf", "b.conf", "new", "0", "1", "-", "5", "-1", "x~1y", "data", "env", "name");
const somePath = fc.oneof(
  fc.constantFrom(
    "/data/a.conf",
    "/data/b.conf",
    "/data/empty",
    "/metadata/labels/app",
    "/metadata/labels",
    "/metadata/annotations/note",
    "/metadata/finalizers/0",
    "/metadata/finalizers/1",
    "/metadata/finalizers",
    "/binaryData/blob",
  ),
  fc
    .tuple(fc.constantFrom("/data", "/metadata/labels", "/metadata/annotations", "/metadata/finalizers", ""), word)
    .map(([parent, key]) => `${parent}/${key}`),
);
const someValue = fc.oneof(
  fc.constantFrom<unknown>("1", "2", "", "web", "example.com/z", null, 7, true, "x", "tilde"),
  fc.constantFrom<unknown>({ a: "b" }, ["example.com/q"], {}, []),
);
const someOperation: fc.Arbitrary<JsonPatchOperation> = fc.oneof(
  fc.record({ op: fc.constantFrom("add", "replace", "test"), path: somePath, value: someValue }),
  fc.record({ op: fc.constant("remove"), path: somePath }),
  fc.record({ op: fc.constantFrom("move", "copy"), from: somePath, path: somePath }),
);

export const randomJsonCases = (seed: number, count: number): readonly JsonCase[] =>
  fc
    .sample(fc.array(someOperation, { minLength: 1, maxLength: 4 }), { seed, numRuns: count })
    .map((operations) => ({ on: "configMap", operations }));
