import { groupKindName } from "../core/usage-index.ts";
import type { BizGroupResourceQuota } from "@fleetwright/api";
import type { VirtualClock } from "@fleetwright/kube";
import { groupNamedBy } from "./replica.ts";
import { cpusOf, simKinds, type World } from "./world.ts";

/** One call of a webhook, as the API server sees it. */
export interface Attempt {
  readonly group: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  /** CPUs of this group that the object will use. */
  readonly after: number;
  readonly startedAt: number;
  readonly create: boolean;
  /** When the webhook's answer left, or its call broke. */
  decidedAt: number;
  /** From when on it takes no room any more, whatever became of it. */
  endsAt: number;
  dryRun: boolean;
}

interface Moment {
  readonly at: number;
  readonly hard: number;
  /** What may be taken at most: real use, and changes whose fate is not known everywhere. */
  readonly occupied: number;
  readonly bySlot: ReadonlyMap<string, number>;
}

const slotOf = ({ kind, name }: { readonly kind: string; readonly name: string }): string => `${kind}/${name}`;

/** Creates of one name that are followed one by one; of more, the ledger only knows that some may still be stored. */
const createsFollowed = 2;

const hardCpus = (group: BizGroupResourceQuota | undefined): number => Number(group?.spec.hard["limits.cpu"] ?? 0);

/** What an object takes of a group, and the version since when. */
interface Taken {
  readonly group: string;
  readonly uid: string;
  readonly kind: string;
  readonly name: string;
  readonly cpus: number;
  readonly since: number;
}

/**
 * Watches everything that happens in the world and says what must not have.
 *
 * Over-admission: an object that is stored with more than before must fit, with all that exists at that moment, into a `hard` that held at some
 * time between its request and its storage. Wrong refusal: during the request there was no moment at which it would not have fitted. What a
 * deleted object took counts for as long as some replica has not seen that it was ever taken (the object came and went faster than that cache), or, for
 * replicas that start later, until its hold has expired; so do changes that were admitted and never stored, and all creates of a name of which there were
 * more than two within that time. What has one name never counts more than once: a create is never refused because of an earlier one of its name.
 * That is what the ledger promises.
 */
export class Oracle {
  readonly violations: string[] = [];
  refusals = 0;
  #attempts: Attempt[] = [];
  #creates: Attempt[] = [];
  readonly #world: World;
  readonly #time: VirtualClock;
  readonly #slowestVersion: (kind: string) => number;
  readonly #holdExpiryMs: number;
  /** When the youngest replica started. */
  replicaStartedAt = 0;
  readonly #history = new Map<string, Moment[]>();
  /** What objects took before they were deleted, moved or made smaller, as long as its hold may be open. */
  #lingering: (Taken & { readonly at: number })[] = [];
  #known = new Map<string, Taken>();

  /** @param holdExpiryMs how long a hold may last, with the time that the reconciler takes */
  constructor(world: World, time: VirtualClock, slowestVersion: (kind: string) => number, holdExpiryMs: number) {
    this.#holdExpiryMs = holdExpiryMs;
    this.#world = world;
    this.#time = time;
    this.#slowestVersion = slowestVersion;
    world.onChange = () => this.observe();
  }

  begin(attempt: Attempt): void {
    this.#attempts.push(attempt);
    if (attempt.create && !attempt.dryRun) this.#creates.push(attempt);
    this.observe();
  }

  /** Real use of a group, exactly: what the objects that exist ask for. */
  realUse(group: string): number {
    let sum = 0;
    for (const each of this.#existing().values()) if (each.group === group) sum += each.cpus;
    return sum;
  }

  #existing(): Map<string, Taken> {
    const all = new Map<string, Taken>();
    for (const kind of [...Object.keys(simKinds), groupKindName]) {
      for (const object of this.#world.list(kind)) {
        const group = groupNamedBy(kind, object);
        if (!group) continue;
        const cpus = kind === groupKindName ? hardCpus(object as BizGroupResourceQuota) : cpusOf(object);
        const uid = object.metadata.uid ?? "";
        const before = this.#known.get(uid);
        const same = before?.group === group && before.cpus === cpus;
        const name = object.metadata.name ?? "";
        all.set(uid, same ? before : { group, uid, kind, name, cpus, since: Number(object.metadata.resourceVersion) });
      }
    }
    return all;
  }

