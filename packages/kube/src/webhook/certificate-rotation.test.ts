import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  applyRotation,
  bundleOf,
  planRotation,
  type AuthorityState,
  type DatedKeyPair,
  type RotationPolicy,
} from "./certificate-rotation.ts";

const policy: RotationPolicy = { authorityLifetimeMs: 900, leafLifetimeMs: 100, propagationMs: 10 };
const authority = (name: string, notBefore: number): DatedKeyPair => ({
  certificate: name,
  key: `${name}-key`,
  notBefore,
  notAfter: notBefore + policy.authorityLifetimeMs,
});

describe("certificate rotation", () => {
  it("creates, keeps, announces, promotes and prunes in turn", () => {
    expect(planRotation(undefined, 0, policy)).toEqual({ kind: "create" });
    let state: AuthorityState = applyRotation(undefined, { kind: "create" }, authority("a", 0), 0, policy);
    expect(planRotation(state, 599, policy)).toEqual({ kind: "keep", untilMs: 600 });
    expect(planRotation(state, 600, policy)).toEqual({ kind: "announce" });
    state = applyRotation(state, { kind: "announce" }, authority("b", 600), 600, policy);
    expect(bundleOf(state)).toBe("a\nb\n");
    expect(state.issuing.certificate).toBe("a");
    expect(planRotation(state, 609, policy)).toEqual({ kind: "keep", untilMs: 610 });
    expect(planRotation(state, 610, policy)).toEqual({ kind: "promote" });
    state = applyRotation(state, { kind: "promote" }, authority("x", 610), 610, policy);
    expect(state.issuing.certificate).toBe("b");
    expect(bundleOf(state)).toBe("a\nb\n");
    expect(planRotation(state, 709, policy)).toEqual({ kind: "keep", untilMs: 710 });
    expect(planRotation(state, 710, policy)).toEqual({ kind: "prune" });
    state = applyRotation(state, { kind: "prune" }, authority("x", 710), 710, policy);
    expect(bundleOf(state)).toBe("b\n");
  });

  it("starts again when the issuing authority has ended unseen", () => {
    const state = applyRotation(undefined, { kind: "create" }, authority("a", 0), 0, policy);
    expect(planRotation(state, 900, policy)).toEqual({ kind: "create" });
  });

  it("always trusts every leaf that can be in use, and a caller that saw the bundle one propagation ago trusts new leaves", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 200, maxLength: 600 }), (steps) => {
        let now = 0;
        let count = 0;
        let state: AuthorityState | undefined;
        const leaves: { issuer: string; until: number }[] = [];
        const seen: { at: number; bundle: string }[] = [];
        for (const step of steps) {
          now += step;
          for (
            let plan = planRotation(state, now, policy);
            plan.kind !== "keep";
            plan = planRotation(state, now, policy)
          ) {
            state = applyRotation(state, plan, authority(`ca-${count++};`, now), now, policy);
          }
          if (!state) throw new Error("no state");
          const { certificate, notAfter } = state.issuing;
          leaves.push({ issuer: certificate, until: Math.min(now + policy.leafLifetimeMs, notAfter) });
          seen.push({ at: now, bundle: bundleOf(state) });
          const bundle = bundleOf(state);
          expect(leaves.filter((leaf) => leaf.until > now && !bundle.includes(leaf.issuer))).toEqual([]);
          const stale = seen.findLast(({ at }) => at <= now - policy.propagationMs);
          expect(stale?.bundle ?? certificate).toContain(certificate);
        }
      }),
      { seed: 7, numRuns: 50 },
    );
  });
});
