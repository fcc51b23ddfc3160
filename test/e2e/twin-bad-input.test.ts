/** What no well-behaved client sends, over real sockets: the same refusals on both servers, and no harm done. */
import { readFileSync } from "node:fs";
import { createServer as createTcpServer, type AddressInfo, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, type TLSSocket } from "node:tls";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  ApiError,
  ConfigMaps,
  createClient,
  CustomResourceDefinitions,
  Namespaces,
  systemClock,
  ValidatingWebhookConfigurations,
  type Client,
  type KubeObject,
} from "@fleetwright/kube";
import type { ControlPlane } from "@fleetwright/lab";
import { badRequests, victim } from "./bad-requests.ts";
import { eventually } from "./eventually.ts";
import { serverName, startServer } from "./server.ts";
import { answerOn, openWire, sendWire } from "./wire.ts";

const long = process.env["FLEETWRIGHT_LONG"] === "1";

let server: ControlPlane;
let client: Client;

beforeAll(async () => {
  server = await startServer();
  client = createClient({ kubeconfig: server.kubeconfigPath, maxRetries: 0 });
  await client.create(ConfigMaps, { ...victim, metadata: { ...victim.metadata, namespace: "default" } });
});
afterAll(async () => {
  await client?.close();
  await server?.stop();
});

/** The message of a refusal. */
async function refusal(call: Promise<unknown>): Promise<string> {
  try {
    await call;
  } catch (error) {
    if (error instanceof ApiError) return `${error.httpStatus} ${error.message}`;
    throw error;
  }
  return "accepted";
}

