import type { HorizontalPodAutoscaler } from "@fleetwright/kube";

/** How fast an autoscaler may act (pkg/controller/podautoscaler/horizontal.go, `normalizeDesiredReplicasWithBehaviors`). */

/** A moment at which the size was recommended or changed. */
export interface Moment {
  readonly at: number;
  /** A size, or by how much it changed. */
  readonly replicas: number;
}

type Rules = NonNullable<NonNullable<NonNullable<HorizontalPodAutoscaler["spec"]>["behavior"]>["scaleUp"]>;

const defaultUp: Rules = {
  stabilizationWindowSeconds: 0,
  selectPolicy: "Max",
  policies: [
    { type: "Pods", value: 4, periodSeconds: 15 },
    { type: "Percent", value: 100, periodSeconds: 15 },
  ],
};
const defaultDown: Rules = {
  stabilizationWindowSeconds: 300,
  selectPolicy: "Max",
  policies: [{ type: "Percent", value: 100, periodSeconds: 15 }],
};

export interface Paced {
  readonly replicas: number;
  /** `ScaleUpStabilized`, `ScaleDownStabilized`, or none. */
  readonly stabilized: "up" | "down" | undefined;
  readonly limited: "ScaleUpLimit" | "ScaleDownLimit" | undefined;
}

export function paced(
  autoscaler: HorizontalPodAutoscaler,
  state: {
    readonly current: number;
    readonly wanted: number;
    readonly now: number;
    readonly recommendations: readonly Moment[];
    readonly changes: readonly Moment[];
  },
): Paced {
  const { current, wanted, now, recommendations, changes } = state;
  const { scaleUp, scaleDown } = autoscaler.spec?.behavior ?? {};
  const up = { ...defaultUp, ...scaleUp };
  const down = { ...defaultDown, ...scaleDown };
  const within = (seconds: number | undefined): readonly number[] => [
    ...recommendations.filter(({ at }) => at > now - (seconds ?? 0) * 1000).map(({ replicas }) => replicas),
    wanted,
  ];
  let replicas = wanted;
  let stabilized: Paced["stabilized"];
  const least = Math.min(...within(up.stabilizationWindowSeconds));
  const most = Math.max(...within(down.stabilizationWindowSeconds));
  if (current < least) replicas = least;
  else if (current > most) replicas = most;
  else replicas = current;
  if (wanted > replicas && wanted > current) stabilized = "up";
  if (wanted < replicas && wanted < current) stabilized = "down";
  if (replicas > current) {
    const limit = limitOf(up, current, (seconds) => changed(changes, now, seconds, 1), 1);
    return replicas > limit
      ? { replicas: Math.max(current, limit), stabilized, limited: "ScaleUpLimit" }
      : { replicas, stabilized, limited: undefined };
  }
  if (replicas < current) {
    const limit = limitOf(down, current, (seconds) => changed(changes, now, seconds, -1), -1);
    return replicas < limit
      ? { replicas: Math.min(current, limit), stabilized, limited: "ScaleDownLimit" }
      : { replicas, stabilized, limited: undefined };
  }
  return { replicas, stabilized, limited: undefined };
}

function changed(changes: readonly Moment[], now: number, seconds: number, sign: 1 | -1): number {
  let total = 0;
  for (const { at, replicas } of changes)
    if (at > now - seconds * 1000 && Math.sign(replicas) === sign) total += Math.abs(replicas);
  return total;
}

function limitOf(rules: Rules, current: number, changedWithin: (seconds: number) => number, sign: 1 | -1): number {
  if (rules.selectPolicy === "Disabled") return current;
  const limits = (rules.policies ?? []).map(({ type, value, periodSeconds }) => {
    const start = current - sign * changedWithin(periodSeconds);
    if (type === "Pods") return start + sign * value;
    return sign > 0 ? Math.ceil(start * (1 + value / 100)) : Math.floor(start * (1 - value / 100));
  });
  const [highest, lowest] = [Math.max(...limits), Math.min(...limits)];
  const widest = sign > 0 ? highest : lowest;
  const narrowest = sign > 0 ? lowest : highest;
  return rules.selectPolicy === "Min" ? narrowest : widest;
}
