import { checkpointError } from "../../errors.ts";
import type { Step } from "./byte-source.ts";
import type { ExtraRule } from "./kind-table.ts";
import { bytesOfBase64, isObject, jsonToMessage, messageToJson } from "./message-json.ts";
import type { JsonObject, JsonValue, ValueBudget } from "./message-json.ts";
import { messageDescriptor } from "./messages.ts";

/** Bounds on what an image may make a reader hold. */
export interface ImageLimits {
  /** Of one message, in bytes. */
  readonly messageBytes: number;
  /** Of what follows one message, in bytes. */
  readonly extraBytes: number;
  /** Of entries in one image, and of messages in one queue. */
  readonly entries: number;
  /** Of fields and list elements in all entries of one image, a message counting as eight. */
  readonly values: number;
}

export const defaultImageLimits: ImageLimits = {
  messageBytes: 16 * 1024 * 1024,
  extraBytes: 256 * 1024 * 1024,
  entries: 1_000_000,
  values: 15_000_000,
};

/** What an entry has beside its message; crit's shape, with `$padding` where the filling bytes are not zeros. */
export interface ExtraJson {
  readonly extra?: JsonValue;
  readonly $padding?: JsonValue;
}

const base64 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
const roundUp = (length: number, to: number): number => Math.ceil(length / to) * to;
const limitError = (what: string, length: bigint | number, limit: number) =>
  checkpointError("FW_CHECKPOINT_LIMIT", `${what}: ${length} is more than the limit of ${limit}`);

/** A length or count that a message states, within a limit. */
export function stated(message: JsonObject, field: string, limit: number, where: string): number {
  const value = BigInt((message[field] as string | number | undefined) ?? 0);
  if (value < 0n || value > BigInt(limit)) throw limitError(`${where}.${field}`, value, limit);
  return Number(value);
}

const padding = (bytes: Uint8Array): { readonly $padding?: JsonValue } =>
  bytes.some((byte) => byte !== 0) ? { $padding: base64(bytes) } : {};

function* padded(length: number, to: number, what: string): Step<ExtraJson & { readonly data: Uint8Array }> {
  const data = yield { length, what };
  const filling = yield { length: roundUp(length, to) - length, what: `${what}'s padding` };
  return { data, ...padding(filling) };
}

function* readQueue(message: JsonObject, limits: ImageLimits, where: string, budget: ValueBudget): Step<JsonValue> {
  const descriptor = messageDescriptor("ipc_msg");
  const count = stated(message, "qnum", limits.entries, where);
  const list: JsonValue[] = [];
  let left = limits.extraBytes;
  for (let index = 0; index < count; index += 1) {
    const place = `${where}.extra[${list.length}]`;
    const size = Buffer.from(yield { length: 4, what: `${place}'s length` }).readUInt32LE();
    if (size > limits.messageBytes) throw limitError(`${place}'s length`, size, limits.messageBytes);
    const header = messageToJson(descriptor, yield { length: size, what: place }, place, budget);
    const length = stated(header, "msize", left, place);
    left -= length;
    const { data, ...rest } = yield* padded(length, 8, `${place}'s data`);
    list.push({ ...header, ...rest }, base64(data));
  }
  return list;
}

/** Reads what follows a message. `ghost-file` is the framing's own business: there it is entries. */
export function* readExtra(
  rule: ExtraRule,
  message: JsonObject,
  limits: ImageLimits,
  where: string,
  budget: ValueBudget,
): Step<ExtraJson> {
  const length = (field: string): number => stated(message, field, limits.extraBytes, where);
  const what = `${where}'s data`;
  if (rule === "pipes-data") return { extra: base64(yield { length: length("bytes"), what }) };
  if (rule === "sk-queues") return { extra: base64(yield { length: length("length"), what }) };
  if (rule === "bpfmap-data")
    return { extra: base64(yield { length: length("keys_bytes") + length("values_bytes"), what }) };
  if (rule === "tcp-stream") {
    const inq = base64(yield { length: length("inq_len"), what: `${where}'s received bytes` });
    return { extra: { inq, outq: base64(yield { length: length("outq_len"), what: `${where}'s sent bytes` }) } };
  }
  if (rule === "ipc-msg") return { extra: yield* readQueue(message, limits, where, budget) };
  if (rule === "ipc-shm") {
    // Since CRIU 3.12 the segment's bytes are in pages-N.img; crit still expects them here.
    if (message["in_pagemaps"] === true) return {};
    const { data, ...rest } = yield* padded(length("size"), 4, what);
    return { extra: base64(data), ...rest };
  }
  if (rule === "ipc-sem") {
    const { data, ...rest } = yield* padded(2 * stated(message, "nsems", limits.extraBytes / 2, where), 8, what);
    const view = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
    return { extra: Array.from({ length: data.length / 2 }, (_, index) => view.readUInt16LE(2 * index)), ...rest };
  }
  return {};
}

