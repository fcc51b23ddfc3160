/** A smallest valid object of each built-in kind: what the mechanical scenarios are made of. */
export interface KindCase {
  /** `/api/v1` or `/apis/<group>/<version>`. */
  readonly root: string;
  readonly plural: string;
  readonly kind: string;
  readonly namespaced: boolean;
  /** Besides apiVersion, kind and metadata. */
  readonly content: (name: string) => Readonly<Record<string, unknown>>;
  /** What its names begin with, where a prefix is not enough. */
  readonly nameOf?: (unique: string) => string;
  /** Fails validation when merged over `content`. */
  readonly invalid?: Readonly<Record<string, unknown>>;
  /** A change of the content that is allowed. */
  readonly change?: Readonly<Record<string, unknown>>;
  /** Status to write to the status subresource; absent: it has none. */
  readonly status?: Readonly<Record<string, unknown>>;
}
