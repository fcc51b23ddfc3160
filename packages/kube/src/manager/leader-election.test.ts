import { describe, expect, it } from "vitest";
import { Leases } from "../builtin/coordination-v1.generated.ts";
import { FakeApiServer } from "../cache/simulation/fake-api-server.ts";
import { createClient } from "../client/create-client.ts";
import { sleep } from "../core/clock.ts";
import { silentLogger } from "../core/logger.ts";
import { seededRandom, type Random } from "../core/random.ts";
import { VirtualClock } from "../core/virtual-clock.ts";
import { runAsLeader, type Leadership, type LeaderElectionOptions } from "./leader-election.ts";
import { microTime } from "./micro-time.ts";
import { SimulatedProcess } from "./simulated-process.ts";

const key = { namespace: "fleet", name: "manager" };

interface Candidate {
  readonly process: SimulatedProcess;
  readonly identity: string;
  readonly stop: AbortController;
  leadership: Leadership | undefined;
  readonly ended: Promise<string>;
}

/** A world with one server; `start` puts a candidate in it. */
function createWorld(random: Random) {
  const clock = new VirtualClock();
  const server = new FakeApiServer({ clock, random });
  const start = (
    identity: string,
    process: SimulatedProcess,
    options: Partial<LeaderElectionOptions> = {},
  ): Candidate => {
    const client = createClient({ transport: process.connect(server.transport), clock: process });
    const stop = new AbortController();
    const election = { client, clock: process, random, logger: silentLogger, lease: key, identity, ...options };
    const candidate: Candidate = {
      process,
      identity,
      stop,
      leadership: undefined,
      ended: runAsLeader(
        election,
        async (leadership) => {
          candidate.leadership = leadership;
          await sleep(process, 1e9, leadership.signal).catch(() => {});
        },
        stop.signal,
      ).then(
        () => "stopped",
        (error: { code?: string }) => error.code ?? "error",
      ),
    };
    return candidate;
  };
  const lease = async () => createClient({ transport: server.transport, clock }).get(Leases, key);
  return { clock, server, start, lease };
}

const steady = (clock: VirtualClock): SimulatedProcess => new SimulatedProcess(clock, { rate: 1, offsetMs: 0 });
const leads = (candidate: Candidate): boolean => candidate.leadership?.isLeading() === true;

