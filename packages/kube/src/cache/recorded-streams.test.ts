import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createClient } from "../client/create-client.ts";
import type { Transport, TransportResponse } from "../client/transport.ts";
import { silentLogger } from "../core/logger.ts";
import type { KubeObject } from "../core/object.ts";
import { seededRandom, type Random } from "../core/random.ts";
import type { Resource } from "../core/resource.ts";
import { VirtualClock } from "../core/virtual-clock.ts";
import { createCache } from "./cache.ts";
import { ByteStream } from "./simulation/byte-stream.ts";

interface Recording {
  readonly path: string;
  readonly status: number;
  readonly body: string;
}

type Name = "firstPage" | "secondPage" | "watch" | "stream" | "expiredWatch" | "invalidStream" | "final";

/** Made by hack/record-informer-streams.ts from kube-apiserver 1.36. */
const recordings = JSON.parse(
  readFileSync(new URL("testdata/recorded-streams.json", import.meta.url), "utf8"),
) as Readonly<Record<Name, Recording>>;

const configMaps: Resource = { group: "", version: "v1", kind: "ConfigMap", plural: "configmaps", namespaced: true };

interface Answer {
  readonly recording: Recording;
  /** Only so many bytes, then as a broken connection ends. */
  readonly cutAfter?: number;
}

/** Answers request after request as it is told; after that, watches stay silent. Bodies arrive in pieces of any size. */
async function follow(random: Random, answers: readonly Answer[], streamingLists: boolean) {
  const clock = new VirtualClock({ start: 0 });
  const asked: string[] = [];
  const transport: Transport = async (request, signal): Promise<TransportResponse> => {
    const answer = answers[asked.length];
    asked.push(request.path);
    const body = new ByteStream();
    if (answer === undefined) {
      signal?.addEventListener("abort", () => body.fail(signal.reason), { once: true });
      return { status: 200, headers: {}, body };
    }
    const bytes = Buffer.from(answer.recording.body).subarray(0, answer.cutAfter);
    for (let start = 0; start < bytes.length;) {
      const end = start + 1 + Math.floor(random.next() * 400);
      body.write(bytes.subarray(start, end));
      start = end;
    }
    if (answer.cutAfter === undefined) body.end();
    else body.fail(new Error("connection reset by peer"));
    return { status: answer.recording.status, headers: { "content-type": "application/json" }, body };
  };
  const client = createClient({ transport, clock });
  const cache = createCache({ client, clock, random, logger: silentLogger, streamingLists });
  const informer = cache.informer(configMaps, { namespace: "default" });
  const stop = new AbortController();
  const running = cache.run(stop.signal);
  await clock.advance(60_000);
  stop.abort();
  await running;
  return { informer, asked };
}

const summary = (objects: readonly KubeObject[]): readonly string[] =>
  objects.map(({ metadata }) => `${metadata.name} ${metadata.uid} ${metadata.resourceVersion}`).toSorted();

const final = summary((JSON.parse(recordings.final.body) as { items: KubeObject[] }).items);
const { firstPage, secondPage, watch, stream, expiredWatch, invalidStream } = recordings;

describe("an informer over recorded streams of a real server", () => {
  it("ends with what the server had, by pages and a watch that breaks at any byte and is resumed", async () => {
    const versionOf = (line: string): number =>
      Number((JSON.parse(line) as { object: KubeObject }).object.metadata.resourceVersion);
    await fc.assert(
      fc.asyncProperty(fc.integer(), fc.nat(Buffer.byteLength(watch.body)), async (seed, cutAfter) => {
        // A server resumes after the last whole event that was received.
        const received = Buffer.from(watch.body).subarray(0, cutAfter).toString("utf8").split("\n").slice(0, -1);
        const seen = received.at(-1) === undefined ? 0 : versionOf(received.at(-1) ?? "");
        const rest = watch.body.split("\n").filter((line) => line !== "" && versionOf(line) > seen);
        const resumed = { ...watch, body: rest.map((line) => `${line}\n`).join("") };
        const answers = [
          { recording: firstPage },
          { recording: secondPage },
          { recording: watch, cutAfter },
          { recording: resumed },
        ];
        const { informer, asked } = await follow(seededRandom(seed), answers, false);
        expect(summary(informer.list())).toEqual(final);
        expect(asked[3]).toContain(seen > 0 ? `resourceVersion=${seen}&` : "watch=true");
      }),
      { numRuns: 60 },
    );
  });

  it("ends with what the server had, by a streaming list", async () => {
    const { informer, asked } = await follow(seededRandom(1), [{ recording: stream }], true);
    expect(asked[0]).toContain("sendInitialEvents=true");
    expect(asked[0]).toContain("resourceVersionMatch=NotOlderThan");
    expect(summary(informer.list())).toEqual(final);
    // The bookmark before the end is newer than any of its events.
    const last = JSON.parse(stream.body.trim().split("\n").at(-1) ?? "") as { type: string; object: KubeObject };
    expect(last.type).toBe("BOOKMARK");
    expect(informer.resourceVersion).toBe(last.object.metadata.resourceVersion);
  });

  it("goes back to pages when the server refuses a streaming list", async () => {
    expect(invalidStream.status).toBe(422);
    const answers = [
      { recording: invalidStream },
      { recording: firstPage },
      { recording: secondPage },
      { recording: watch },
    ];
    const { informer } = await follow(seededRandom(1), answers, true);
    expect(summary(informer.list())).toEqual(final);
  });

  it("lists again, and watches from the new list, when the server says that a version is too old", async () => {
    expect(expiredWatch.body).toContain("too old resource version");
    const answers = [
      { recording: firstPage },
      { recording: secondPage },
      { recording: expiredWatch },
      { recording: firstPage },
      { recording: secondPage },
      { recording: watch },
    ];
    const { informer } = await follow(seededRandom(1), answers, false);
    expect(summary(informer.list())).toEqual(final);
  });

  it("drops managedFields and gives list items the kind that the server leaves out", async () => {
    const { informer } = await follow(seededRandom(1), [{ recording: firstPage }, { recording: secondPage }], false);
    expect(firstPage.body).toContain("managedFields");
    for (const object of informer.list()) {
      expect(object).toMatchObject({ apiVersion: "v1", kind: "ConfigMap" });
      expect(object.metadata).not.toHaveProperty("managedFields");
    }
    expect(informer.get({ namespace: "default", name: "a" })?.metadata.annotations).toEqual({ note: "größer" });
  });
});
