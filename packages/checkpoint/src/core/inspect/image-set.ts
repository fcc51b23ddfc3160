import { checkpointError } from "../../errors.ts";
import { defaultImageLimits } from "../criu/extra.ts";
import { readEntries } from "../criu/image.ts";
import type { JsonObject, ValueBudget } from "../criu/message-json.ts";

/** A folder of CRIU's images, wherever it is. Names are bare (`mm-1.img`); a name that `list` does not give is never asked for. */
export interface ImageSet {
  list(): readonly string[];
  /** All bytes of an image; rejects when there are more than `limit`. */
  read(name: string, limit: number): Promise<Uint8Array>;
  open(name: string): AsyncIterable<Uint8Array>;
  /** Bytes from within an image; fewer than `length` only at its end. With `into`, which has room for them, they are a view of it. */
  readAt(name: string, offset: number, length: number, into?: Uint8Array): Promise<Uint8Array>;
}

/** Something that could not be read, and why; the rest of the answer stands without it. */
export interface ImageProblem {
  readonly image: string;
  readonly message: string;
}

/** The images of one checkpoint, decoded once each; what is missing or broken is noted instead of thrown. */
export interface Images {
  readonly set: ImageSet;
  has(name: string): boolean;
  /** Entries of an image; `undefined` when it is missing or broken. `optional` images are not noted as missing. */
  entries(name: string, kind: string, need?: "optional"): Promise<readonly JsonObject[] | undefined>;
  note(image: string, error: unknown): void;
  readonly missing: ReadonlySet<string>;
  readonly problems: readonly ImageProblem[];
}

/** Of one image's entries, and of what follows one of them; pages are never decoded. */
const imageBytes = 64 * 1024 * 1024;
/** Of all images of a checkpoint: what is decoded is kept for as long as they are open. */
const allBytes = 256 * 1024 * 1024;

/** What the images of a checkpoint may still take together. */
interface Room extends ValueBudget {
  bytes: number;
}

async function collect(set: ImageSet, name: string, only: string, room: Room): Promise<readonly JsonObject[]> {
  const entries: JsonObject[] = [];
  const limit = Math.min(imageBytes, room.bytes);
  let size = 0;
  const counted = async function* () {
    for await (const part of set.open(name)) {
      size += part.length;
      if (size > limit) throw checkpointError("FW_CHECKPOINT_LIMIT", `${name}: more than ${limit} bytes of entries`);
      yield part;
    }
  };
  for await (const { entry } of readEntries(counted(), { name, only, budget: room })) entries.push(entry);
  room.bytes -= size;
  return entries;
}

export function openImages(set: ImageSet): Images {
  const names = new Set(set.list());
  const missing = new Set<string>();
  const problems: ImageProblem[] = [];
  const noted = new Set<string>();
  const room: Room = { bytes: allBytes, left: defaultImageLimits.values };
  const known = new Map<string, Promise<readonly JsonObject[] | undefined>>();
  const note = (image: string, error: unknown): void => {
    const message = error instanceof Error ? error.message : String(error);
    const key = `${image}\n${message}`;
    if (noted.has(key)) return;
    noted.add(key);
    problems.push({ image, message });
  };
  const load = async (name: string, kind: string): Promise<readonly JsonObject[] | undefined> => {
    try {
      return await collect(set, name, kind, room);
    } catch (error) {
      note(name, error);
      return undefined;
    }
  };
  return {
    set,
    missing,
    problems,
    note,
    has: (name) => names.has(name),
    entries: (name, kind, need) => {
      if (!names.has(name)) {
        if (need !== "optional") missing.add(name);
        return Promise.resolve(undefined);
      }
      let entries = known.get(name);
      if (entries === undefined) known.set(name, (entries = load(name, kind)));
      return entries;
    },
  };
}
