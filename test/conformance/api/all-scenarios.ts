import type { Scenario } from "./scenario.ts";
import { mechanicalScenarios } from "./scenarios/kinds-mechanical.ts";

/** Every scenario, in the order in which they are played: what a server lists of itself comes before what is added to it. */
export const allScenarios: readonly Scenario[] = [...mechanicalScenarios];
