import { parseQuantity } from "@fleetwright/kube";
import type { KubeObject, Pod } from "@fleetwright/kube";

/** What an autoscaler can be told about. */
export interface MetricsSource {
  /** Usage of a pod, in thousandths; `undefined`: nothing is known of it. @param name `cpu`, `memory`, or a metric's */
  ofPod(pod: Pod, name: string): number | undefined;
  /** A metric of something else than pods, in thousandths. */
  ofObject(autoscaler: KubeObject, name: string): number | undefined;
}

const prefix = "metrics.fleetwright.dev/";

function thousandths(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  try {
    return Math.round(parseQuantity(text).toNumber() * 1000);
  } catch {
    return undefined;
  }
}

/** A script instead of measurements: `metrics.fleetwright.dev/cpu: 250m` on pods, `metrics.fleetwright.dev/<metric>` on the autoscaler. */
export const scriptedMetrics: MetricsSource = {
  ofPod: (pod, name) => thousandths(pod.metadata.annotations?.[prefix + name]),
  ofObject: (autoscaler, name) => thousandths(autoscaler.metadata.annotations?.[prefix + name]),
};