/** Ids, times and versions are each server's own; parsers of YAML say what they do not find in words of their own. */
const plain = (text: string): string =>
  text
    .replace(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, "<uid>")
    .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/g, "<time>")
    .replace(/(record \(|resourceVersion\\*":\\*")\d+/g, "$1<version>")
    .replace(/^(400 BadRequest error decoding YAML: error converting YAML to JSON: yaml: ).*$/, "$1<why>");

async function said(name: string): Promise<string> {
  const { status, body } = await sendWire(server, badRequests[name] ?? "");
  if (!body.startsWith("{")) return `${status} ${body.trim()}`;
  const {
    kind,
    reason = "",
    message = "",
  } = JSON.parse(body) as {
    readonly kind: string;
    readonly reason?: string;
    readonly message?: string;
  };
  return plain(`${status} ${kind === "Status" ? `${reason} ${message}` : kind}`);
}

/** As the real server answers. */
const answers: Readonly<Record<string, string>> = {
  "a body that is no JSON":
    "400 BadRequest the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: invalid character 'o' in literal null (expecting 'u') (6e6f74206a736f6e)",
  "an empty body":
    "400 BadRequest the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: unexpected end of JSON input (<empty>)",
  "half an object":
    '400 BadRequest the object provided is unrecognized (must be of type ConfigMap): couldn\'t get version/kind; json parse error: unexpected end of JSON input ({"apiVersion":"v1","kind":"Con ...)',
  "an object and more":
    '400 BadRequest the object provided is unrecognized (must be of type ConfigMap): couldn\'t get version/kind; json parse error: invalid character \'}\' after top-level value ({"apiVersion":"v1","kind":"Con ...)',
  "bytes that are no text":
    "422 Invalid ConfigMap \"x�\" is invalid: metadata.name: Invalid value: \"x�\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
  null: '422 Invalid ConfigMap "" is invalid: metadata.name: Required value: name or generateName is required',
  "a list":
    '400 BadRequest the object provided is unrecognized (must be of type ConfigMap): couldn\'t get version/kind; json parse error: json: cannot unmarshal array into Go value of type struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" } (5b5d)',
  "a body of 4 MiB": "413 RequestEntityTooLarge Request entity too large: limit is 3145728",
  "20,000 arrays in each other":
    '400 BadRequest the object provided is unrecognized (must be of type ConfigMap): couldn\'t get version/kind; json parse error: invalid character \'[\' exceeded max depth ({"apiVersion":"v1","kind":"Con ...)',
  "200,000 arrays in a patch": "400 BadRequest error decoding patch: invalid character '[' exceeded max depth",
  "20,000 objects in YAML":
    "400 BadRequest the object provided is unrecognized (must be of type ConfigMap): yaml: exceeded max depth of 10000 (613a207b613a207b613a207b613a207b613a207b613a207b613a207b613a ...)",
  "a bomb of YAML aliases":
    "400 BadRequest the object provided is unrecognized (must be of type ConfigMap): yaml: document contains excessive aliasing (61303a20266130205b782c20782c20782c20782c20782c20782c20782c20 ...)",
  "no version and no kind":
    '422 Invalid ConfigMap "" is invalid: metadata.name: Required value: name or generateName is required',
  "a version that is not there":
    '400 BadRequest ConfigMap in version "v9" cannot be handled as a ConfigMap: no kind "ConfigMap" is registered for version "v9" in scheme "pkg/runtime/scheme.go:111"',
  "a group that is not there":
    '400 BadRequest ConfigMap in version "v1" cannot be handled as a ConfigMap: no kind "ConfigMap" is registered for version "nobody.example/v1" in scheme "pkg/runtime/scheme.go:111"',
  "another kind":
    '400 BadRequest Secret in version "v1" cannot be handled as a ConfigMap: illegal base64 data at input byte 0',
  "a kind that is not there":
    '400 BadRequest Nothing in version "v1" cannot be handled as a ConfigMap: no kind "Nothing" is registered for version "v1" in scheme "pkg/runtime/scheme.go:111"',
  "a version that is none":
    '400 BadRequest the object provided is unrecognized (must be of type ConfigMap): unexpected GroupVersion string: a/b/c ({"apiVersion":"a/b/c","kind":" ...)',
  "a field of another type":
    '400 BadRequest ConfigMap in version "v1" cannot be handled as a ConfigMap: json: cannot unmarshal number into Go struct field ConfigMap.data of type string',
  "metadata that is no object":
    '400 BadRequest ConfigMap in version "v1" cannot be handled as a ConfigMap: json: cannot unmarshal string into Go struct field ConfigMap.metadata of type v1.ObjectMeta',
  "a name in capitals":
    "422 Invalid ConfigMap \"A_B\" is invalid: metadata.name: Invalid value: \"A_B\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
  "a name that climbs":
    "422 Invalid ConfigMap \"../../etc\" is invalid: metadata.name: Invalid value: \"../../etc\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
  "a name of 300 letters":
    '422 Invalid ConfigMap "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" is invalid: metadata.name: Invalid value: "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa": must be no more than 253 characters',
  "a name that is a number":
    '400 BadRequest ConfigMap in version "v1" cannot be handled as a ConfigMap: json: cannot unmarshal number into Go struct field ObjectMeta.metadata.name of type string',
  "no name": '422 Invalid ConfigMap "" is invalid: metadata.name: Required value: name or generateName is required',
  "another namespace":
    "400 BadRequest the namespace of the provided object does not match the namespace sent on the request",
  "a name with a slash in the path": "404 NotFound the server could not find the requested resource",
  "a name with a percent sign in the path": "400 BadRequest Name parameter invalid: \"a%b\": may not contain '%'",
  "a NUL in the path": '404 NotFound configmaps "a\\x00b" not found',
  "a path that climbs": "404 NotFound the server could not find the requested resource",
  "a broken escape in the path": "400 400 Bad Request",
  "a JSON patch that is none": "400 BadRequest error decoding patch: unexpected end of JSON input",
  "a JSON patch that is an object":
    "400 BadRequest error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp",
  "a JSON patch with an unknown operation":
    "422 Invalid the server rejected our request due to an error in our request",
  "a JSON patch of a path that is not there":
    "422 Invalid the server rejected our request due to an error in our request",
  "a JSON patch without a path": "422 Invalid the server rejected our request due to an error in our request",
  "a JSON patch with 10,001 operations":
    "413 RequestEntityTooLarge Request entity too large: The allowed maximum operations in a JSON patch is 10000, got 10001",
  "a JSON patch whose test fails": "422 Invalid the server rejected our request due to an error in our request",
  "a merge patch that is a list":
    "400 BadRequest error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}",
  "a merge patch that is a word":
    "400 BadRequest error decoding patch: json: cannot unmarshal string into Go value of type map[string]interface {}",
  "a merge patch of the kind":
    '422 Invalid  "" is invalid: patch: Invalid value: "{\\"apiVersion\\":\\"v1\\",\\"data\\":{\\"a\\":\\"b\\"},\\"kind\\":\\"Secret\\",\\"metadata\\":{\\"name\\":\\"victim\\",\\"namespace\\":\\"default\\",\\"uid\\":\\"<uid>\\",\\"resourceVersion\\":\\"<version>\\",\\"creationTimestamp\\":\\"<time>\\",\\"managedFields\\":[{\\"manager\\":\\"fleetwright\\",\\"operation\\":\\"Update\\",\\"apiVersion\\":\\"v1\\",\\"time\\":\\"<time>\\",\\"fieldsType\\":\\"FieldsV1\\",\\"fieldsV1\\":{\\"f:data\\":{\\".\\":{},\\"f:a\\":{}}}}]}}": illegal base64 data at input byte 0',
  "a merge patch of the name":
    "400 BadRequest the name of the object (other) does not match the name on the URL (victim)",
  "a merge patch that breaks a type":
    '422 Invalid  "" is invalid: patch: Invalid value: "{\\"apiVersion\\":\\"v1\\",\\"data\\":{\\"a\\":{\\"b\\":1}},\\"kind\\":\\"ConfigMap\\",\\"metadata\\":{\\"name\\":\\"victim\\",\\"namespace\\":\\"default\\",\\"uid\\":\\"<uid>\\",\\"resourceVersion\\":\\"<version>\\",\\"creationTimestamp\\":\\"<time>\\",\\"managedFields\\":[{\\"manager\\":\\"fleetwright\\",\\"operation\\":\\"Update\\",\\"apiVersion\\":\\"v1\\",\\"time\\":\\"<time>\\",\\"fieldsType\\":\\"FieldsV1\\",\\"fieldsV1\\":{\\"f:data\\":{\\".\\":{},\\"f:a\\":{}}}}]}}": json: cannot unmarshal object into Go struct field ConfigMap.data of type string',
  "a strategic patch with an unknown directive": "500  unknown patch type: explode in map: map[$patch:explode]",
  "a strategic patch that is a list":
    "400 BadRequest json: cannot unmarshal array into Go value of type map[string]interface {}",
  "an apply without a manager":
    '422 Invalid PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch',
  "an apply of another kind": "400 BadRequest invalid object type: /v1, Kind=Secret",
  "an apply that is no YAML": "400 BadRequest error decoding YAML: error converting YAML to JSON: yaml: <why>",
  "an apply with managedFields": "400 BadRequest metadata.managedFields must be nil",
  "a patch of an unknown type": "415 UnsupportedMediaType 415: Unsupported Media Type",
  "a patch without a type": "415 UnsupportedMediaType 415: Unsupported Media Type",
  "YAML that says it is JSON":
    "400 BadRequest the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: invalid character 'k' looking for beginning of value (6b696e643a20436f6e6669674d61700a61706956657273696f6e3a207631 ...)",
  "JSON that says it is protobuf":
    '400 BadRequest the object provided is unrecognized (must be of type ConfigMap): provided data does not appear to be a protobuf message, expected prefix [107 56 115 0] ({"apiVersion":"v1","kind":"Con ...)',
  "protobuf that is torn":
    "400 BadRequest the object provided is unrecognized (must be of type ConfigMap): unexpected EOF (6b3873000affffffff7f)",
  "JSON that says it is a picture":
    "415 UnsupportedMediaType the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf",
  "a type that is none":
    "415 UnsupportedMediaType the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf",
  "compression that is none": '409 AlreadyExists configmaps "victim" already exists',
  "an answer in a picture":
    "406 NotAcceptable 406: Not Acceptable\n\nAvailable representations: application/json, application/yaml, application/vnd.kubernetes.protobuf",
  "a limit below zero": "200 ConfigMapList",
  "a limit that is no number": '400 BadRequest strconv.ParseInt: parsing "many": invalid syntax',
  "a continue token that is none":
    "400 BadRequest invalid continue token: continue key is not valid: invalid character '\\x00' looking for beginning of value",
  "a version that is no number":
    '400 BadRequest invalid resource version: resourceVersion: Invalid value: "new": strconv.ParseUint: parsing "new": invalid syntax',
  "a dry run of a kind that is none":
    '422 Invalid CreateOptions.meta.k8s.io "" is invalid: dryRun: Unsupported value: ["Some"]: supported values: "All"',
  "a field validation that is none":
    '422 Invalid CreateOptions.meta.k8s.io "" is invalid: fieldValidation: Unsupported value: "Maybe": supported values: "", "Ignore", "Strict", "Warn"',
  "a manager of 200 letters":
    '422 Invalid CreateOptions.meta.k8s.io "" is invalid: fieldManager: Too long: may not be more than 128 bytes',
  "a method that is none": "405 MethodNotAllowed the server does not allow this method on the requested resource",
  "a method in small letters": "405 MethodNotAllowed the server does not allow this method on the requested resource",
  "a TRACE": "405 MethodNotAllowed the server does not allow this method on the requested resource",
  "a deletion with broken options":
    "400 BadRequest couldn't get version/kind; json parse error: unexpected end of JSON input",
  "a deletion of an older version":
    '409 Conflict Operation cannot be fulfilled on ConfigMap "victim": the ResourceVersion in the precondition (1) does not match the ResourceVersion in record (<version>). The object might have been modified',
  "a token that is none": "200 ConfigMap",
  "an impersonation without a user":
    '400 BadRequest requested &user.DefaultInfo{Name:"", UID:"", Groups:[]string{"x"}, Extra:map[string][]string(nil)} without impersonating a user name',
  "two lengths": "400 400 Bad Request",
  "a length and chunks":
    "400 BadRequest the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: unexpected end of JSON input (<empty>)",
  "a coding that is none": "501 Unsupported transfer encoding",
  "chunks of no size": "500  invalid byte in chunk length",
  "no host": "400 400 Bad Request: missing required Host header",
  "a line that is no request": "400 400 Bad Request",
  "a header without a colon": "400 400 Bad Request",
  "a header of 2 MiB": "431 431 Request Header Fields Too Large",
};

/** Node's parser refuses these before this server sees them. Two lengths in one request are how proxies are fooled. */
const answersOfNode: Readonly<Record<string, string>> = {
  "a method that is none": "400 400 Bad Request",
  "a method in small letters": "400 400 Bad Request",
  "a length and chunks": "501 Unsupported transfer encoding",
  "chunks of no size": "400 400 Bad Request",
};

describe("a request that is wrong", () => {
  it("is one of those whose answer is known", () => {
    expect(Object.keys(answers).toSorted()).toEqual(Object.keys(badRequests).toSorted());
  });

  it.each(Object.keys(answers))("%s", async (name) => {
    const ofNode = serverName === "twin" ? answersOfNode[name] : undefined;
    expect(await said(name)).toBe(ofNode ?? answers[name]);
  });

  it("leaves the server as it was", async () => {
    const { data } = await client.get(ConfigMaps, { namespace: "default", name: "victim" });
    expect(data).toEqual({ a: "b" });
  });
});

/** Of the server's process, in MiB. */
function memory(): number {
  const status = readFileSync(`/proc/${server.pid("kube-apiserver") ?? 0}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024;
}

/** How long a well-behaved client waits for an answer, in milliseconds. */
async function answerTime(): Promise<number> {
  const from = systemClock.now();
  await client.get(ConfigMaps, { namespace: "default", name: "victim" });
  return systemClock.now() - from;
}

async function openWires(count: number, each: (socket: TLSSocket) => void): Promise<readonly TLSSocket[]> {
  const sockets: TLSSocket[] = [];
  while (sockets.length < count) {
    const batch = Array.from({ length: Math.min(50, count - sockets.length) }, () => openWire(server));
    for (const socket of await Promise.all(batch)) {
      socket.on("error", () => {});
      each(socket);
      sockets.push(socket);
    }
  }
  return sockets;
}

describe("connections that only cost", () => {
  const head = `POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n`;

  it("requests that stop half-way cost little, hold nobody up, and are answered when their rest comes", async () => {
    const body = JSON.stringify({ ...victim, metadata: { name: "slow" } });
    const before = memory();
    const sockets = await openWires(300, (socket) => {
      socket.write(`${head}content-length: ${body.length}\r\n\r\n${body.slice(0, 20)}`);
    });
    expect(await answerTime()).toBeLessThan(2000);
    expect(memory() - before).toBeLessThan(150);
    const [first] = sockets;
    if (first === undefined) throw new Error("no connection");
    const answer = answerOn(first, 20_000);
    first.write(body.slice(20));
    expect((await answer).status).toBe(201);
    for (const socket of sockets) socket.destroy();
    await client.delete(ConfigMaps, { namespace: "default", name: "slow" });
  });

  // kube-apiserver waits for the rest of a body for as long as the client stays.
  it.runIf(long && serverName === "twin")(
    "a head that never ends, and a body that never comes, end with the connection",
    { timeout: 200_000 },
    async () => {
      const [head1, body1] = [await openWire(server), await openWire(server)];
      const closed = (socket: TLSSocket): Promise<void> =>
        new Promise((resolve) => {
          socket.on("error", () => {});
          socket.once("close", () => resolve());
          socket.resume();
        });
      head1.write(head);
      body1.write(`${head}content-length: 100\r\n\r\n{`);
      const from = systemClock.now();
      await closed(head1);
      expect(systemClock.now() - from).toBeLessThan(60_000);
      await closed(body1);
      expect(systemClock.now() - from).toBeLessThan(120_000);
    },
  );

  const connections = long ? 10_000 : 2000;
  it(`${connections} idle connections cost bounded memory, and others are answered`, { timeout: 300_000 }, async () => {
    const before = memory();
    const sockets = await openWires(connections, () => {});
    const perConnectionKiB = ((memory() - before) * 1024) / connections;
    const waited = await answerTime();
    for (const socket of sockets) socket.destroy();
    console.info(JSON.stringify({ server: serverName, connections, perConnectionKiB, waited }));
    expect(perConnectionKiB).toBeLessThan(200);
    // Most of it is this process's own work with so many sockets.
    expect(waited).toBeLessThan(long ? 10_000 : 2000);
    await eventually("an answer afterwards", answerTime, (ms) => ms < 1000);
  });
});

describe("a rule that is meant to cost", () => {
  const definition = (plural: string, rule: string, items: object): KubeObject =>
    ({
      metadata: { name: `${plural}.hostile.example` },
      spec: {
        group: "hostile.example",
        scope: "Cluster",
        names: { plural, kind: plural },
        versions: [
          {
            name: "v1",
            served: true,
            storage: true,
            schema: {
              openAPIV3Schema: {
                type: "object",
                properties: {
                  spec: {
                    type: "object",
                    properties: { list: items },
                    "x-kubernetes-validations": [{ rule }],
                  },
                },
              },
            },
          },
        ],
      },
    }) as KubeObject;
  const define = (plural: string, rule: string, items: object): Promise<string> =>
    refusal(client.create(CustomResourceDefinitions, definition(plural, rule, items) as never));
  const unbounded = { type: "array", items: { type: "string" } };
  const cost =
    "(try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)";
  const recursion = "compilation failed: ERROR: <input>:-1:0: expression recursion limit exceeded: 250";
  const size = (points: number): string =>
    `compilation failed: ERROR: <input>:-1:0: expression code point size exceeds limit: size: ${points}, limit 100000`;

  it.each([
    [
      "loops in loops",
      "self.list.all(a, self.list.all(b, self.list.all(c, a + b + c != '')))",
      `x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema exceeds budget by factor of more than 100x ${cost}]`,
    ],
    ["20,000 parentheses", `${"(".repeat(20_000)}true${")".repeat(20_000)}`, recursion],
    ["5000 lists in each other", `size(${"[".repeat(5000)}${"]".repeat(5000)}) > 0`, recursion],
    ["20,000 conditions", `${"true && ".repeat(20_000)}true`, size(160_004)],
    ["a text of 200,000 letters", `'${"x".repeat(200_000)}' != ''`, size(200_008)],
    ["20,000 negations", `${"!".repeat(20_001)}false`, "accepted"],
    [
      "an expression that explodes in other engines",
      "'aaaaaaaaaaaaaaaaaaaaaaaaaaaa'.matches('(a*)*b') || true",
      "accepted",
    ],
  ])("is taken or refused at once: %s", async (name, rule, expected) => {
    const from = systemClock.now();
    const answer = await define(`rule${name.length}`, rule, unbounded);
    expect(answer.slice(-expected.length)).toBe(expected);
    expect(systemClock.now() - from).toBeLessThan(5000);
  });

  it("is stopped while it runs, however large the object", async () => {
    const list = { type: "array", maxItems: 800, items: { type: "integer" } };
    expect(await define("squares", "self.list.all(a, self.list.all(b, a + b >= 0))", list)).toBe("accepted");
    const squares = { group: "hostile.example", version: "v1", kind: "squares", plural: "squares", namespaced: false };
    const create = (name: string, count: number): Promise<string> =>
      refusal(
        client.create(squares, {
          metadata: { name },
          spec: { list: Array.from({ length: count }, () => 1) },
        } as KubeObject),
      );
    await eventually(
      "the kind is served",
      () => create(`small-${systemClock.now()}`, 2),
      (answer) => answer === "accepted",
    );
    const from = systemClock.now();
    expect(await create("large", 800)).toBe(
      `422 squares.hostile.example "large" is invalid: spec: Invalid value: "object": 'operation cancelled: actual cost limit exceeded': ` +
        "no further validation rules will be run due to call cost exceeds limit for rule: self.list.all(a, self.list.all(b, a + b >= 0))",
    );
    expect(systemClock.now() - from).toBeLessThan(5000);
  });
});

describe("a webhook", () => {
  const sockets = new Set<Socket>();
  const servers: Server[] = [];
  afterAll(() => {
    for (const socket of sockets) socket.destroy();
    for (const each of servers) each.close();
  });

  const listen = async (listener: Server): Promise<number> => {
    servers.push(listener);
    listener.on("connection", (socket: Socket) => {
      sockets.add(socket);
      socket.on("error", () => {});
    });
    await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
    return (listener.address() as AddressInfo).port;
  };

  /** What the creation of an object says under the only webhook, and after how many milliseconds. */
  async function creationUnder(url: string, failurePolicy: "Fail" | "Ignore"): Promise<readonly [string, number]> {
    const name = "hostile";
    const caBundle = Buffer.from(server.caCertificate).toString("base64");
    await client.create(ValidatingWebhookConfigurations, {
      metadata: { name },
      webhooks: [
        {
          name: "never.hostile.example",
          clientConfig: { url, caBundle },
          rules: [{ apiGroups: [""], apiVersions: ["v1"], operations: ["CREATE"], resources: ["namespaces"] }],
          sideEffects: "None",
          admissionReviewVersions: ["v1"],
          timeoutSeconds: 1,
          failurePolicy,
        },
      ],
    });
    try {
      const attempt = async (): Promise<readonly [string, number]> => {
        const from = systemClock.now();
        const answer = await refusal(client.create(Namespaces, { metadata: { generateName: "under-" } }));
        return [answer, systemClock.now() - from];
      };
      // The real server learns of the webhook a moment later.
      return await eventually("the webhook is asked", attempt, ([answer, ms]) => answer !== "accepted" || ms > 900);
    } finally {
      await client.delete(ValidatingWebhookConfigurations, { name });
      await eventually(
        "the webhook is gone",
        () => refusal(client.create(Namespaces, { metadata: { generateName: "free-" } })),
        (answer) => answer === "accepted",
      );
    }
  }

  const failed = (url: string, why: string): string =>
    `500 Internal error occurred: failed calling webhook "never.hostile.example": failed to call webhook: Post "${url}?timeout=1s": ${why}`;

  it("that never says a word is waited for as long as it may take, and no longer", async () => {
    const url = `https://127.0.0.1:${await listen(createTcpServer())}/`;
    const [answer, ms] = await creationUnder(url, "Fail");
    expect(answer).toBe(failed(url, "context deadline exceeded"));
    expect(ms).toBeGreaterThan(900);
    expect(ms).toBeLessThan(3000);
    expect((await creationUnder(url, "Ignore"))[0]).toBe("accepted");
  });

  it("that takes the question and never answers, likewise", async () => {
    const pair = await server.authority.issue({ usage: "server", commonName: "webhook", hosts: ["127.0.0.1"] });
    const listener = createTlsServer({ cert: pair.certificate, key: pair.key }, (socket) => {
      socket.on("error", () => {});
      socket.resume();
    });
    const url = `https://127.0.0.1:${await listen(listener)}/`;
    const [answer, ms] = await creationUnder(url, "Fail");
    expect(answer).toBe(failed(url, "context deadline exceeded"));
    expect(ms).toBeLessThan(3000);
  });

  it("that is not there, speaks no TLS or is somebody else is named with the reason", async () => {
    expect((await creationUnder("https://127.0.0.1:1/", "Fail"))[0]).toBe(
      failed("https://127.0.0.1:1/", "dial tcp 127.0.0.1:1: connect: connection refused"),
    );
    const http = createTcpServer((socket) => void socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"));
    const url = `https://127.0.0.1:${await listen(http)}/`;
    expect((await creationUnder(url, "Fail"))[0]).toBe(failed(url, "http: server gave HTTP response to HTTPS client"));
  });
});
