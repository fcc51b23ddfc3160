/** Requests that no well-behaved client sends, byte by byte. */
export type RawRequest = string | Buffer;

interface Parts {
  readonly method?: string;
  readonly type?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
}

function raw(path: string, { method = "POST", type = "application/json", headers = {}, body = "" }: Parts): Buffer {
  const bytes = Buffer.from(body);
  const all = { host: "127.0.0.1", "content-type": type, "content-length": String(bytes.length), ...headers };
  const head = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.concat([Buffer.from(`${method} ${path} HTTP/1.1\r\n${head.join("")}\r\n`), bytes]);
}

const maps = "/api/v1/namespaces/default/configmaps";
/** Made by whoever sends these. */
export const victim = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "victim" }, data: { a: "b" } };
const patch = (type: string, body: string | Buffer, query = ""): Buffer =>
  raw(`${maps}/victim${query}`, { method: "PATCH", type, body });
const create = (object: object): Buffer => raw(maps, { body: JSON.stringify({ ...victim, ...object }) });
const deep = (levels: number): string => "[".repeat(levels) + "]".repeat(levels);

export const badRequests: Readonly<Record<string, RawRequest>> = {
  "a body that is no JSON": raw(maps, { body: "not json" }),
  "an empty body": raw(maps, {}),
  "half an object": raw(maps, { body: JSON.stringify(victim).slice(0, 40) }),
  "an object and more": raw(maps, { body: `${JSON.stringify(victim)}}` }),
  "bytes that are no text": raw(maps, {
    body: Buffer.from(JSON.stringify({ ...victim, metadata: { name: "x\xff" } }), "latin1"),
  }),
  null: raw(maps, { body: "null" }),
  "a list": raw(maps, { body: "[]" }),
  "a body of 4 MiB": raw(maps, { body: JSON.stringify({ ...victim, data: { a: "x".repeat(4 << 20) } }) }),
  "20,000 arrays in each other": raw(maps, { body: `{"apiVersion":"v1","kind":"ConfigMap","data":${deep(20_000)}}` }),
  "200,000 arrays in a patch": patch("application/merge-patch+json", `{"data":${deep(200_000)}}`),
  "20,000 objects in YAML": raw(maps, {
    type: "application/yaml",
    body: `a: ${"{a: ".repeat(20_000)}${"}".repeat(20_000)}`,
  }),
  "a bomb of YAML aliases": raw(maps, {
    type: "application/yaml",
    body: `a0: &a0 [x, x, x, x, x, x, x, x, x]\n${Array.from({ length: 9 }, (_, index) => `a${index + 1}: &a${index + 1} [${Array.from({ length: 9 }, () => `*a${index}`).join(", ")}]\n`).join("")}`,
  }),
  "no version and no kind": raw(maps, { body: "{}" }),
  "a version that is not there": create({ apiVersion: "v9" }),
  "a group that is not there": create({ apiVersion: "nobody.example/v1" }),
  "another kind": create({ kind: "Secret" }),
  "a kind that is not there": create({ kind: "Nothing" }),
  "a version that is none": create({ apiVersion: "a/b/c" }),
  "a field of another type": create({ data: { a: 1 } }),
  "metadata that is no object": create({ metadata: "x" }),
  "a name in capitals": create({ metadata: { name: "A_B" } }),
  "a name that climbs": create({ metadata: { name: "../../etc" } }),
  "a name of 300 letters": create({ metadata: { name: "a".repeat(300) } }),
  "a name that is a number": create({ metadata: { name: 7 } }),
  "no name": create({ metadata: {} }),
  "another namespace": create({ metadata: { name: "x", namespace: "kube-system" } }),
  "a name with a slash in the path": raw(`${maps}/a%2Fb`, { method: "GET" }),
  "a name with a percent sign in the path": raw(`${maps}/a%25b`, { method: "GET" }),
  "a NUL in the path": raw(`${maps}/a%00b`, { method: "GET" }),
  "a path that climbs": raw(`${maps}/../../../../../etc/passwd`, { method: "GET" }),
  "a broken escape in the path": raw(`${maps}/%zz`, { method: "GET" }),
  "a JSON patch that is none": patch("application/json-patch+json", "{"),
  "a JSON patch that is an object": patch("application/json-patch+json", "{}"),
  "a JSON patch with an unknown operation": patch("application/json-patch+json", '[{"op":"explode","path":"/data"}]'),
  "a JSON patch of a path that is not there": patch(
    "application/json-patch+json",
    '[{"op":"remove","path":"/data/x"}]',
  ),
  "a JSON patch without a path": patch("application/json-patch+json", '[{"op":"add","value":1}]'),
  "a JSON patch with 10,001 operations": patch(
    "application/json-patch+json",
    JSON.stringify(Array.from({ length: 10_001 }, () => ({ op: "test", path: "/data/a", value: "b" }))),
  ),
  "a JSON patch whose test fails": patch("application/json-patch+json", '[{"op":"test","path":"/data/a","value":"c"}]'),
  "a merge patch that is a list": patch("application/merge-patch+json", "[]"),
  "a merge patch that is a word": patch("application/merge-patch+json", '"x"'),
  "a merge patch of the kind": patch("application/merge-patch+json", '{"kind":"Secret"}'),
  "a merge patch of the name": patch("application/merge-patch+json", '{"metadata":{"name":"other"}}'),
  "a merge patch that breaks a type": patch("application/merge-patch+json", '{"data":{"a":{"b":1}}}'),
  "a strategic patch with an unknown directive": patch(
    "application/strategic-merge-patch+json",
    '{"data":{"$patch":"explode"}}',
  ),
  "a strategic patch that is a list": patch("application/strategic-merge-patch+json", "[]"),
  "an apply without a manager": patch("application/apply-patch+yaml", JSON.stringify(victim)),
  "an apply of another kind": patch(
    "application/apply-patch+yaml",
    "apiVersion: v1\nkind: Secret\n",
    "?fieldManager=x",
  ),
  "an apply that is no YAML": patch("application/apply-patch+yaml", "a: [", "?fieldManager=x"),
  "an apply with managedFields": patch(
    "application/apply-patch+yaml",
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: victim, managedFields: [{manager: z}]}\n",
    "?fieldManager=x",
  ),
  "a patch of an unknown type": patch("text/plain", "{}"),
  "a patch without a type": patch("", "{}"),
  "YAML that says it is JSON": raw(maps, { body: "kind: ConfigMap\napiVersion: v1\n" }),
  "JSON that says it is protobuf": raw(maps, {
    type: "application/vnd.kubernetes.protobuf",
    body: JSON.stringify(victim),
  }),
  "protobuf that is torn": raw(maps, {
    type: "application/vnd.kubernetes.protobuf",
    body: Buffer.from("6b3873000affffffff7f", "hex"),
  }),
  "JSON that says it is a picture": raw(maps, { type: "image/png", body: JSON.stringify(victim) }),
  "a type that is none": raw(maps, { type: ";;;", body: JSON.stringify(victim) }),
  "compression that is none": raw(maps, { headers: { "content-encoding": "gzip" }, body: JSON.stringify(victim) }),
  "an answer in a picture": raw(`${maps}/victim`, { method: "GET", headers: { accept: "image/png" } }),
  "a limit below zero": raw(`${maps}?limit=-1`, { method: "GET" }),
  "a limit that is no number": raw(`${maps}?limit=many`, { method: "GET" }),
  "a continue token that is none": raw(`${maps}?continue=AAAA`, { method: "GET" }),
  "a version that is no number": raw(`${maps}?resourceVersion=new`, { method: "GET" }),
  "a dry run of a kind that is none": raw(`${maps}?dryRun=Some`, { body: JSON.stringify(victim) }),
  "a field validation that is none": raw(`${maps}?fieldValidation=Maybe`, { body: JSON.stringify(victim) }),
  "a manager of 200 letters": raw(`${maps}?fieldManager=${"m".repeat(200)}`, { body: JSON.stringify(victim) }),
  "a method that is none": raw(maps, { method: "EXPLODE" }),
  "a method in small letters": raw(maps, { method: "get" }),
  "a TRACE": raw(maps, { method: "TRACE" }),
  "a deletion with broken options": raw(`${maps}/victim`, { method: "DELETE", body: "{" }),
  "a deletion of an older version": raw(`${maps}/victim`, {
    method: "DELETE",
    body: '{"preconditions":{"resourceVersion":"1"}}',
  }),
  "a token that is none": raw(`${maps}/victim`, { method: "GET", headers: { authorization: "Bearer ey.ey.ey" } }),
  "an impersonation without a user": raw(`${maps}/victim`, { method: "GET", headers: { "impersonate-group": "x" } }),
  "two lengths": raw(maps, { headers: { "Content-Length": "3" }, body: "{}" }),
  "a length and chunks": raw(maps, { headers: { "transfer-encoding": "chunked" }, body: "0\r\n\r\n" }),
  "a coding that is none": raw(maps, { headers: { "transfer-encoding": "explode" }, body: "{}" }),
  "chunks of no size": Buffer.from(
    `POST ${maps} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n`,
  ),
  "no host": Buffer.from(`GET ${maps} HTTP/1.1\r\n\r\n`),
  "a line that is no request": Buffer.from("hello there\r\n\r\n"),
  "a header without a colon": Buffer.from(`GET ${maps} HTTP/1.1\r\nhost: x\r\nnonsense\r\n\r\n`),
  "a header of 2 MiB": raw(maps, { method: "GET", headers: { "x-long": "x".repeat(2 << 20) } }),
};
