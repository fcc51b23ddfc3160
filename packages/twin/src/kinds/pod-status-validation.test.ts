import type { Pod } from "@fleetwright/kube";
import { expect, it } from "vitest";
import { podStatusErrors } from "./pod-status-validation.ts";

type Status = NonNullable<Pod["status"]>;
const pod = (status: Status, restartPolicy = "Always", nodeName = "n"): Pod => ({
  metadata: { name: "p" },
  spec: { containers: [{ name: "main" }], restartPolicy, nodeName },
  status,
});
const ended = (exitCode: number): Status => ({
  containerStatuses: [
    { name: "main", image: "a", imageID: "", ready: false, restartCount: 0, state: { terminated: { exitCode } } },
  ],
});
const running: Status = {
  containerStatuses: [{ name: "main", image: "a", imageID: "", ready: true, restartCount: 1, state: { running: {} } }],
};
const noReturn = "status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state";

const cases: readonly [string, Pod, Pod, readonly string[]][] = [
  ["starts an ended container again", pod(ended(1)), pod(running), []],
  ["starts one again that failed", pod(ended(1), "OnFailure"), pod(running, "OnFailure"), []],
  ["does not start one again that succeeded", pod(ended(0), "OnFailure"), pod(running, "OnFailure"), [noReturn]],
  ["does not start one again that may never", pod(ended(1), "Never"), pod(running, "Never"), [noReturn]],
  [
    "does not nominate a node for a bound pod",
    pod({}),
    pod({ nominatedNodeName: "m" }),
    ["status.nominatedNodeName: Forbidden: may not be set on pods that are already bound to a node"],
  ],
  [
    "keeps the class of service",
    pod({ qosClass: "Burstable" }),
    pod({ qosClass: "BestEffort" }),
    ['status.qosClass: Invalid value: "BestEffort": field is immutable'],
  ],
  ["has an address of each family", pod({}), pod({ podIPs: [{ ip: "10.0.0.1" }, { ip: "fd00::1" }] }), []],
  [
    "has no two addresses of a family",
    pod({}),
    pod({ podIPs: [{ ip: "10.0.0.1" }, { ip: "10.0.0.2" }] }),
    [
      'status.podIPs: Invalid value: [{"IP":"10.0.0.1"},{"IP":"10.0.0.2"}]: may specify no more than one IP for each IP family',
    ],
  ],
];

it.each(cases)("%s", (_title, old, next, expected) => {
  expect(podStatusErrors(next, old).map(({ field, message }) => `${field}: ${message}`)).toEqual(expected);
});
