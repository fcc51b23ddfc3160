import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { systemClock } from "@fleetwright/kube";
import type { Clock } from "@fleetwright/kube";
import { afterEach, describe, expect, it } from "vitest";
import { mediaTypes } from "../core/image/engine-image.ts";
import { bytesSource } from "./blob-upload.ts";
import { openRegistry } from "./client.ts";
import type { RegistryClient } from "./client.ts";
import type { ConnectionOptions } from "./connection.ts";
import { pullImage, resolveImage } from "./image-pull.ts";
import { descriptorOf, digestOf, indexMediaType, jsonDocument } from "./manifest.ts";

type Answer = (request: IncomingMessage, response: ServerResponse, call: number) => unknown;

const cleanUps: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0)) await cleanUp();
});

/** A registry that answers as a function says, and its address. */
async function serve(answer: Answer): Promise<{ readonly address: string; readonly calls: readonly string[] }> {
  const calls: string[] = [];
  const server = createServer((request, response) => {
    calls.push(`${request.method} ${request.url}`);
    request.resume();
    answer(request, response, calls.length);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanUps.push(
    () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  );
  return { address: `127.0.0.1:${(server.address() as AddressInfo).port}`, calls };
}

async function open(
  answer: Answer,
  options: Partial<ConnectionOptions> = {},
): Promise<{ readonly client: RegistryClient; readonly calls: readonly string[]; readonly address: string }> {
  const { address, calls } = await serve(answer);
  const client = openRegistry({ registry: address, retries: { baseDelayMs: 1, tries: 3 }, ...options });
  cleanUps.push(() => client.close());
  return { client, calls, address };
}

/** Waits for nothing, and remembers for how long it would have. */
function impatientClock(): { readonly clock: Clock; readonly waited: number[] } {
  const waited: number[] = [];
  const clock: Clock = {
    now: () => systemClock.now(),
    setTimer(delayMs, callback) {
      waited.push(delayMs);
      return systemClock.setTimer(0, callback);
    },
  };
  return { clock, waited };
}

async function all<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const list: Item[] = [];
  for await (const item of items) list.push(item);
  return list;
}

const bytes = Buffer.from("0123456789".repeat(1000));
const digest = digestOf(bytes);
const blob = { digest, size: bytes.length };
const config = { mediaType: mediaTypes.config, digest: digestOf(Buffer.from("{}")), size: 2 };
const manifest = jsonDocument(mediaTypes.manifest, {
  schemaVersion: 2,
  mediaType: mediaTypes.manifest,
  config,
  layers: [],
});
const lies = { code: "FW_CHECKPOINT_REGISTRY_LIES" };

describe("a registry that lies", () => {
  const send =
    (body: string | Uint8Array, headers: Readonly<Record<string, string>> = {}, status = 200): Answer =>
    (_, response) =>
      response.writeHead(status, headers).end(body);
  const manifestType = { "content-type": mediaTypes.manifest };

  it.each<readonly [string, string, Answer, string]>([
    ["by digest", manifest.digest, send("{}", manifestType), `but is ${digestOf(Buffer.from("{}"))}`],
    ["by tag", "1", send(manifest.bytes, { ...manifestType, "docker-content-digest": digest }), `said to be ${digest}`],
    ["with no digest", "1", send(manifest.bytes, { ...manifestType, "docker-content-digest": "md5:1" }), "md5:1"],
  ])("about a manifest %s is found out", async (_, reference, answer, problem) => {
    const { client } = await open(answer);
    await expect(client.getManifest("web", reference)).rejects.toMatchObject({
      ...lies,
      message: expect.stringContaining(problem) as string,
    });
  });

  it.each<readonly [string, object, string]>([
    ["is another kind", { mediaType: indexMediaType, config, layers: [] }, "it says that it is"],
    ["is two kinds", { config, layers: [], manifests: [] }, "both layers and manifests"],
    [
      "has a digest with a path in it",
      { config: { ...config, digest: "sha256:../../etc" }, layers: [] },
      "config.digest",
    ],
    ["has a negative size", { config, layers: [{ ...config, size: -1 }] }, "layers[0].size"],
    ["has no layers", { config }, "layers is no list"],
  ])("with a manifest that %s is found out", async (_, value, problem) => {
    const { client } = await open(send(JSON.stringify(value), manifestType));
    await expect(
      resolveImage(client, { registry: client.registry, repository: "web", tag: "1" }),
    ).rejects.toMatchObject({
      ...lies,
      message: expect.stringContaining(problem) as string,
    });
  });

  it.each<readonly [string, Answer, string]>([
    ["other bytes", send(bytes.toReversed()), `what came is ${digestOf(bytes.toReversed())}`],
    ["more bytes", send(Buffer.concat([bytes, bytes])), "is longer than the 10000 bytes"],
    ["fewer bytes, every time", send(bytes.subarray(1)), "ended after"],
    [
      "another range",
      (request, response) => {
        if (request.headers.range === undefined)
          response
            .writeHead(200, { "content-length": "10000" })
            .write(bytes.subarray(0, 5000), () => response.destroy());
        else response.writeHead(206, { "content-range": "bytes 0-4999/10000" }).end(bytes.subarray(0, 5000));
      },
      'got "bytes 0-4999/10000"',
    ],
  ])("about a blob with %s is found out", async (_, answer, problem) => {
    const { client } = await open(answer);
    await expect(all(client.getBlob("web", blob))).rejects.toThrow(problem);
  });

  it("about what it stored is found out", async () => {
    const { client } = await open((request, response) =>
      request.method === "POST"
        ? response.writeHead(202, { location: "/upload" }).end()
        : response.writeHead(request.method === "HEAD" ? 404 : 201, { "docker-content-digest": config.digest }).end(),
    );
    await expect(client.putManifest("web", "1", manifest)).rejects.toMatchObject(lies);
    await expect(client.putBlob("web", bytesSource(digest, bytes))).rejects.toMatchObject(lies);
  });

  it("about the end of a list is found out", async () => {
    const { client, calls } = await open((request, response) =>
      response.writeHead(200, { link: `<${request.url}>; rel="next"` }).end('{"tags":["a"]}'),
    );
    await expect(all(client.listTags("web"))).rejects.toMatchObject(lies);
    expect(calls).toHaveLength(1);
  });
});

describe("a registry that fails", () => {
  it("is asked again, later each time, as it says itself, and not for ever", async () => {
    const { clock, waited } = impatientClock();
    const random = { next: () => 0 };
    const { client, calls } = await open(
      (_, response, call) => {
        if (call === 1) response.writeHead(429, { "retry-after": "7" }).end();
        else if (call === 2) response.destroy();
        else response.writeHead(503).end(JSON.stringify({ errors: [{ code: "UNAVAILABLE", message: "a\nproxy" }] }));
      },
      { clock, random, retries: { tries: 4, baseDelayMs: 100 } },
    );
    await expect(client.getManifest("web", "1")).rejects.toMatchObject({
      code: "FW_CHECKPOINT_REGISTRY",
      status: 503,
      message: expect.stringContaining("503 (UNAVAILABLE: a proxy)") as string,
    });
    expect(calls).toHaveLength(4);
    expect(waited).toEqual([7000, 200, 400]);
  });

  it("is not waited for longer than we may", async () => {
    const { client, calls } = await open((_, response) => response.writeHead(503, { "retry-after": "3600" }).end());
    await expect(client.getManifest("web", "1")).rejects.toThrow("to be tried again in 3600 s");
    expect(calls).toHaveLength(1);
  });

  it.each([
    [401, "FW_CHECKPOINT_REGISTRY_REFUSED"],
    [403, "FW_CHECKPOINT_REGISTRY_REFUSED"],
    [404, "FW_CHECKPOINT_REGISTRY_NOT_FOUND"],
    [405, "FW_CHECKPOINT_REGISTRY_UNSUPPORTED"],
    [413, "FW_CHECKPOINT_REGISTRY_TOO_LARGE"],
    [400, "FW_CHECKPOINT_REGISTRY"],
  ])("with %i is not asked again", async (status, code) => {
    const { client, calls } = await open((_, response) => response.writeHead(status).end("<html>"));
    await expect(client.deleteManifest("web", digest)).rejects.toMatchObject({ code, status });
    expect(calls).toHaveLength(1);
  });

  it("that is not there is named, with what to do", async () => {
    const { address } = await serve(() => undefined);
    for (const cleanUp of cleanUps.splice(0)) await cleanUp();
    const client = openRegistry({ registry: address, retries: { tries: 1 } });
    await expect(client.getManifest("web", "1")).rejects.toThrow(
      `GET http://${address}/v2/web/manifests/1: connection refused; check that the registry runs`,
    );
    await client.close();
  });

  it("that says nothing for too long counts as broken", async () => {
    const { client } = await open(() => undefined, { idleTimeoutMs: 50, retries: { tries: 1 } });
    await expect(client.getManifest("web", "1")).rejects.toThrow("no answer in time");
  });

  it("with a manifest without end is left", async () => {
    const { client } = await open((_, response) => {
      const more = (): void => void response.write(Buffer.alloc(1024 * 1024), more);
      response.writeHead(200);
      more();
    });
    await expect(client.getManifest("web", "1")).rejects.toMatchObject({ code: "FW_CHECKPOINT_REGISTRY_TOO_LARGE" });
  });
});

describe("a blob", () => {
  it("comes whole from a registry that knows no ranges", async () => {
    const { client } = await open((request, response, call) => {
      response.writeHead(200, { "content-length": "10000" });
      if (call === 1) response.write(bytes.subarray(0, 4321), () => response.destroy());
      else response.end(bytes);
    });
    expect(Buffer.concat(await all(client.getBlob("web", blob))).equals(bytes)).toBe(true);
  });

  it("is sought where the registry sends us, without its credentials", async () => {
    const seen: (string | undefined)[] = [];
    const storage = await serve((request, response) => {
      seen.push(request.headers.authorization);
      response.end(bytes);
    });
    const { client, calls } = await open(
      (request, response) =>
        request.headers.authorization === undefined
          ? response.writeHead(401, { "www-authenticate": "Basic" }).end()
          : response.writeHead(307, { location: `http://${storage.address}/signed?x=1` }).end(),
      { credentials: () => Promise.resolve({ kind: "password", username: "a", password: "b" }) },
    );
    expect(Buffer.concat(await all(client.getBlob("web", blob))).equals(bytes)).toBe(true);
    expect(calls).toHaveLength(2);
    expect(storage.calls).toEqual(["GET /signed?x=1"]);
    expect(seen).toEqual([undefined]);
  });

  it("is not sought in a circle", async () => {
    const { client, calls } = await open((request, response) =>
      response.writeHead(307, { location: request.url }).end(),
    );
    await expect(all(client.getBlob("web", blob))).rejects.toMatchObject(lies);
    expect(calls).toHaveLength(6);
  });

  it("is begun anew when the registry has forgotten the upload, and is there when only the answer was lost", async () => {
    let stored = false;
    const { client, calls } = await open((request, response, call) => {
      if (request.method === "HEAD")
        response.writeHead(stored ? 200 : 404, stored ? { "content-length": "10000" } : {}).end();
      else if (request.method === "POST") response.writeHead(202, { location: `/upload?state=${call}` }).end();
      else if (request.method === "PATCH")
        request.on("end", () =>
          call < 5
            ? response.writeHead(404).end()
            : response.writeHead(202, { location: `/upload?state=${call}` }).end(),
        );
      else if (request.method === "PUT") {
        stored = true;
        response.destroy();
      } else response.writeHead(404).end();
    });
    expect(await client.putBlob("web", bytesSource(digest, bytes), { chunkBytes: 6000 })).toBe("sent");
    expect(calls.map((call) => call.split(digest)[0])).toEqual([
      "HEAD /v2/web/blobs/",
      "POST /v2/web/blobs/uploads/",
      "PATCH /upload?state=2",
      "HEAD /v2/web/blobs/",
      "GET /upload?state=2",
      "POST /v2/web/blobs/uploads/",
      "PATCH /upload?state=6",
      "PATCH /upload?state=7",
      `PUT /upload?state=8&digest=${encodeURIComponent(digest)}`,
      "HEAD /v2/web/blobs/",
    ]);
  });

  it("goes on from where the registry says that it stands", async () => {
    const ranges: (string | undefined)[] = [];
    const { client } = await open((request, response) => {
      if (request.method === "HEAD") response.writeHead(404).end();
      else if (request.method === "GET") response.writeHead(204, { range: "0-2999" }).end();
      else if (request.method === "PUT") response.writeHead(201).end();
      else if (request.method === "POST")
        response.writeHead(202, { location: "/upload", "oci-chunk-min-length": "4000" }).end();
      else {
        ranges.push(request.headers["content-range"]);
        request.on("end", () => {
          // It kept half of the first part, and did not expect the third.
          if (ranges.length === 1) response.writeHead(202, { location: "/upload", range: "0-1999" }).end();
          else if (ranges.length === 2) response.writeHead(416).end();
          else response.writeHead(202, { location: "/upload" }).end();
        });
      }
    });
    expect(await client.putBlob("web", bytesSource(digest, bytes), { chunkBytes: 1000 })).toBe("sent");
    expect(ranges).toEqual(["0-3999", "2000-5999", "3000-6999", "7000-9999"]);
  });

  it("goes on with a new token when the old one ends in the middle", async () => {
    let tokens = 0;
    const ranges: string[] = [];
    const { client } = await open((request, response) => {
      const { authorization, host, "content-range": range } = request.headers;
      if (request.url?.startsWith("/token")) return response.end(JSON.stringify({ token: `t${++tokens}` }));
      if (range !== undefined) ranges.push(`${range} ${authorization}`);
      // The first one is good for two calls and a part.
      if (authorization === undefined || (ranges.length > 1 && authorization === "Bearer t1"))
        return response.writeHead(401, { "www-authenticate": `Bearer realm="http://${host}/token"` }).end();
      if (request.method === "HEAD") return response.writeHead(404).end();
      if (request.method === "GET") return response.writeHead(204, { range: "0-5999" }).end();
      return request.on("end", () => {
        const status = request.method === "PUT" ? 201 : 202;
        response.writeHead(status, { location: "/v2/upload" }).end();
      });
    });
    expect(await client.putBlob("web", bytesSource(digest, bytes), { chunkBytes: 6000 })).toBe("sent");
    expect(ranges).toEqual(["0-5999 Bearer t1", "6000-9999 Bearer t1", "6000-9999 Bearer t2"]);
  });

  it("is sent where what another repository has may not be read", async () => {
    const { client, calls } = await open((request, response) => {
      if (request.method === "HEAD") response.writeHead(404).end();
      else if (request.method === "PUT") response.writeHead(201).end();
      else if (request.url?.includes("mount=")) response.writeHead(403).end();
      else response.writeHead(202, { location: "/upload" }).end();
    });
    expect(await client.putBlob("web", bytesSource(digest, bytes), { mountFrom: "secret" })).toBe("sent");
    expect(calls.filter((call) => call.startsWith("POST"))).toEqual([
      `POST /v2/web/blobs/uploads/?mount=${digest}&from=secret`,
      "POST /v2/web/blobs/uploads/",
    ]);
  });

  it("is not sent for ever to a registry that takes nothing", async () => {
    const { client, calls } = await open((request, response) => {
      if (request.method === "HEAD") response.writeHead(404).end();
      else if (request.method === "GET") response.writeHead(204, { range: "0-999" }).end();
      else request.on("end", () => response.writeHead(202, { location: "/upload", range: "0-999" }).end());
    });
    const outcome = client.putBlob("web", bytesSource(digest, bytes), { chunkBytes: 1000 });
    await expect(outcome).rejects.toMatchObject({
      ...lies,
      message: expect.stringContaining("took nothing") as string,
    });
    expect(calls.filter((call) => call.startsWith("PATCH"))).toHaveLength(4);
  });

  it("that cannot be read fails as its source says, at once, and nothing of it stays", async () => {
    const { client, calls } = await open((request, response) =>
      request.method === "POST"
        ? response.writeHead(202, { location: "/upload" }).end()
        : response.writeHead(404).end(),
    );
    const source = {
      ...blob,
      async *open(): AsyncGenerator<Uint8Array> {
        yield bytes.subarray(0, 10);
        throw new Error("the disk is gone");
      },
    };
    await expect(client.putBlob("web", source)).rejects.toThrow("the disk is gone");
    expect(calls.filter((call) => call.startsWith("POST"))).toHaveLength(1);
    expect(calls).toContain("DELETE /upload");
  });

  it("is left at once when the caller gives up", async () => {
    const { client } = await open((_, response) => response.writeHead(200).write(bytes.subarray(0, 10)));
    const giveUp = new AbortController();
    const reading = (async () => {
      for await (const chunk of client.getBlob("web", blob, giveUp.signal))
        if (chunk.length > 0) giveUp.abort(new Error("enough"));
    })();
    await expect(reading).rejects.toThrow("enough");
  });
});

describe("lists", () => {
  it("of tags go on from page to page", async () => {
    const { client, calls } = await open((request, response) =>
      request.url?.includes("last=b")
        ? response.writeHead(200).end('{"tags":["c"]}')
        : response.writeHead(200, { link: '</v2/web/tags/list?last=b&n=2>; rel="next"' }).end('{"tags":["a","b"]}'),
    );
    expect(await all(client.listTags("web"))).toEqual(["a", "b", "c"]);
    expect(calls).toEqual(["GET /v2/web/tags/list?n=1000", "GET /v2/web/tags/list?last=b&n=2"]);
  });

  it("of referrers come from the registry that keeps them, filtered in any case", async () => {
    const entries = ["a/1", "a/2"].map((artifactType) => ({ ...descriptorOf(manifest), artifactType }));
    const index = jsonDocument(indexMediaType, { schemaVersion: 2, mediaType: indexMediaType, manifests: entries });
    const { client, calls } = await open((_, response) => response.writeHead(200).end(index.bytes));
    expect(await all(client.listReferrers("web", digest, { artifactType: "a/2" }))).toEqual([entries[1]]);
    expect(calls).toEqual([`GET /v2/web/referrers/${digest}?artifactType=a%2F2`]);
  });
});

it("deletes what it cannot read", async () => {
  const { client, calls } = await open((request, response) =>
    response.writeHead(request.method === "DELETE" ? 202 : 200).end("{"),
  );
  await client.deleteManifest("web", digest);
  expect(calls.at(-1)).toBe(`DELETE /v2/web/manifests/${digest}`);
});

describe("a list of images", () => {
  const entry = (architecture: string) => ({ ...descriptorOf(manifest), platform: { os: "linux", architecture } });
  const listOf = (...manifests: readonly object[]): Answer => {
    const index = jsonDocument(indexMediaType, { schemaVersion: 2, mediaType: indexMediaType, manifests });
    return (request, response) => {
      const document = request.url?.endsWith("/1") ? index : manifest;
      if (request.url?.includes("/blobs/")) response.end("{}");
      else response.writeHead(200, { "content-type": document.mediaType }).end(document.bytes);
    };
  };

  it("gives the one for an architecture, or the only one", async () => {
    const other = { ...entry("arm64"), digest };
    const { client, address } = await open(listOf(entry("amd64"), other));
    const reference = { registry: address, repository: "web", tag: "1" };
    const taken: string[] = [];
    const sink = {
      write: async (_: unknown, chunks: AsyncIterable<Uint8Array>) =>
        void taken.push(Buffer.concat(await all(chunks)).toString()),
    };
    const image = await pullImage(client, reference, sink, { choice: { architecture: "amd64" } });
    expect(image.reference).toEqual({ ...reference, digest: manifest.digest });
    expect(taken).toEqual(["{}"]);
    await expect(resolveImage(client, reference)).rejects.toThrow(/2 manifests fit \(.*linux\/amd64, .*linux\/arm64\)/);
    await expect(resolveImage(client, reference, { choice: { architecture: "s390x" } })).rejects.toThrow(
      "0 manifests fit",
    );
  });

  it("must be named by tag or digest", async () => {
    const { client, address, calls } = await open(listOf());
    const outcome = resolveImage(client, { registry: address, repository: "web" });
    await expect(outcome).rejects.toThrow("names neither tag nor digest");
    expect(calls).toEqual([]);
  });

  it("gives the one of an artifact's type", async () => {
    const { client, address } = await open(
      listOf({ ...descriptorOf(manifest), artifactType: "a/1" }, { ...entry("amd64"), digest }),
    );
    const reference = { registry: address, repository: "web", tag: "1" };
    expect((await resolveImage(client, reference, { choice: { artifactType: "a/1" } })).document.digest).toBe(
      manifest.digest,
    );
  });
});
