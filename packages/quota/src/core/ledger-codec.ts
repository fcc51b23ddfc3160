import { FleetwrightError } from "@fleetwright/kube";
import { quotaErrors } from "../errors.ts";
import type { Amounts } from "./amounts.ts";
import { emptyLedger, type Hold, type Ledger } from "./ledger.ts";

/** `[key, amount, key, amount, …]`: keys by index, amounts in billionths as decimal text (beyond what a JSON number holds exactly). */
type Flat = (number | string)[];

interface Wire {
  readonly v: 1;
  readonly keys: string[];
  readonly kinds: string[];
  /** Charges by index: holds of replicas of one workload share theirs. */
  readonly charges: Flat[];
  readonly self: Flat;
  readonly granted: Flat;
  /** uid, kind, namespace, name, base, at, charge */
  readonly holds: [string, number, string, string, string, number, number][];
  readonly seen: Record<string, string>;
  readonly closing?: number;
}

/** A book of indexes: each value is written once. */
class Table<T> {
  readonly rows: T[] = [];
  readonly #index = new Map<string, number>();

  indexOf(key: string, value: T): number {
    const known = this.#index.get(key);
    if (known !== undefined) return known;
    this.#index.set(key, this.rows.length);
    return this.rows.push(value) - 1;
  }
}

/** The ledger as one compact string. A typed list in the status would cost the API server twice the CPU per write. */
export function encodeLedger(ledger: Ledger): string {
  const keys = new Table<string>();
  const kinds = new Table<string>();
  const charges = new Table<Flat>();
  const flat = (amounts: Amounts): Flat =>
    [...amounts].flatMap(([key, amount]) => [keys.indexOf(key, key), amount.toString()]);
  const sum = (amounts: Amounts): Flat => flat(new Map([...amounts].filter(([, amount]) => amount !== 0n)));
  const wire: Wire = {
    v: 1,
    keys: keys.rows,
    kinds: kinds.rows,
    charges: charges.rows,
    self: sum(ledger.self),
    granted: sum(ledger.granted),
    holds: ledger.holds.map((hold) => {
      const charge = flat(hold.charge);
      const { uid, kind, namespace, name, base, at } = hold;
      return [uid, kinds.indexOf(kind, kind), namespace, name, base, at, charges.indexOf(charge.join(), charge)];
    }),
    seen: { ...ledger.seen },
    ...(ledger.closingSince === undefined ? {} : { closing: ledger.closingSince }),
  };
  return JSON.stringify(wire);
}

/** @param text absent: nothing was ever counted @throws FW_QUOTA_LEDGER when someone else has written it */
export function decodeLedger(text: string | undefined, group: string): Ledger {
  if (text === undefined || text === "") return emptyLedger;
  try {
    const wire = JSON.parse(text) as Wire;
    if (wire.v !== 1) throw new Error(`version ${JSON.stringify(wire.v)}`);
    const at = <T>(rows: readonly T[], index: number): T => {
      const row = rows[index];
      if (row === undefined) throw new Error(`no entry ${index}`);
      return row;
    };
    const amounts = (flat: Flat): Amounts => {
      const result = new Map<string, bigint>();
      for (let index = 0; index < flat.length; index += 2)
        result.set(at(wire.keys, Number(flat[index])), BigInt(at(flat, index + 1)));
      return result;
    };
    const charges = wire.charges.map(amounts);
    return {
      self: amounts(wire.self),
      granted: amounts(wire.granted),
      holds: wire.holds.map(([uid, kind, namespace, name, base, time, charge]): Hold => ({
        uid,
        kind: at(wire.kinds, kind),
        namespace,
        name,
        base,
        at: time,
        charge: at(charges, charge),
      })),
      seen: wire.seen,
      ...(wire.closing === undefined ? {} : { closingSince: wire.closing }),
    };
  } catch (cause) {
    throw new FleetwrightError(
      quotaErrors.ledger,
      `status.ledger of bizrq "${group}" is not what the manager wrote; remove it ("kubectl patch bizrq ${group} --subresource=status ` +
        `--type=merge -p '{"status":{"ledger":null}}'"), then everything is counted afresh: ${cause instanceof Error ? cause.message : String(cause)}`,
      { cause },
    );
  }
}

/** Bytes that a hold adds at most, for the bound on the ledger's size. */
export function holdBytes(hold: Hold): number {
  let bytes = 64 + hold.uid.length + hold.namespace.length + hold.name.length + hold.base.length;
  for (const [, amount] of hold.charge) bytes += 6 + amount.toString().length;
  return bytes;
}