describe("runAsLeader", () => {
  it("writes the lease as client-go does, and hands it over at once when it stops", async () => {
    const { clock, start, lease, server } = createWorld(seededRandom(1));
    const first = start("first", steady(clock));
    await clock.runUntil(() => leads(first));
    const second = start("second", steady(clock));
    await clock.advance(30_000);
    expect([leads(first), leads(second)]).toEqual([true, false]);
    const held = server.storage.get("leases", "fleet/manager");
    expect(held).toMatchObject({
      spec: {
        holderIdentity: "first",
        leaseDurationSeconds: 15,
        leaseTransitions: 0,
        acquireTime: expect.stringMatching(/\.\d{6}Z$/),
      },
    });
    first.stop.abort();
    await clock.advance(500);
    expect(await first.ended).toBe("stopped");
    expect(leads(first)).toBe(false);
    await clock.advance(3000);
    expect(leads(second)).toBe(true);
    const reading = lease();
    await clock.advance(100);
    expect((await reading).spec).toMatchObject({ holderIdentity: "second", leaseTransitions: 1 });
    second.stop.abort();
    await clock.advance(500);
    expect(await second.ended).toBe("stopped");
  });

  it("takes over from a dead leader only a full lease duration after it last saw it change", async () => {
    const { clock, start } = createWorld(seededRandom(2));
    const dead = start("dead", steady(clock));
    await clock.runUntil(() => leads(dead));
    const heir = start("heir", steady(clock));
    await clock.advance(10_000);
    dead.process.stop();
    const killedAt = clock.now();
    await clock.runUntil(() => leads(heir));
    expect(clock.now() - killedAt).toBeGreaterThan(15_000 - 2100);
    expect(clock.now() - killedAt).toBeLessThan(15_000 + 2500);
  });

  it("does not believe times in the lease: a holder whose clock is an hour ahead is still found dead", async () => {
    const { clock, start } = createWorld(seededRandom(3));
    const ahead = start("ahead", new SimulatedProcess(clock, { rate: 1, offsetMs: 3_600_000 }));
    await clock.runUntil(() => leads(ahead));
    ahead.process.stop();
    const heir = start("heir", new SimulatedProcess(clock, { rate: 1, offsetMs: -3_600_000 }));
    await clock.runUntil(() => leads(heir), 20_000);
    expect(leads(heir)).toBe(true);
  });

  it("knows at once after a pause that it leads no more, before any timer fires", async () => {
    const { clock, start } = createWorld(seededRandom(4));
    const paused = start("paused", steady(clock));
    await clock.runUntil(() => leads(paused));
    const other = start("other", steady(clock));
    await clock.advance(5000);
    paused.process.stop();
    await clock.advance(60_000);
    expect(leads(other)).toBe(true);
    expect(leads(paused)).toBe(false);
    expect(() => paused.leadership?.assertLeading()).toThrow("another may lead now");
    paused.process.resume();
    await clock.advance(10_000);
    expect(await paused.ended).toBe("FW_LEADERSHIP_LOST");
    expect(paused.leadership?.signal.reason).toMatchObject({ code: "FW_LEADERSHIP_LOST" });
    expect(leads(other)).toBe(true);
  });

  it("stops before others start when the server cannot be reached, counted from the last renewal's start", async () => {
    const { clock, start } = createWorld(seededRandom(5));
    const cutOff = start("cut-off", steady(clock));
    await clock.runUntil(() => leads(cutOff));
    const heir = start("heir", steady(clock));
    await clock.advance(20_000);
    cutOff.process.partitioned = true;
    const cutAt = clock.now();
    await clock.runUntil(() => !leads(cutOff));
    expect(clock.now() - cutAt).toBeLessThanOrEqual(10_000);
    expect(cutOff.leadership?.signal.aborted).toBe(true);
    expect(leads(heir)).toBe(false);
    await clock.runUntil(() => leads(heir), 10_000);
    expect(await cutOff.ended).toBe("FW_LEADERSHIP_LOST");
  });

  it("does not take a lease for its own because the name is: a restart with the same identity waits", async () => {
    const { clock, start } = createWorld(seededRandom(6));
    const before = start("same", steady(clock));
    await clock.runUntil(() => leads(before));
    const twin = start("same", steady(clock));
    await clock.advance(60_000);
    expect([leads(before), leads(twin)]).toEqual([true, false]);
  });

  it("keeps the lease while work winds down, and gives it back when the work fails", async () => {
    const { clock, server } = createWorld(seededRandom(7));
    const client = createClient({ transport: server.transport, clock });
    const random = seededRandom(7);
    const options = { client, clock, random, logger: silentLogger, lease: key, identity: "a" };
    const work = async (leadership: Leadership): Promise<void> => {
      await sleep(clock, 20_000);
      leadership.assertLeading();
      throw new Error("work broke");
    };
    const run = runAsLeader(options, work, new AbortController().signal).catch((error: Error) => error.message);
    await clock.advance(25_000);
    expect(await run).toBe("work broke");
    expect(server.storage.get("leases", "fleet/manager")).toMatchObject({ spec: { holderIdentity: "" } });
  });

  it("refuses durations in the wrong order", async () => {
    const { clock, server } = createWorld(seededRandom(8));
    const client = createClient({ transport: server.transport, clock });
    const options = { client, clock, random: seededRandom(8), logger: silentLogger, lease: key, identity: "a" };
    const run = runAsLeader({ ...options, renewDeadlineMs: 20_000 }, async () => {}, new AbortController().signal);
    await expect(run).rejects.toThrow("leaseDuration > renewDeadline");
  });
});