function exact(bytes: Uint8Array, length: number, where: string): Uint8Array {
  if (bytes.length !== length)
    throw checkpointError(
      "FW_CHECKPOINT_IMAGE",
      `${where}.extra: ${bytes.length} bytes, but its message says ${length}: change both`,
    );
  return bytes;
}

function fill(json: JsonObject, length: number, to: number, where: string): Uint8Array {
  const size = roundUp(length, to) - length;
  const given = json["$padding"];
  return given === undefined ? Buffer.alloc(size) : exact(bytesOfBase64(given, where), size, `${where}.$padding`);
}

function semaphores(extra: JsonValue | undefined, where: string): Uint8Array {
  if (!Array.isArray(extra)) throw checkpointError("FW_CHECKPOINT_IMAGE", `${where}.extra: not a list of semaphores`);
  const values = extra as readonly JsonValue[];
  const bytes = Buffer.alloc(2 * values.length);
  for (const [index, value] of values.entries()) {
    if (typeof value !== "number" || !Number.isInteger(value) || value < 0 || value > 0xffff)
      throw checkpointError("FW_CHECKPOINT_IMAGE", `${where}.extra[${index}]: not a number from 0 to 65535`);
    bytes.writeUInt16LE(value, 2 * index);
  }
  return bytes;
}

export function frame(message: Uint8Array): readonly Uint8Array[] {
  const size = Buffer.alloc(4);
  size.writeUInt32LE(message.length);
  return [size, message];
}

function* writeQueue(entry: JsonObject, where: string): Generator<Uint8Array> {
  const descriptor = messageDescriptor("ipc_msg");
  const extra = entry["extra"] ?? [];
  const list = Array.isArray(extra) ? (extra as readonly JsonValue[]) : [];
  const count = stated(entry, "qnum", Number.MAX_SAFE_INTEGER, where);
  if (list.length !== 2 * count)
    throw checkpointError(
      "FW_CHECKPOINT_IMAGE",
      `${where}.extra: ${list.length} items, but qnum ${count} needs ${2 * count}: a message and its data each`,
    );
  for (let index = 0; index < list.length; index += 2) {
    const place = `${where}.extra[${index}]`;
    const header = list[index];
    if (!isObject(header)) throw checkpointError("FW_CHECKPOINT_IMAGE", `${place}: not an object`);
    yield* frame(jsonToMessage(descriptor, header, place));
    const length = stated(header, "msize", Number.MAX_SAFE_INTEGER, place);
    yield exact(bytesOfBase64(list[index + 1], place), length, place);
    yield fill(header, length, 8, place);
  }
}

/** The bytes that follow an entry's message; throws FW_CHECKPOINT_IMAGE when they are not what the message says. */
export function* writeExtra(rule: ExtraRule, entry: JsonObject, where: string): Generator<Uint8Array> {
  const length = (field: string): number => stated(entry, field, Number.MAX_SAFE_INTEGER, where);
  const bytes = (): Uint8Array => bytesOfBase64(entry["extra"] ?? "", `${where}.extra`);
  if (rule === "pipes-data") yield exact(bytes(), length("bytes"), where);
  if (rule === "sk-queues") yield exact(bytes(), length("length"), where);
  if (rule === "bpfmap-data") yield exact(bytes(), length("keys_bytes") + length("values_bytes"), where);
  if (rule === "tcp-stream") {
    const { extra } = entry;
    if (!isObject(extra)) throw checkpointError("FW_CHECKPOINT_IMAGE", `${where}.extra: not {inq, outq}`);
    yield exact(bytesOfBase64(extra["inq"], `${where}.extra.inq`), length("inq_len"), `${where} (inq)`);
    yield exact(bytesOfBase64(extra["outq"], `${where}.extra.outq`), length("outq_len"), `${where} (outq)`);
  }
  if (rule === "ipc-msg") yield* writeQueue(entry, where);
  if (rule === "ipc-shm" && entry["in_pagemaps"] !== true) {
    yield exact(bytes(), length("size"), where);
    yield fill(entry, length("size"), 4, where);
  }
  if (rule === "ipc-sem") {
    yield exact(semaphores(entry["extra"] ?? [], where), 2 * length("nsems"), where);
    yield fill(entry, 2 * length("nsems"), 8, where);
  }
}
