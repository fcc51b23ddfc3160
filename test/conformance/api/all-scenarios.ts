import type { Scenario } from "./scenario.ts";
import { accessScenarios } from "./scenarios/access.ts";
import { admissionScenarios } from "./scenarios/admission.ts";
import { applyScenarios } from "./scenarios/apply.ts";
import { crdSchemaScenarios } from "./scenarios/crd-schemas.ts";
import { crdScenarios } from "./scenarios/crds.ts";
import { deleteScenarios } from "./scenarios/deletes.ts";
import { discoveryScenarios } from "./scenarios/discovery.ts";
import { kubectlScenarios } from "./scenarios/kubectl.ts";
import { mechanicalScenarios } from "./scenarios/kinds-mechanical.ts";
import { limitScenarios } from "./scenarios/limits.ts";
import { listScenarios } from "./scenarios/lists.ts";
import { podScenarios } from "./scenarios/pods.ts";
import { badRequestScenarios } from "./scenarios/requests-bad.ts";
import { tokenScenarios } from "./scenarios/tokens.ts";
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
  ...tokenScenarios,
  ...mechanicalScenarios,
  ...crdSchemaScenarios,
  ...crdScenarios,
  ...admissionScenarios,
  ...limitScenarios,
];
