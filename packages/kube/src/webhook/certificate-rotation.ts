import type { KeyPair } from "../core/certificate-authority.ts";

/** What all replicas share: the authority that issues, the one to come, and those that callers must still trust. */
export interface AuthorityState {
  readonly issuing: DatedKeyPair;
  /** Trusted, does not issue yet: callers must have seen it first. */
  readonly next?: DatedKeyPair & { readonly addedAt: number };
  /** Do not issue any more; trusted until no certificate of theirs can be in use. */
  readonly retired: readonly { readonly certificate: string; readonly until: number }[];
}

/** A CA with the bounds of its validity, in milliseconds since the epoch. */
export interface DatedKeyPair extends KeyPair {
  readonly notBefore: number;
  readonly notAfter: number;
}

export interface RotationPolicy {
  /** @default a year */
  readonly authorityLifetimeMs: number;
  /** @default 30 days */
  readonly leafLifetimeMs: number;
  /** How long a new authority is trusted before it issues. @default an hour */
  readonly propagationMs: number;
}

const dayMs = 24 * 3_600_000;

export const defaultRotationPolicy: RotationPolicy = {
  authorityLifetimeMs: 365 * dayMs,
  leafLifetimeMs: 30 * dayMs,
  propagationMs: 3_600_000,
};

/** The next step of a rotation; steps come one at a time, so that any replica can take any of them. */
export type RotationStep =
  | { readonly kind: "keep"; readonly untilMs: number }
  | { readonly kind: "create" }
  | { readonly kind: "announce" }
  | { readonly kind: "promote" }
  | { readonly kind: "prune" };

/** Two thirds of a life, as Kubernetes' own certificate managers do. */
const renewalOf = (notBefore: number, notAfter: number): number => notBefore + ((notAfter - notBefore) * 2) / 3;

/** What to do with the shared state now. */
export function planRotation(state: AuthorityState | undefined, now: number, policy: RotationPolicy): RotationStep {
  if (!state || state.issuing.notAfter <= now)
    return state?.next && state.next.notAfter > now ? { kind: "promote" } : { kind: "create" };
  if (state.retired.some(({ until }) => until <= now)) return { kind: "prune" };
  const pruneAt = Math.min(...state.retired.map(({ until }) => until), Number.POSITIVE_INFINITY);
  const dueAt = state.next
    ? state.next.addedAt + policy.propagationMs
    : renewalOf(state.issuing.notBefore, state.issuing.notAfter);
  if (dueAt <= now) return { kind: state.next ? "promote" : "announce" };
  return { kind: "keep", untilMs: Math.min(dueAt, pruneAt) };
}

/** The state after a step; `fresh` is a new authority, used by `create` and `announce`. */
export function applyRotation(
  state: AuthorityState | undefined,
  step: Exclude<RotationStep, { kind: "keep" }>,
  fresh: DatedKeyPair,
  now: number,
  policy: RotationPolicy,
): AuthorityState {
  if (!state || step.kind === "create") return { issuing: fresh, retired: [] };
  const retired = state.retired.filter(({ until }) => until > now);
  switch (step.kind) {
    case "announce":
      return { ...state, retired, next: { ...fresh, addedAt: now } };
    case "prune":
      return { ...state, retired };
    case "promote": {
      const { next, issuing } = state;
      if (!next) return { ...state, retired };
      // A leaf issued a moment ago lives on for its whole life.
      const until = Math.min(now + policy.leafLifetimeMs, issuing.notAfter);
      return {
        issuing: { certificate: next.certificate, key: next.key, notBefore: next.notBefore, notAfter: next.notAfter },
        retired: until > now ? [...retired, { certificate: issuing.certificate, until }] : retired,
      };
    }
  }
}

/** The CA bundle that callers must trust, PEM. */
export function bundleOf(state: AuthorityState): string {
  const certificates = [...state.retired.map(({ certificate }) => certificate), state.issuing.certificate];
  if (state.next) certificates.push(state.next.certificate);
  return certificates.map((certificate) => `${certificate.trim()}\n`).join("");
}

/** When a leaf is to be issued anew, in milliseconds since the epoch. */
export function leafRenewalAt(notBefore: number, notAfter: number): number {
  return renewalOf(notBefore, notAfter);
}