  observe(): void {
    const existing = this.#existing();
    for (const [uid, before] of this.#known) {
      const now = existing.get(uid);
      if (now && now.group === before.group && now.cpus >= before.cpus) continue;
      this.#lingering.push({ ...before, at: this.#time.now() });
    }
    this.#known = existing;
    const at = this.#time.now();
    this.#lingering = this.#lingering.filter((each) => at < each.at + this.#holdExpiryMs);
    // Whoever has seen what an object took knows that its hold is of the past; a replica that starts after the object has gone never will.
    const lingering = this.#lingering.filter(
      (each) => this.#slowestVersion(each.kind) < each.since || this.replicaStartedAt > each.at,
    );
    this.#attempts = this.#attempts.filter((attempt) => attempt.endsAt > at);
    this.#creates = this.#creates.filter((attempt) => at < attempt.decidedAt + this.#holdExpiryMs);
    const joined = joinedCreates(this.#creates);
    for (const group of this.#world.list(groupKindName)) {
      const name = group.metadata.name ?? "";
      const bySlot = new Map<string, number>();
      const take = (each: { readonly kind: string; readonly name: string }, cpus: number): void => {
        bySlot.set(slotOf(each), Math.max(bySlot.get(slotOf(each)) ?? 0, cpus));
      };
      for (const each of existing.values()) if (each.group === name) take(each, each.cpus);
      for (const each of lingering) if (each.group === name) take(each, each.cpus);
      for (const each of this.#attempts) if (each.group === name && !each.dryRun) take(each, each.after);
      for (const each of joined) if (each.group === name) take(each, each.after);
      let occupied = 0;
      for (const cpus of bySlot.values()) occupied += cpus;
      const moments = this.#history.get(name) ?? [];
      moments.push({ at, hard: hardCpus(group as BizGroupResourceQuota), occupied, bySlot });
      this.#history.set(name, moments);
    }
  }

  /** The moments of an interval, and the one that held when it began. */
  #during(group: string, from: number): readonly Moment[] {
    const moments = this.#history.get(group) ?? [];
    const first = moments.findLastIndex((moment) => moment.at < from);
    return moments.slice(Math.max(0, first));
  }

  /** Right after an object was stored that uses more of the group than before. */
  stored(attempt: Attempt): void {
    if (!this.#world.group(attempt.group)) {
      this.violations.push(`${attempt.name} was stored into "${attempt.group}", which does not exist`);
      return;
    }
    const use = this.realUse(attempt.group);
    const hard = Math.max(...this.#during(attempt.group, attempt.startedAt).map((moment) => moment.hard));
    if (use > hard)
      this.violations.push(
        `over-admitted: "${attempt.group}" uses ${use} of ${hard} after ${attempt.name} (${attempt.after})`,
      );
  }

  /** A refusal for lack of room. */
  refused(attempt: Attempt): void {
    this.refusals++;
    const justified = this.#during(attempt.group, attempt.startedAt).some((moment) => {
      const others = moment.occupied - (moment.bySlot.get(slotOf(attempt)) ?? 0);
      return others + attempt.after > moment.hard;
    });
    if (!justified)
      this.violations.push(
        `wrongly refused: ${attempt.name} (${attempt.after}) fitted into "${attempt.group}" all the time`,
      );
  }

  groupDeleted(name: string): void {
    const use = this.realUse(name);
    if (use > 0) this.violations.push(`"${name}" was deleted while ${use} of it were used`);
  }
}

function joinedCreates(creates: readonly Attempt[]): readonly Attempt[] {
  const counts = new Map<string, number>();
  const keyOf = (attempt: Attempt): string => `${attempt.group}/${slotOf(attempt)}`;
  for (const each of creates) counts.set(keyOf(each), (counts.get(keyOf(each)) ?? 0) + 1);
  return creates.filter((each) => (counts.get(keyOf(each)) ?? 0) > createsFollowed);
}
