import type { Scenario } from "./scenario.ts";
import { accessScenarios } from "./scenarios/access.ts";
import { admissionScenarios } from "./scenarios/admission.ts";
import { applyScenarios } from "./scenarios/apply.ts";
import { crdScenarios } from "./scenarios/crds.ts";
import { deleteScenarios, podScenarios } from "./scenarios/deletes.ts";
import { discoveryScenarios } from "./scenarios/discovery.ts";
import { kubectlScenarios } from "./scenarios/kubectl.ts";
import { mechanicalScenarios } from "./scenarios/kinds-mechanical.ts";
import { listScenarios } from "./scenarios/lists.ts";
import { badRequestScenarios } from "./scenarios/requests-bad.ts";
import { watchScenarios } from "./scenarios/watches.ts";
import { writeScenarios } from "./scenarios/writes.ts";

/** Every scenario, in the order in which they are played: what a server lists of itself comes before what is added to it. */
export const allScenarios: readonly Scenario[] = [
  ...discoveryScenarios,
  ...kubectlScenarios,
  ...listScenarios,
  ...watchScenarios,
  ...writeScenarios,
  ...applyScenarios,
  ...deleteScenarios,
  ...podScenarios,
  ...badRequestScenarios,
  ...accessScenarios,
  ...mechanicalScenarios,
  ...crdScenarios,
  ...admissionScenarios,
];