/** Run one alone: FW_SEED=17 vitest run --project unit packages/kube/src/manager/leader-election.test.ts */
const only = process.env["FW_SEED"];
const seeds = only === undefined ? Array.from({ length: 60 }, (_, index) => index + 1) : [Number(only)];

describe("leaders under pauses, partitions, crashes and clocks of different rates", () => {
  it("are never two at a time, and there is one again after quiet, for 60 seeds", { timeout: 120_000 }, async () => {
    const problems: string[] = [];
    let elections = 0;
    for (const seed of seeds) {
      const run = await simulate(seed);
      elections += run.elections;
      problems.push(...run.problems.map((problem) => `FW_SEED=${seed}: ${problem}`));
    }
    expect(problems).toEqual([]);
    expect(elections).toBeGreaterThan(seeds.length);
  });
});

async function simulate(seed: number): Promise<{ readonly problems: readonly string[]; readonly elections: number }> {
  const random = seededRandom(seed);
  const { clock, start, server } = createWorld(random);
  const problems: string[] = [];
  const candidates: Candidate[] = [];
  let names = 0;
  const spawn = (): Candidate => {
    // 15 s / 10 s leaves room for rates that differ by half; a tenth each way is far beyond real clocks.
    const process = new SimulatedProcess(clock, {
      rate: 0.9 + random.next() * 0.2,
      offsetMs: (random.next() - 0.5) * 7_200_000,
    });
    return start(`candidate-${++names}`, process);
  };
  const count = 2 + Math.floor(random.next() * 2);
  for (let index = 0; index < count; index++) candidates.push(spawn());
  const check = (): void => {
    const leaders = candidates.filter((candidate) => leads(candidate));
    if (leaders.length > 1)
      problems.push(`${leaders.map((leader) => leader.identity).join(" and ")} lead at ${clock.now()}`);
  };
  const allEnded: Promise<string>[] = [];
  let elections = 0;
  let lastLeader = "";
  const minutes = 8;
  for (let step = 0; step < minutes * 60 * 4; step++) {
    await clock.advance(250);
    check();
    const leader = candidates.find(leads)?.identity;
    if (leader !== undefined && leader !== lastLeader) {
      lastLeader = leader;
      elections += 1;
    }
    const quiet = step > (minutes - 2) * 60 * 4;
    for (const [index, candidate] of candidates.entries()) {
      const chance = random.next();
      if (quiet) {
        candidate.process.partitioned = false;
        candidate.process.resume();
      } else if (chance < 0.004) candidate.process.stop();
      else if (chance < 0.008) candidate.process.partitioned = true;
      else if (chance < 0.02) candidate.process.partitioned = false;
      else if (chance < 0.04) candidate.process.resume();
      else if (chance < 0.041) void server.restart(random.next() * 20_000);
      check();
      const over = candidate.leadership?.signal.aborted === true || (!quiet && chance > 0.9995);
      if (over && !candidate.process.stopped) {
        // As the kubelet does: the process ends, a new one takes its place.
        candidate.stop.abort();
        allEnded.push(candidate.ended);
        candidates[index] = spawn();
      }
    }
  }
  const leaders = candidates.filter(leads);
  if (leaders.length !== 1) problems.push(`${leaders.length} leaders after two quiet minutes`);
  for (const candidate of candidates) candidate.stop.abort();
  await clock.advance(60_000);
  await Promise.all([...allEnded, ...candidates.map((candidate) => candidate.ended)]);
  return { problems, elections };
}

describe("microTime", () => {
  it("has six digits, whatever the fraction", () => {
    expect(microTime(Date.UTC(2026, 10, 21, 2, 34, 55, 123))).toBe("2026-11-21T02:34:55.123000Z");
    expect(microTime(0.5)).toBe("1970-01-01T00:00:00.000500Z");
    expect(microTime(1.9999)).toBe("1970-01-01T00:00:00.001999Z");
  });
});
