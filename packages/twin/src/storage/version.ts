import type { Draft } from "../machinery/draft.ts";
import { encodeObject } from "../schema/encode.ts";

/** What a store keeps: JSON as it goes out, or the object. */
export type Content = { readonly bytes: Buffer } | { readonly object: Readonly<Draft> };

/** An object at one revision, with `metadata.resourceVersion` in it. It is kept in one form, and made into the other when somebody asks. */
export class Version {
  /** `namespace/name`, or `name` for cluster-scoped kinds: lists are ordered by it, byte by byte. */
  readonly key: string;
  /** The revision that wrote it. */
  readonly revision: number;
  /** The value that watches of this collection are indexed by (a pod's `spec.nodeName`); `""` without one. */
  readonly index: string;
  /** Of its JSON, in bytes; an estimate when it is kept as an object. */
  readonly size: number;
  readonly #bytes: Buffer | undefined;
  readonly #object: Readonly<Draft> | undefined;
  #other: Buffer | Readonly<Draft> | undefined;

  /** @param size when it is kept as an object: what the store estimates @default measured */
  constructor(
    place: { readonly key: string; readonly revision: number; readonly index: string },
    content: Content,
    size?: number,
  ) {
    this.key = place.key;
    this.revision = place.revision;
    this.index = place.index;
    if ("bytes" in content) {
      this.#bytes = content.bytes;
      this.size = content.bytes.length;
    } else {
      this.#object = content.object;
      this.size = size ?? this.bytes.length;
    }
  }

  /** JSON as it goes out. */
  get bytes(): Buffer {
    if (this.#bytes !== undefined) return this.#bytes;
    if (Buffer.isBuffer(this.#other)) return this.#other;
    const bytes = encodeObject(this.#object ?? {});
    this.#other = bytes;
    remember(this, bytes.length);
    return bytes;
  }

  /** It belongs to all: nobody changes it. */
  get object(): Readonly<Draft> {
    if (this.#object !== undefined) return this.#object;
    if (this.#other !== undefined) return this.#other as Readonly<Draft>;
    const { bytes } = this;
    const object = JSON.parse(bytes.toString()) as Draft;
    this.#other = object;
    remember(this, bytes.length);
    return object;
  }

  /** The object, if that is what is kept. */
  get kept(): Readonly<Draft> | undefined {
    return this.#object;
  }

  forgetOther(): void {
    this.#other = undefined;
  }
}

/** Who watches the same things asks for the same forms shortly after each other. */
const maxRememberedBytes = 4 * 2 ** 20;
let remembered: { readonly version: Version; readonly size: number }[] = [];
let first = 0;
let rememberedBytes = 0;

function remember(version: Version, size: number): void {
  remembered.push({ version, size });
  rememberedBytes += size;
  for (; rememberedBytes > maxRememberedBytes; first++) {
    const oldest = remembered[first];
    if (oldest === undefined) break;
    oldest.version.forgetOther();
    rememberedBytes -= oldest.size;
  }
  if (first > 1024 && first * 2 > remembered.length) {
    remembered = remembered.slice(first);
    first = 0;
  }
}
